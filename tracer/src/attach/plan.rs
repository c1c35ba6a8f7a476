//! What goes where: hooks and segments of a path. Pure.

use hoptrace_common::config::{HookConfig, MAX_HOOKS, OFF_PATH_SEGMENT};

use crate::model::{Direction, HookPlan, Hop, Plan, Role, SegmentPlan, Side};

/// Why a path can not be traced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Latency needs two hooks at least.
    #[error("the path has {0} interface(s) to attach to; at least two are needed to measure between")]
    TooShort(usize),
    /// More interfaces than the tables hold.
    #[error("the path needs {0} hooks, and a trace has room for {MAX_HOOKS}")]
    TooLong(usize),
}

/// The hooks and segments of a path: both sides of every hop. Hops that share the last place (several NICs) are
/// alternatives of each other.
///
/// # Errors
/// When the path is too short or too long to be traced.
pub fn plan(hops: &[Hop]) -> Result<Plan, PlanError> {
    let stages = stages(hops);
    if stages.len() < 2 {
        return Err(PlanError::TooShort(stages.len()));
    }
    let count = hops.len() * 2;
    if count > MAX_HOOKS {
        return Err(PlanError::TooLong(count));
    }
    let mut builder = Builder::default();
    let egress_total = builder.direction(Direction::Egress, stages.iter());
    let ingress_entry = u8::try_from(builder.hooks.len()).unwrap_or(u8::MAX);
    let ingress_total = builder.direction(Direction::Ingress, stages.iter().rev());
    let guest = builder.next_segment;
    Ok(Plan {
        hooks: builder.hooks,
        segments: builder.segments,
        totals: [egress_total, ingress_total],
        entries: [0, ingress_entry],
        guest,
        segment_count: u32::from(guest) + 1,
    })
}

/// Groups hops that are alternatives: neighbours with the same role.
fn stages(hops: &[Hop]) -> Vec<Vec<&Hop>> {
    let mut stages: Vec<Vec<&Hop>> = Vec::new();
    for hop in hops {
        match stages.last_mut() {
            Some(stage) if stage.iter().any(|other| other.role == hop.role) => stage.push(hop),
            _ => stages.push(vec![hop]),
        }
    }
    stages
}

struct Builder {
    hooks: Vec<HookPlan>,
    segments: Vec<SegmentPlan>,
    next_segment: u8,
}

impl Default for Builder {
    fn default() -> Self {
        Self { hooks: Vec::new(), segments: Vec::new(), next_segment: OFF_PATH_SEGMENT + 1 }
    }
}

impl Builder {
    /// Adds the hooks of one direction, the stages given in the order its packets pass them. Gives the segment of
    /// the whole way.
    fn direction<'a>(
        &mut self,
        direction: Direction,
        stages: impl ExactSizeIterator<Item = &'a Vec<&'a Hop>>,
    ) -> u8 {
        let first = self.hooks.len();
        let last_stage = stages.len() - 1;
        let mut before: Vec<usize> = Vec::new();
        for (position, stage) in stages.enumerate() {
            let mut here = Vec::new();
            for hop in stage {
                let place = self.hooks.len();
                let mut config = HookConfig { direction: direction.index(), ..HookConfig::default() };
                for (on, flag) in [
                    (position == 0, HookConfig::ENTRY),
                    (position == last_stage, HookConfig::TERMINAL),
                    (hop.role == Role::Tap, HookConfig::GUEST),
                    (hop.role == Role::Nic, HookConfig::SHARED),
                ] {
                    config.flags |= if on { flag } else { 0 };
                }
                for from in &before {
                    if let Some(segment) = config.segment_from.get_mut(*from) {
                        *segment = self.next_segment;
                    }
                    self.segments.push(SegmentPlan {
                        index: self.next_segment,
                        direction,
                        from: *from,
                        to: place,
                    });
                    self.next_segment += 1;
                }
                here.push(place);
                self.hooks.push(HookPlan {
                    label: label(hop, stage.len()),
                    ifname: hop.ifname.clone(),
                    ifindex: hop.ifindex,
                    side: side(hop, direction),
                    direction,
                    config,
                });
            }
            for earlier in
                self.hooks.iter_mut().skip(first).take(here.first().map_or(0, |place| place - first))
            {
                for place in &here {
                    earlier.config.later |= 1 << place;
                }
            }
            before = here;
        }
        let total = self.next_segment;
        self.next_segment += 1;
        for hook in self.hooks.iter_mut().skip(first) {
            hook.config.total_segment = total;
        }
        total
    }
}

/// A packet leaves the host through the last interface of its way and through every veth end that faces away; it
/// comes in from the other ones.
fn side(hop: &Hop, direction: Direction) -> Side {
    let towards_wire = direction == Direction::Egress;
    let outward = match hop.role {
        // From the VM: received on the tap and on qvo, sent to qvb and the NIC.
        Role::Tap | Role::Qvo => !towards_wire,
        Role::Qvb | Role::Nic => towards_wire,
    };
    if outward { Side::Egress } else { Side::Ingress }
}

fn label(hop: &Hop, alternatives: usize) -> String {
    let role = hop.role.as_str();
    if alternatives > 1 { format!("{role}:{}", hop.ifname) } else { role.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::IfIndex;

    fn hops(hops: &[(Role, &str)]) -> Vec<Hop> {
        (1..)
            .zip(hops)
            .map(|(index, (role, ifname))| Hop {
                role: *role,
                ifname: (*ifname).to_owned(),
                ifindex: IfIndex(index),
                bridge: None,
                vlan_tag: None,
            })
            .collect()
    }

    #[test]
    fn the_hybrid_path_gets_eight_hooks_in_path_order() {
        let hops =
            hops(&[(Role::Tap, "tap1"), (Role::Qvb, "qvb1"), (Role::Qvo, "qvo1"), (Role::Nic, "ens3")]);
        let plan = super::plan(&hops).unwrap();
        let hooks: Vec<_> = plan.hooks.iter().map(|hook| (hook.ifname.as_str(), hook.side.name())).collect();
        assert_eq!(
            hooks,
            [
                ("tap1", "tc ingress"),
                ("qvb1", "tc egress"),
                ("qvo1", "tc ingress"),
                ("ens3", "tc egress"),
                ("ens3", "tc ingress"),
                ("qvo1", "tc egress"),
                ("qvb1", "tc ingress"),
                ("tap1", "tc egress"),
            ]
        );
        let flags: Vec<_> = plan.hooks.iter().map(|hook| hook.config.flags).collect();
        let (entry, terminal) = (HookConfig::ENTRY, HookConfig::TERMINAL);
        let (guest, shared) = (HookConfig::GUEST, HookConfig::SHARED);
        assert_eq!(flags, [entry | guest, 0, 0, terminal | shared, entry | shared, 0, 0, terminal | guest]);
        let later: Vec<_> = plan.hooks.iter().map(|hook| hook.config.later).collect();
        assert_eq!(later, [0b1110, 0b1100, 0b1000, 0, 0b1110_0000, 0b1100_0000, 0b1000_0000, 0]);
        assert_eq!(plan.segments.len(), 6);
        assert_eq!(plan.hooks[1].config.segment_from[0], 1);
        assert_eq!(plan.hooks[1].config.segment_from[2], OFF_PATH_SEGMENT);
        assert_eq!((plan.totals, plan.guest, plan.segment_count), ([4, 8], 9, 10));
    }

    #[test]
    fn two_nics_are_alternatives() {
        let hops =
            hops(&[(Role::Tap, "tap1"), (Role::Qvo, "qvo1"), (Role::Nic, "ens3"), (Role::Nic, "ens4")]);
        let plan = super::plan(&hops).unwrap();
        let from_qvo: Vec<_> = plan
            .segments
            .iter()
            .filter(|segment| {
                plan.hooks[segment.from].label == "qvo" && segment.direction == Direction::Egress
            })
            .map(|segment| plan.hooks[segment.to].label.as_str())
            .collect();
        assert_eq!(from_qvo, ["nic:ens3", "nic:ens4"]);
        assert_eq!(plan.hooks[1].config.later, 0b1100);
    }

    #[test]
    fn a_path_of_one_interface_can_not_be_traced() {
        assert_eq!(plan(&hops(&[(Role::Tap, "tap1")])), Err(PlanError::TooShort(1)));
        let many: Vec<_> = (0..9).map(|_| (Role::Nic, "ens3")).chain([(Role::Tap, "t")]).collect();
        assert!(matches!(plan(&hops(&many)), Err(PlanError::TooLong(20))));
    }
}
