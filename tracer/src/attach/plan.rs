//! What goes where: hooks and segments of a path. Pure.

mod neighbours;

use hoptrace_common::config::{HookConfig, MAX_HOOKS, MAX_XDP, OFF_PATH_SEGMENT};

use crate::model::{
    Direction, HookId, HookPlan, HookSet, Hop, IfIndex, Interface, OtherPort, PerDirection, Plan, PortKind,
    SegmentId, SegmentPlan, Side, XdpMode,
};

/// How many segments the guest's own times take: what its kernel answers, what it acknowledges, what its programs say.
const GUEST_FIGURES: u32 = 3;

/// Why a path can not be traced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Latency needs two hooks at least.
    #[error("the path has {0} interface(s) to attach to; at least two are needed to measure between")]
    TooShort(usize),
    /// More interfaces than the tables hold.
    #[error("the path needs {0} hooks, and a trace has room for {MAX_HOOKS}")]
    TooLong(usize),
    /// XDP was asked for, and there is no NIC to attach to.
    #[error("--xdp needs a NIC to attach to, and the path does not reach any")]
    NoNic,
    /// XDP was asked for, and there are more NICs than its program keeps apart.
    #[error("--xdp is for {MAX_XDP} NICs at most, and the path has {0}")]
    TooManyNics(usize),
}

/// What is hooked besides both sides of every hop.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanOptions<'a> {
    /// Ports beside the path: those on the switch before the NIC, and the own interface of the Linux bridge at the tap.
    pub neighbours: &'a [OtherPort],
    /// XDP at the NICs.
    pub xdp: Option<XdpMode>,
    /// Where the NICs' drivers take packets over; left out where there is no NIC, or no room.
    pub wire: bool,
    /// Interfaces that are ports of a switch whose slow path is told from its fast one.
    pub slow_at: &'a [IfIndex],
    /// Whether a switch in user space takes packets off the VM's own first interface: then it has them before the hook there.
    pub taken_at_first: bool,
    /// Whether hooks are at tracepoints: then what an interface receives is seen before generic XDP.
    pub at_tracepoints: bool,
}

/// The hooks and segments of a path: both sides of every hop, with XDP a hook before each NIC's on the way in, and with
/// `wire` one behind each NIC's on the way out. Hops
/// that share the last place (several NICs) are alternatives of each other. So are the neighbours, other ports on the switch
/// before the NIC or the tunnel, or without either the Linux bridge's own interface only: they share one hook in each direction, if there is room for two more.
///
/// # Errors
/// When the path is too short or too long to be traced, or has no NIC for XDP.
pub fn plan(hops: &[&Hop], options: PlanOptions<'_>) -> Result<Plan, PlanError> {
    let stages = stages(hops);
    if stages.len() < 2 {
        return Err(PlanError::TooShort(stages.len()));
    }
    let nics = hops.iter().filter(|hop| hop.is_uplink()).count();
    if options.xdp.is_some() && nics == 0 {
        return Err(PlanError::NoNic);
    }
    if options.xdp.is_some() && nics > MAX_XDP {
        return Err(PlanError::TooManyNics(nics));
    }
    let count = hops.len() * 2 + if options.xdp.is_some() { nics } else { 0 };
    if count > MAX_HOOKS {
        return Err(PlanError::TooLong(count));
    }
    let passes_switch = hops.iter().any(|hop| hop.leads_out());
    let neighbours =
        if count + 2 <= MAX_HOOKS { beside(options.neighbours, passes_switch) } else { Vec::new() };
    let count = if neighbours.is_empty() { count } else { count + 2 };
    let wire = options.wire && nics > 0 && nics <= MAX_XDP && count + nics <= MAX_HOOKS;
    let mut builder = Builder { slow_at: options.slow_at, ..Builder::default() };
    let egress = stops(&stages, Direction::Egress, wire.then_some((Side::Wire, "wire")), false);
    let egress_total = builder.direction(Direction::Egress, &egress);
    let ingress_entry = HookId::at(builder.hooks.len());
    let xdp = options.xdp.map(|mode| (Side::Xdp(mode), "xdp"));
    let behind = options.at_tracepoints && options.xdp == Some(XdpMode::Generic);
    let ingress_total =
        builder.direction(Direction::Ingress, &stops(&stages, Direction::Ingress, xdp, behind));
    let neighbour_totals = if neighbours.is_empty() {
        PerDirection { egress: SegmentId(OFF_PATH_SEGMENT), ingress: SegmentId(OFF_PATH_SEGMENT) }
    } else {
        builder.add_neighbours(&neighbours, options.taken_at_first)
    };
    let guest = builder.next_segment;
    Ok(Plan {
        neighbour_entries: builder.neighbour_entries,
        upcalled_after: builder.upcalled_after(),
        hooks: builder.hooks,
        unhooked: Vec::new(),
        segments: builder.segments,
        totals: PerDirection { egress: egress_total, ingress: ingress_total },
        neighbour_totals,
        neighbours,
        entries: PerDirection { egress: HookId::default(), ingress: ingress_entry },
        guest,
        segment_count: u32::from(guest.0) + GUEST_FIGURES,
    })
}

/// The ports that can be reached from the path. Where that ends before the switch's ports, all of them are behind its end.
fn beside(ports: &[OtherPort], passes_switch: bool) -> Vec<OtherPort> {
    let within = ports.iter().filter(|port| passes_switch || port.kind == PortKind::Bridge);
    within.cloned().collect()
}

/// Groups hops that are alternatives.
fn stages<'a>(hops: &[&'a Hop]) -> Vec<Vec<&'a Hop>> {
    let mut stages: Vec<Vec<&'a Hop>> = Vec::new();
    for hop in hops {
        match stages.last_mut() {
            Some(stage) if stage.iter().any(|other| other.is_alternative_to(hop)) => stage.push(hop),
            _ => stages.push(vec![hop]),
        }
    }
    stages
}

/// One hook on the path.
struct Stop<'a> {
    hop: &'a Hop,
    side: Side,
    label: String,
}

impl Stop<'_> {
    /// Whether packets may come here from `before`, an earlier hook: between two hooks at ways out, only from the same one.
    fn follows(&self, before: &HookPlan) -> bool {
        let both_lead_out = self.hop.leads_out() && before.config.flags & HookConfig::SHARED != 0;
        !both_lead_out || before.interfaces.iter().any(|interface| interface.ifindex == self.hop.ifindex)
    }
}

/// The hooks of one direction in the order its packets pass them, alternatives together. `outermost` is one more at each
/// NIC, on the wire's side of the others unless it is `behind` them, and its name.
fn stops<'a>(
    stages: &[Vec<&'a Hop>],
    direction: Direction,
    outermost: Option<(Side, &str)>,
    behind: bool,
) -> Vec<Vec<Stop<'a>>> {
    let at = |stage: &[&'a Hop], side: &dyn Fn(&Hop) -> Side, name: Option<&str>| {
        let stop = |hop: &&'a Hop| Stop { hop, side: side(hop), label: label(hop, name, stage.len()) };
        stage.iter().map(stop).collect::<Vec<_>>()
    };
    let mut stops: Vec<_> = stages.iter().map(|stage| at(stage, &|hop| side(hop, direction), None)).collect();
    let nics = outermost.zip(stages.last());
    if let Some(((side, name), ways_out)) = nics {
        let nics: Vec<_> = ways_out.iter().copied().filter(|hop| hop.is_uplink()).collect();
        stops.insert(stops.len() - usize::from(behind), at(&nics, &|_| side, Some(name)));
    }
    if direction == Direction::Ingress {
        stops.reverse();
    }
    stops
}

struct Builder<'a> {
    hooks: Vec<HookPlan>,
    segments: Vec<SegmentPlan>,
    next_segment: SegmentId,
    neighbour_entries: HookSet,
    slow_at: &'a [IfIndex],
}

impl Default for Builder<'_> {
    fn default() -> Self {
        Self {
            hooks: Vec::new(),
            segments: Vec::new(),
            next_segment: SegmentId(OFF_PATH_SEGMENT + 1),
            neighbour_entries: HookSet::default(),
            slow_at: &[],
        }
    }
}

impl Builder<'_> {
    /// Adds the hooks of one direction, given in the order its packets pass them. Gives the segment of the whole way.
    fn direction(&mut self, direction: Direction, stages: &[Vec<Stop<'_>>]) -> SegmentId {
        let first = self.hooks.len();
        let last_stage = stages.len() - 1;
        let mut before: Vec<usize> = Vec::new();
        for (position, stage) in stages.iter().enumerate() {
            let mut here = Vec::new();
            for stop in stage {
                let hop = stop.hop;
                let place = self.hooks.len();
                let mut config = HookConfig { direction: direction.index(), ..HookConfig::default() };
                let behind = stages.get(position + 1).and_then(|stage| stage.first());
                for (on, flag) in [
                    (behind.is_some_and(|stop| stop.side == Side::Wire), HookConfig::BEFORE_TRACEPOINT),
                    (position == 0, HookConfig::ENTRY),
                    (position == last_stage, HookConfig::TERMINAL),
                    (hop.is_guests(), HookConfig::GUEST),
                    (hop.facts.shared, HookConfig::SHARED),
                ] {
                    config.flags |= if on { flag } else { 0 };
                }
                if is_last_of_own(direction, stop, behind) {
                    config.traits |= HookConfig::LEARNS;
                }
                let from = |from: &&usize| self.hooks.get(**from).is_some_and(|before| stop.follows(before));
                for from in before.iter().filter(from).collect::<Vec<_>>() {
                    let segment = self.segment(direction, *from, place, false);
                    set_segment(&mut config, *from, segment);
                }
                here.push(place);
                self.hooks.push(HookPlan {
                    label: stop.label.clone(),
                    interfaces: vec![hop.interface()],
                    side: stop.side,
                    direction,
                    config,
                });
            }
            let earlier =
                self.hooks.iter_mut().skip(first).take(here.first().map_or(0, |place| place - first));
            for earlier in earlier {
                for (place, stop) in here.iter().zip(stage) {
                    earlier.config.later |= u16::from(stop.follows(earlier)) << place;
                }
            }
            before = here;
        }
        let total = self.unnamed_segment();
        for hook in self.hooks.iter_mut().skip(first) {
            hook.config.total_segment = total.0;
        }
        total
    }

    /// A segment with figures of its own, between two hooks.
    fn segment(&mut self, direction: Direction, from: usize, to: usize, off_path: bool) -> SegmentId {
        let index = self.unnamed_segment();
        let slow = self.hooks.get(from).is_some_and(|from| self.comes_to_switch(from));
        let slow = slow.then(|| self.unnamed_segment());
        self.segments.push(SegmentPlan {
            index,
            slow,
            direction,
            from: HookId::at(from),
            to: HookId::at(to),
            off_path,
        });
        index
    }

    /// Whether packets come to the switch with a slow path from `hook`. Neighbours are ports of the same switch.
    fn comes_to_switch(&self, hook: &HookPlan) -> bool {
        let is_port = |interface: &Interface| self.slow_at.contains(&interface.ifindex);
        let is_there = if hook.is_neighbour() {
            self.hooks.iter().flat_map(|hook| &hook.interfaces).any(is_port)
        } else {
            hook.interfaces.iter().any(is_port)
        };
        hook.side == Side::Ingress && is_there
    }

    /// The hooks behind which they do.
    fn upcalled_after(&self) -> HookSet {
        let hooks = self.hooks.iter().enumerate().filter(|(_, hook)| self.comes_to_switch(hook));
        hooks.map(|(place, _)| place).collect()
    }

    /// A segment that is not between two hooks.
    const fn unnamed_segment(&mut self) -> SegmentId {
        let index = self.next_segment;
        self.next_segment = index.behind(1);
        index
    }
}

/// Whether a hook on the way out is the last one before interfaces that others' packets cross, too, if there are any.
fn is_last_of_own(direction: Direction, stop: &Stop<'_>, behind: Option<&Stop<'_>>) -> bool {
    let is_own = |stop: &Stop<'_>| !stop.hop.facts.shared;
    direction == Direction::Egress && is_own(stop) && !behind.is_some_and(is_own)
}

fn set_segment(config: &mut HookConfig, from: usize, segment: SegmentId) {
    if let Some(place) = config.segment_from.get_mut(from) {
        *place = segment.0;
    }
}

/// Traffic control sees at its ingress what an interface receives.
fn side(hop: &Hop, direction: Direction) -> Side {
    if hop.facts.receives == direction { Side::Ingress } else { Side::Egress }
}

/// `name` is that of the role where it is not given.
fn label(hop: &Hop, name: Option<&str>, alternatives: usize) -> String {
    let name = name.unwrap_or(hop.role.as_str());
    if alternatives > 1 { format!("{name}:{}", hop.ifname) } else { name.to_owned() }
}

#[cfg(test)]
mod tests;
