//! Hooks at the tracepoints `netif_receive_skb` and `net_dev_queue`, instead of at the interfaces.
//!
//! Nothing is grafted, so no packet is lost and no queueing discipline finds its place taken; and the links end with the
//! process. The programs run for each packet that any interface of the host receives or sends, also of other namespaces.

use std::collections::BTreeSet;

use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
    programs::{RawTracePoint, loaded_links, loaded_programs},
};
use hoptrace_common::config::{NEAR_WORDS, near_bit};

use super::{
    AttachError,
    below::{all_below, lower},
    side::TcSide,
    tracepoint::attach_at,
};
use crate::model::{Interface, Mechanism, Plan, Printable, Room, Side};

/// The programs, by the side they serve.
pub(super) const RECEIVED: &str = "hop_received";
pub(super) const QUEUED: &str = "hop_queued";
/// Of several ports, those for what is beside their paths, by the side they serve.
const RECEIVED_BESIDE: &str = "hop_received_beside";
const QUEUED_BESIDE: &str = "hop_queued_beside";
/// What both go on in, in the order of their places in the map where they are found.
pub(super) const SHARED: [&str; 3] = ["hop_parts", "hop_sums", "hop_switch"];
const SHARED_MAP: &str = "SEEN";

/// The interfaces of `plan` that the programs look at, as [`near_bit`] has them: ingress side, egress side.
pub(super) fn near(plan: &Plan) -> [[u64; NEAR_WORDS]; 2] {
    TcSide::ALL.map(|side| {
        let mut words = [0; NEAR_WORDS];
        let hooks = plan.hooks.iter().filter(|hook| TcSide::of(hook.side) == Some(side));
        let on_path = hooks.flat_map(|hook| &hook.interfaces).map(|interface| interface.ifindex);
        // Packets leave by what the kernel sends at some ports, and by what it receives at others.
        for ifindex in on_path.chain(plan.neighbours.iter().map(|port| port.ifindex)) {
            let (word, bit) = near_bit(ifindex.0);
            if let Some(word) = words.get_mut(word) {
                *word |= bit;
            }
        }
        words
    })
}

/// `plan`, its hooks on the ingress side at the interfaces below theirs, too: what comes in by a bond or a VLAN interface is at the
/// tracepoint while it still is at the interface below, and not again.
pub(super) fn with_lower(plan: &Plan, mechanism: Mechanism, lower: impl Fn(&str) -> Vec<Interface>) -> Plan {
    let mut plan = plan.clone();
    if mechanism == Mechanism::Tracepoints {
        let hooks = plan.hooks.iter_mut().filter(|hook| hook.side == Side::Ingress && !hook.is_neighbour());
        for hook in hooks {
            let below = hook.interfaces.iter().flat_map(|top| all_below(&top.ifname, &lower));
            hook.interfaces = hook.interfaces.iter().cloned().chain(below.collect::<Vec<_>>()).collect();
        }
    }
    plan
}

/// Puts the programs that the others go on in where they look for them.
pub(super) fn connect(ebpf: &mut Ebpf) -> Result<ProgramArray<MapData>, AttachError> {
    let map = ebpf.take_map(SHARED_MAP).ok_or_else(|| AttachError::Missing(format!("map {SHARED_MAP}")))?;
    let failed = |source| AttachError::Map { map: SHARED_MAP, source: Box::new(source) };
    let mut shared = ProgramArray::try_from(map).map_err(failed)?;
    for (place, name) in (0..).zip(SHARED) {
        let program: &mut RawTracePoint = ebpf
            .program_mut(name)
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| AttachError::Missing(format!("program {name}")))?;
        let program = program
            .fd()
            .map_err(|source| AttachError::Load { program: name.to_owned(), source: Box::new(source) })?;
        shared.set(place, program, 0).map_err(failed)?;
    }
    Ok(shared)
}

/// All programs that are attached so; none, unless that is where the hooks are.
pub(super) const fn programs(mechanism: Mechanism, room: Room) -> &'static [&'static str] {
    match mechanism {
        Mechanism::Tcx | Mechanism::Clsact => &[],
        Mechanism::Tracepoints if room.is_for_one() => &[RECEIVED, QUEUED],
        Mechanism::Tracepoints => &[RECEIVED, QUEUED, RECEIVED_BESIDE, QUEUED_BESIDE],
    }
}

/// Attaches them.
pub(super) fn attach(ebpf: &mut Ebpf, room: Room) -> Result<(), AttachError> {
    for program in programs(Mechanism::Tracepoints, room) {
        let receives = [RECEIVED, RECEIVED_BESIDE].contains(program);
        attach_at(ebpf, program, if receives { "netif_receive_skb" } else { "net_dev_queue" })?;
    }
    Ok(())
}

/// Other tracers whose programs are attached so: one that has ended keeps its programs for a moment, but no link.
pub(super) fn others() -> usize {
    let programs = loaded_programs().flatten().filter(|program| program.name_as_str() == Some(RECEIVED));
    let programs: BTreeSet<u32> = programs.map(|program| program.id()).collect();
    if programs.is_empty() {
        return 0;
    }
    loaded_links().flatten().filter(|link| programs.contains(&link.program_id())).count()
}

/// What is different from hooks at the interfaces, and worth a line.
pub(super) fn notes<'p>(plans: impl Iterator<Item = &'p Plan>) -> Vec<String> {
    let all: BTreeSet<String> = plans.flat_map(of_plan).collect();
    all.into_iter().collect()
}

fn of_plan(plan: &Plan) -> Vec<String> {
    let placed = with_lower(plan, Mechanism::Tracepoints, lower);
    let below = placed.hooks.iter().zip(&plan.hooks).filter_map(|(placed, hook)| {
        let own = hook.interfaces.first()?;
        let names: Vec<_> =
            placed.interfaces.iter().skip(1).map(|below| Printable(&below.ifname).to_string()).collect();
        (placed.side == Side::Ingress && !placed.is_neighbour() && !names.is_empty()).then(|| {
            format!("what {} receives is seen at {}, below it", Printable(&own.ifname), names.join(", "))
        })
    });
    below.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attach::{self, PlanOptions},
        model::{IfIndex, Role},
        path::testing::hop,
    };

    fn plan() -> Plan {
        let hops = [hop(Role::Tap, "tap0", 7), hop(Role::Nic, "bond0.9", 300)];
        attach::plan(&hops.each_ref(), PlanOptions::default()).unwrap()
    }

    fn interface(ifname: &str, index: u32) -> Interface {
        Interface { ifname: ifname.to_owned(), ifindex: IfIndex(index) }
    }

    #[test]
    fn what_a_bond_or_a_vlan_receives_is_seen_below_it() {
        let lower = |ifname: &str| match ifname {
            "bond0.9" => vec![interface("bond0", 40)],
            "bond0" => vec![interface("eth0", 2), interface("eth1", 3)],
            _ => Vec::new(),
        };
        let plan = plan();
        let placed = with_lower(&plan, Mechanism::Tracepoints, lower);
        let names = |side| {
            let hook = placed.hooks.iter().find(|hook| hook.label == "nic" && hook.side == side).unwrap();
            hook.interfaces.iter().map(|interface| interface.ifname.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(names(Side::Ingress), ["bond0.9", "bond0", "eth0", "eth1"]);
        assert_eq!(names(Side::Egress), ["bond0.9"], "what leaves is queued at the interface itself");
        assert_eq!(with_lower(&plan, Mechanism::Clsact, lower), plan);
    }

    #[test]
    fn the_interfaces_of_each_side_are_near() {
        let [ingress, egress] = near(&with_lower(&plan(), Mechanism::Tracepoints, |ifname| {
            if ifname == "bond0.9" { vec![interface("eth0", 2)] } else { Vec::new() }
        }));
        let is_in = |words: [u64; NEAR_WORDS], index| {
            let (word, bit) = near_bit(index);
            words[word] & bit != 0
        };
        for (index, sides) in [(7, [true, true]), (300, [true, true]), (2, [true, false]), (5, [false; 2])] {
            assert_eq!([is_in(ingress, index), is_in(egress, index)], sides, "{index}");
        }
    }
}
