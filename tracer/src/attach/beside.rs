//! The programs at ports beside the path, in whatever network namespace those are.

use std::collections::{BTreeMap, BTreeSet};

use aya::{
    Ebpf,
    maps::{HashMap, MapError, PerCpuHashMap, PerCpuValues},
    programs::SchedClassifier,
};
use hoptrace_common::neighbour::{BEHIND, MAX_NEIGHBOURS, Neighbour, behind_key, port_key};

use super::{AttachError, attacher::Attacher, side::TcSide, stand_in::HookPlace};
use crate::model::{Direction, MacAddr, OtherPort, PortKind, Printable};

/// What the programs know and count of the ports.
pub(super) const NEIGHBOURS: &str = "NEIGHBOURS";
/// Who else is behind them.
pub(super) const MACS_BEHIND: &str = "MACS_BEHIND";

/// A port without a hook.
#[derive(Debug)]
pub(super) struct Unhooked {
    /// Where it is, in words.
    pub(super) place: String,
    why: String,
}

impl std::fmt::Display for Unhooked {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { place, why } = self;
        let meaning = "what goes there counts as lost, or if it was answered, as answered by the switch";
        write!(formatter, "no hook at {place}: {meaning} ({why})")
    }
}

/// Whether the programs have to tell network namespaces apart.
pub(super) fn namespaces<'p>(mut ports: impl Iterator<Item = &'p OtherPort>) -> u32 {
    u32::from(ports.any(|port| port.namespace.is_some()))
}

/// The ports beside the paths of all traced ports. They stay when a traced one goes.
#[derive(Debug)]
pub(super) struct Beside {
    /// Possible CPUs.
    cpus: u32,
    /// The number of this network namespace; 0 where the programs need not tell namespaces apart.
    here: u32,
    /// Where the programs find them, and the direction of those that are there.
    known: BTreeMap<u64, BTreeSet<Direction>>,
    unhooked: Vec<Unhooked>,
    /// Where those are that there was no room for.
    left_out: BTreeSet<String>,
}

impl Beside {
    pub(super) const fn of(cpus: u32, here: u32) -> Self {
        Self { cpus, here, known: BTreeMap::new(), unhooked: Vec::new(), left_out: BTreeSet::new() }
    }

    /// That there was not room for all, if so.
    pub(super) fn left_out(&self) -> Option<String> {
        let left_out = self.left_out.len();
        (left_out > 0).then(|| {
            format!(
                "no hook at {left_out} of the ports beside the paths, because there is room for {MAX_NEIGHBOURS}: what goes there \
                 counts as lost"
            )
        })
    }

    /// Whether the port at `place` has a hook.
    pub(super) fn is_hooked(&self, place: &str) -> bool {
        self.unhooked.iter().all(|port| port.place != place) && !self.left_out.contains(place)
    }

    /// Those that the kernel refused a hook.
    pub(super) fn unhooked(&self) -> impl Iterator<Item = &Unhooked> {
        self.unhooked.iter()
    }

    /// Tells the programs of those ports that they do not know. Where they do not tell namespaces apart, one of another namespace stays
    /// unknown.
    pub(super) fn introduce(&mut self, ebpf: &mut Ebpf, ports: &[OtherPort]) -> Result<(), AttachError> {
        let is_new = |port: &&OtherPort| (self.here != 0 || port.namespace.is_none()) && !self.is_known(port);
        let room = (MAX_NEIGHBOURS as usize).saturating_sub(self.known.len());
        let mut new: Vec<&OtherPort> = ports.iter().filter(is_new).collect();
        self.left_out.extend(new.iter().skip(room).map(|port| port.place()));
        new.truncate(room);
        let first = u32::try_from(self.known.len()).unwrap_or(u32::MAX).saturating_add(1);
        let numbered = || (first..).zip(new.iter().copied());
        introduce_ports(ebpf, numbered(), self.cpus, self.here)?;
        introduce_behind(ebpf, numbered())?;
        self.known.extend(new.iter().map(|port| (key(port, self.here), BTreeSet::new())));
        Ok(())
    }

    /// Whether the programs know it.
    pub(super) fn is_known(&self, port: &OtherPort) -> bool {
        self.known.contains_key(&key(port, self.here))
    }

    /// Attaches the program of one direction at those known ports where it is not. What is gone meanwhile is left out; where the kernel
    /// refuses at one of the host's own ports, that is noted.
    pub(super) fn attach(
        &mut self,
        program: &mut SchedClassifier,
        ports: &[OtherPort],
        direction: Direction,
        attacher: &mut Attacher,
    ) -> Result<(), AttachError> {
        for port in ports {
            let known = self.known.get_mut(&key(port, self.here));
            if !known.is_some_and(|directions| directions.insert(direction)) {
                continue;
            }
            match attacher.attach(program, &place(port, direction)) {
                Ok(_) => {}
                Err(AttachError::Gone { ifname }) => {
                    log::info!("{} is gone: not attached to it", Printable(&ifname));
                }
                Err(error) if port.kind.is_inward() => {
                    let place = port.place();
                    // Each direction would say so.
                    if self.unhooked.iter().all(|known| known.place != place) {
                        self.unhooked.push(Unhooked { place, why: error.to_string() });
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Where the program of one direction is to be.
pub(super) fn place(port: &OtherPort, direction: Direction) -> HookPlace {
    let (interface, namespace) = (port.interface(), port.namespace.clone());
    HookPlace { interface, side: side(port, direction), namespace, beside: true }
}

/// Tells the programs who else is behind the ports, each of which has a number.
fn introduce_behind<'p>(
    ebpf: &mut Ebpf,
    ports: impl Iterator<Item = (u32, &'p OtherPort)>,
) -> Result<(), AttachError> {
    let failed = |source| AttachError::Map { map: MACS_BEHIND, source: Box::new(source) };
    let map = ebpf.map_mut(MACS_BEHIND).ok_or_else(|| AttachError::Missing(format!("map {MACS_BEHIND}")))?;
    let mut behind: HashMap<_, u64, u64> = map.try_into().map_err(failed)?;
    for (number, port) in ports {
        for mac in port.macs.iter().skip(1) {
            match behind.insert(behind_key(mac.as_number(), number), BEHIND, 0) {
                // Who is not known from the start is learned.
                Ok(()) | Err(MapError::SyscallError(_)) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(())
}

/// `here` is the number of this network namespace, as in [`key`].
fn introduce_ports<'p>(
    ebpf: &mut Ebpf,
    ports: impl Iterator<Item = (u32, &'p OtherPort)>,
    cpus: u32,
    here: u32,
) -> Result<(), AttachError> {
    let failed = |source| AttachError::Map { map: NEIGHBOURS, source: Box::new(source) };
    let map = ebpf.map_mut(NEIGHBOURS).ok_or_else(|| AttachError::Missing(format!("map {NEIGHBOURS}")))?;
    let mut known: PerCpuHashMap<_, u64, [u64; 7]> = map.try_into().map_err(failed)?;
    for (number, port) in ports {
        let facts = Neighbour {
            mac: port.macs.first().copied().map_or(0, MacAddr::as_number),
            number,
            flags: flags(port),
            ..Neighbour::default()
        };
        let value: [u64; 7] = zerocopy::transmute!(facts);
        let values = PerCpuValues::try_from(vec![value; cpus as usize]);
        let values = values.map_err(|source| failed(MapError::IoError(source)))?;
        known.insert(key(port, here), values, 0).map_err(failed)?;
    }
    Ok(())
}

/// Where the programs find a port; `here` is 0 where they need not tell namespaces apart.
pub(super) fn key(port: &OtherPort, here: u32) -> u64 {
    port_key(port.ifindex.0, port.namespace.as_ref().map_or(here, |namespace| namespace.inum))
}

fn flags(port: &OtherPort) -> u32 {
    let is_known = !port.macs.is_empty() && port.kind != PortKind::Other;
    [
        (is_known, Neighbour::EXCLUSIVE),
        (port.is_mirror, Neighbour::MIRROR),
        (port.kind == PortKind::Local, Neighbour::LOCAL),
        (port.kind.is_inward(), Neighbour::HOST),
        (port.kind == PortKind::Bridge, Neighbour::BRIDGE),
    ]
    .into_iter()
    .fold(0, |flags, (on, flag)| if on { flags | flag } else { flags })
}

/// At a VM's port the kernel sends what is for the VM; of what the switch sends to the host the kernel receives it.
const fn side(port: &OtherPort, direction: Direction) -> TcSide {
    match (direction, port.kind.is_inward()) {
        (Direction::Egress, false) | (Direction::Ingress, true) => TcSide::Egress,
        (Direction::Egress, true) | (Direction::Ingress, false) => TcSide::Ingress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_ports_are_hooked_the_other_way_round() {
        let of = |kind| OtherPort { kind, ..OtherPort::default() };
        for kind in [PortKind::Local, PortKind::Internal, PortKind::Bridge] {
            assert_eq!(side(&of(kind), Direction::Egress), TcSide::Ingress);
            assert_eq!(side(&of(kind), Direction::Ingress), TcSide::Egress);
        }
        for kind in [PortKind::Vm, PortKind::Other] {
            assert_eq!(side(&of(kind), Direction::Egress), TcSide::Egress);
            assert_eq!(side(&of(kind), Direction::Ingress), TcSide::Ingress);
        }
    }

    #[test]
    fn who_is_behind_a_port_is_known_where_somebody_said_so() {
        let macs = vec![MacAddr([2, 0, 0, 0, 0, 1])];
        let vm = OtherPort { macs: macs.clone(), ..OtherPort::default() };
        assert_eq!(flags(&vm), Neighbour::EXCLUSIVE);
        assert_eq!(flags(&OtherPort { macs: Vec::new(), ..vm.clone() }), 0);
        assert_eq!(flags(&OtherPort { kind: PortKind::Other, ..vm.clone() }), 0);
        let local = OtherPort { kind: PortKind::Local, ..vm.clone() };
        assert_eq!(flags(&local), Neighbour::EXCLUSIVE | Neighbour::HOST | Neighbour::LOCAL);
        let bridge = OtherPort { kind: PortKind::Bridge, ..vm };
        assert_eq!(flags(&bridge), Neighbour::EXCLUSIVE | Neighbour::HOST | Neighbour::BRIDGE);
    }
}
