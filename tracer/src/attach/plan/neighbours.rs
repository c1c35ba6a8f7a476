//! Hooks at the ports beside the path: what leaves there instead of going to the wire, and what comes from there. That are
//! other VMs' ports and the host's own on the switch before the NIC, and the own interface of the Linux bridge at the tap.

use hoptrace_common::config::HookConfig;

use super::{Builder, set_segment};
use crate::model::{Direction, HookPlan, OtherPort, PerDirection, PortKind, SegmentId, Side};

/// What reports call them, all together.
const LABEL: &str = "neighbour";

impl Builder<'_> {
    /// Adds a hook for each direction, at all ports beside the path: an alternative to the last hook on the way out, and to
    /// the first on the way in; at a Linux bridge's own, behind the tap and before it. Gives the segments of the whole way to and from them.
    /// `overtakes`: packets may leave there before the first hook has seen them.
    pub(super) fn add_neighbours(&mut self, ports: &[OtherPort], overtakes: bool) -> PerDirection<SegmentId> {
        PerDirection { egress: self.way_out(ports, overtakes), ingress: self.way_in(ports) }
    }

    fn way_out(&mut self, ports: &[OtherPort], overtakes: bool) -> SegmentId {
        let (place, total) = (self.hooks.len(), self.unnamed_segment());
        let mut config = HookConfig {
            flags: HookConfig::NEIGHBOUR,
            traits: if overtakes { HookConfig::OVERTAKES } else { 0 },
            total_segment: total.0,
            ..HookConfig::default()
        };
        let before = self.before_nic(Direction::Egress, |(from, to)| (to, from));
        for from in self.at_tap(ports, Direction::Egress).into_iter().chain(before) {
            let segment = self.segment(Direction::Egress, from, place, true);
            set_segment(&mut config, from, segment);
        }
        for hook in self.hooks.iter_mut().filter(|hook| hook.direction == Direction::Egress) {
            let at_nic = hook.config.flags & HookConfig::SHARED != 0;
            hook.config.beside = if at_nic { 0 } else { 1 << place };
        }
        self.hooks.push(hook(ports, Direction::Egress, Side::Egress, config));
        total
    }

    fn way_in(&mut self, ports: &[OtherPort]) -> SegmentId {
        let place = self.hooks.len();
        let total = self.unnamed_segment();
        let mut later = 0;
        for (place, hook) in self.hooks.iter_mut().enumerate() {
            if hook.direction == Direction::Ingress && hook.config.flags & HookConfig::SHARED == 0 {
                hook.config.total_from_neighbour = total.0;
                later |= 1 << place;
            }
        }
        let config = HookConfig {
            direction: Direction::Ingress.index(),
            flags: HookConfig::NEIGHBOUR | HookConfig::ENTRY,
            later,
            ..HookConfig::default()
        };
        self.neighbour_entries = self.neighbour_entries.with(place);
        let inner = self.before_nic(Direction::Ingress, |ends| ends);
        self.hooks.push(hook(ports, Direction::Ingress, Side::Ingress, config));
        for to in inner.into_iter().chain(self.at_tap(ports, Direction::Ingress)) {
            let segment = self.segment(Direction::Ingress, place, to, true);
            if let Some(hook) = self.hooks.get_mut(to) {
                set_segment(&mut hook.config, place, segment);
            }
        }
        total
    }

    /// The hook of `direction` at the tap, where the own interface of its Linux bridge is beside it.
    fn at_tap(&self, ports: &[OtherPort], direction: Direction) -> Option<usize> {
        let is_there = ports.iter().any(|port| port.kind == PortKind::Bridge);
        let is_tap =
            |hook: &HookPlan| hook.direction == direction && hook.config.flags & HookConfig::GUEST != 0;
        self.hooks.iter().position(is_tap).filter(|_| is_there)
    }

    /// The hooks of `direction` next to those at the NICs, on the VM's side; `order` puts the end of a segment that is
    /// nearer to the wire first.
    fn before_nic(
        &self,
        direction: Direction,
        order: impl Fn((usize, usize)) -> (usize, usize),
    ) -> Vec<usize> {
        let segments = self.segments.iter().filter(|segment| segment.direction == direction);
        let at_nic = |place: usize| {
            self.hooks.get(place).is_some_and(|hook| hook.config.flags & HookConfig::SHARED != 0)
        };
        let mut ends: Vec<usize> = segments
            .map(|segment| order((segment.from.place(), segment.to.place())))
            .filter(|(outer, inner)| at_nic(*outer) && !at_nic(*inner))
            .map(|(_, other)| other)
            .collect();
        ends.dedup();
        ends
    }
}

/// Its interfaces are those of this network namespace. `side` is the one at ports that the switch sends to; at others it is the
/// other one.
fn hook(ports: &[OtherPort], direction: Direction, side: Side, config: HookConfig) -> HookPlan {
    let here = ports.iter().filter(|port| port.namespace.is_none());
    let interfaces = here.map(OtherPort::interface).collect();
    HookPlan { label: LABEL.to_owned(), interfaces, side, direction, config }
}
