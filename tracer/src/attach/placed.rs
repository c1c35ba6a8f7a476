//! How a TC program that serves one side of all interfaces of the path finds its hook: in a table of places, which the
//! interfaces' indices are spread over so that no two share one. Pure.

use std::collections::BTreeSet;

use hoptrace_common::config::{HookConfig, MAX_HOOKS, PLACES, place_of};

use super::side::TcSide;
use crate::model::{HookPlan, Plan};

/// Spreads consecutive numbers well: 2^32 divided by the golden ratio.
const GOLDEN: u32 = 0x9e37_79b1;
/// More than are ever needed: a half of them fits sixteen interfaces.
const ATTEMPTS: u32 = 1 << 16;

/// A number that spreads the hooks of each side of the path over places of their own; `None` where there is none.
pub(super) fn spread(plan: &Plan) -> Option<u32> {
    let fits = |spread: &u32| {
        TcSide::ALL.into_iter().all(|side| {
            let mut taken = BTreeSet::new();
            on_path(plan, side).all(|(_, ifindex)| taken.insert(place_of(ifindex, *spread)))
        })
    };
    (0..ATTEMPTS).map(|attempt| (2 * attempt + 1).wrapping_mul(GOLDEN)).find(fits)
}

/// The hooks of each side in their places.
pub(super) fn placed(plan: &Plan, hooks: &[HookConfig; MAX_HOOKS], spread: u32) -> [[HookConfig; PLACES]; 2] {
    TcSide::ALL.map(|side| {
        let mut places = [HookConfig::default(); PLACES];
        for (number, ifindex) in on_path(plan, side) {
            let hook = hooks.get(number).zip(u16::try_from(number).ok());
            if let (Some(place), Some((hook, number))) = (places.get_mut(place_of(ifindex, spread)), hook) {
                *place = HookConfig { ifindex, number, ..*hook };
            }
        }
        places
    })
}

/// The number of the hook at neighbours' ports, for each side; 0 where there is none, and no program that asks.
pub(super) fn beside(plan: &Plan) -> [u8; 2] {
    TcSide::ALL.map(|side| beside_at(plan, side).unwrap_or(0))
}

/// The number of the hook on this side of neighbours' ports.
pub(super) fn beside_at(plan: &Plan, side: TcSide) -> Option<u8> {
    let is_it = |hook: &HookPlan| hook.is_neighbour() && TcSide::of(hook.side) == Some(side);
    plan.hooks.iter().position(is_it).and_then(|number| u8::try_from(number).ok())
}

/// The path's hooks on one side of their interfaces: the number of each, and the interface's index.
fn on_path(plan: &Plan, side: TcSide) -> impl Iterator<Item = (usize, u32)> {
    let is_here = move |hook: &HookPlan| !hook.is_neighbour() && TcSide::of(hook.side) == Some(side);
    let hooks = plan.hooks.iter().enumerate().filter(move |(_, hook)| is_here(hook));
    hooks
        .flat_map(|(number, hook)| hook.interfaces.iter().map(move |interface| (number, interface.ifindex.0)))
}

#[cfg(test)]
mod tests {
    use hoptrace_common::config::{HookConfig, MAX_HOOKS, place_of};
    use proptest::prelude::*;

    use super::{beside, placed, spread};
    use crate::{
        attach::{self, PlanOptions},
        model::{IfIndex, OtherPort, Plan, Role, Side},
        path::testing::hop,
    };

    fn plan(indices: &[u32], neighbours: &[OtherPort]) -> Plan {
        let roles = [Role::Tap, Role::Qvb, Role::Qvo].into_iter().chain(std::iter::repeat(Role::Nic));
        let named = |(role, index): (Role, &u32)| hop(role, &format!("if{index}"), *index);
        let hops: Vec<_> = roles.zip(indices).map(named).collect();
        attach::plan(&hops.iter().collect::<Vec<_>>(), PlanOptions { neighbours, ..PlanOptions::default() })
            .unwrap()
    }

    proptest! {
        #[test]
        fn each_hook_is_found_by_its_interface_and_side(
            indices in proptest::collection::hash_set(1_u32.., 2..=MAX_HOOKS / 2),
        ) {
            let indices = Vec::from_iter(indices);
            let plan = plan(&indices, &[]);
            let spread = spread(&plan).unwrap();
            let hooks: [HookConfig; MAX_HOOKS] =
                std::array::from_fn(|number| plan.hooks.get(number).map_or_else(HookConfig::default, |hook| hook.config));
            let [ingress, egress] = placed(&plan, &hooks, spread);
            for (number, hook) in plan.hooks.iter().enumerate() {
                let index = hook.interfaces[0].ifindex.0;
                let places = if hook.side == Side::Ingress { &ingress } else { &egress };
                let found = places[place_of(index, spread)];
                prop_assert_eq!((found.ifindex, usize::from(found.number)), (index, number));
                prop_assert_eq!(found.segment_from, hook.config.segment_from);
            }
            let taken = |places: &[HookConfig]| places.iter().filter(|place| place.ifindex != 0).count();
            prop_assert_eq!((taken(&ingress), taken(&egress)), (indices.len(), indices.len()));
        }
    }

    #[test]
    fn hooks_at_neighbours_are_told_apart_by_side() {
        let plan = plan(
            &[3, 4, 5, 6],
            &[OtherPort { ifname: "other".into(), ifindex: IfIndex(9), ..OtherPort::default() }],
        );
        for (side, number) in [Side::Ingress, Side::Egress].into_iter().zip(beside(&plan)) {
            let hook = &plan.hooks[usize::from(number)];
            assert!(hook.is_neighbour() && hook.side == side, "{hook:?}");
        }
    }
}
