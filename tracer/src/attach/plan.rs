//! What goes where: hooks and segments of a path. Pure.

mod neighbours;

use hoptrace_common::config::{HookConfig, MAX_HOOKS, OFF_PATH_SEGMENT};

use crate::model::{Direction, HookPlan, Hop, Interface, OtherPort, Plan, Role, SegmentPlan, Side};

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
/// alternatives of each other. So are the neighbours, other VMs' ports on the switch before the NIC: they share one
/// hook in each direction, if there is room for two more.
///
/// # Errors
/// When the path is too short or too long to be traced.
pub fn plan(hops: &[Hop], neighbours: &[OtherPort]) -> Result<Plan, PlanError> {
    let stages = stages(hops);
    if stages.len() < 2 {
        return Err(PlanError::TooShort(stages.len()));
    }
    let count = hops.len() * 2;
    if count > MAX_HOOKS {
        return Err(PlanError::TooLong(count));
    }
    let reaches_nic = hops.last().is_some_and(|hop| hop.role == Role::Nic);
    let neighbours = if reaches_nic && count + 2 <= MAX_HOOKS { neighbours } else { &[] };
    let mut builder = Builder::default();
    let egress_total = builder.direction(Direction::Egress, stages.iter());
    let ingress_entry = u8::try_from(builder.hooks.len()).unwrap_or(u8::MAX);
    let ingress_total = builder.direction(Direction::Ingress, stages.iter().rev());
    let neighbour_totals =
        if neighbours.is_empty() { [OFF_PATH_SEGMENT; 2] } else { builder.add_neighbours(neighbours) };
    let guest = builder.next_segment;
    Ok(Plan {
        neighbour_entries: builder.neighbour_entries,
        hooks: builder.hooks,
        segments: builder.segments,
        totals: [egress_total, ingress_total],
        neighbour_totals,
        neighbours: neighbours.to_vec(),
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
    neighbour_entries: u16,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            hooks: Vec::new(),
            segments: Vec::new(),
            next_segment: OFF_PATH_SEGMENT + 1,
            neighbour_entries: 0,
        }
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
                    let segment = self.segment(direction, *from, place, false);
                    set_segment(&mut config, *from, segment);
                }
                here.push(place);
                self.hooks.push(HookPlan {
                    label: label(hop, stage.len()),
                    interfaces: vec![Interface { ifname: hop.ifname.clone(), ifindex: hop.ifindex }],
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
        let total = self.unnamed_segment();
        for hook in self.hooks.iter_mut().skip(first) {
            hook.config.total_segment = total;
        }
        total
    }

    /// A segment with figures of its own, between two hooks.
    fn segment(&mut self, direction: Direction, from: usize, to: usize, off_path: bool) -> u8 {
        let index = self.unnamed_segment();
        self.segments.push(SegmentPlan { index, direction, from, to, off_path });
        index
    }

    /// A segment that is not between two hooks.
    const fn unnamed_segment(&mut self) -> u8 {
        let index = self.next_segment;
        self.next_segment += 1;
        index
    }
}

fn set_segment(config: &mut HookConfig, from: usize, segment: u8) {
    if let Some(place) = config.segment_from.get_mut(from) {
        *place = segment;
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
mod tests;
