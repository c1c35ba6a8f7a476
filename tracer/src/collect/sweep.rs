//! What one look at the in-flight table found, port by port. Pure.

use std::collections::BTreeSet;

use hoptrace_common::inflight::{Control, End, Ended, EndedGroup, Settled};

use super::late::{GivenUp, Late};
use crate::model::{Direction, PerDirection, PortId, Room};

/// What a sweep found of one port's packets.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Packets that were not seen again in time, and did not go elsewhere.
    pub(crate) ended: Vec<Ended>,
    /// Packets that the kernel freed at a drop site, and that no hook has seen since.
    pub(crate) dropped: Vec<(Ended, u32)>,
    /// Packets that were not seen again in time before, and that have come now.
    pub(crate) late: Vec<Late>,
    /// Groups of packets that were not seen again in time.
    pub(crate) groups: Vec<EndedGroup>,
    /// Packets of which only copies beside the path were seen again, by the direction they entered in.
    pub(crate) elsewhere: PerDirection<u64>,
    /// Packets that were sent to a wrong port, and seen nowhere else, by the direction they entered in.
    pub(crate) astray: PerDirection<u64>,
    /// Packets on their way, by the direction they entered in.
    pub(crate) in_flight: PerDirection<u64>,
}

/// What a sweep found, by the port whose packets they are: an identity in the table tells.
#[derive(Debug)]
pub(super) struct Sweeps {
    room: Room,
    ports: Vec<Sweep>,
}

impl Sweeps {
    /// Nothing yet.
    pub(super) fn of(room: Room) -> Self {
        Self { room, ports: (0..room.ports()).map(|_| Sweep::default()).collect() }
    }

    /// Adds what became of a slot. What is for a VM that is known to the switch and comes to another port is no copy that the switch
    /// floods. What was `given_up` of its port before may have come.
    pub(super) fn take(
        &mut self,
        settled: Settled,
        known_to_switch: &BTreeSet<PortId>,
        given_up: &mut [GivenUp],
    ) {
        let Some((port, sweep)) = self.of_key(&settled) else { return };
        let Some(given_up) = usize::try_from(port.0).ok().and_then(|place| given_up.get_mut(place)) else {
            return;
        };
        match settled {
            Settled::Ended(packet) if packet.end() == End::Elsewhere => {
                count(&mut sweep.elsewhere, packet.control, 1);
            }
            Settled::Ended(packet)
                if packet.end() == End::Astray
                    && (known_to_switch.contains(&port) || packet.control.direction() == 0) =>
            {
                count(&mut sweep.astray, packet.control, 1);
            }
            Settled::Ended(packet) => {
                sweep.late.extend(packet.control.joined().then(|| given_up.take(&packet)).flatten());
                given_up.remember(&packet);
                sweep.ended.push(packet);
            }
            Settled::Joined(packet) => sweep.late.extend(given_up.take(&packet)),
            Settled::Dropped(packet, site) => sweep.dropped.push((packet, site)),
            Settled::EndedGroup(group) => sweep.groups.push(group),
            Settled::InFlight(packet) => count(&mut sweep.in_flight, packet.control, 1),
            Settled::InFlightGroup(group) => {
                count(&mut sweep.in_flight, group.control, group.packets.into());
            }
            Settled::Idle | Settled::Freed => {}
        }
    }

    /// What was found of one port's packets.
    pub(super) fn of_port(&mut self, port: PortId) -> Sweep {
        let place = usize::try_from(port.0).ok();
        place.and_then(|place| self.ports.get_mut(place)).map(std::mem::take).unwrap_or_default()
    }

    fn of_key(&mut self, settled: &Settled) -> Option<(PortId, &mut Sweep)> {
        let key = match settled {
            Settled::Idle | Settled::Freed => return None,
            Settled::Ended(packet)
            | Settled::Joined(packet)
            | Settled::Dropped(packet, _)
            | Settled::InFlight(packet) => packet.key,
            Settled::EndedGroup(group) => group.key,
            Settled::InFlightGroup(group) => group.key,
        };
        let port = self.room.port_of_key(key);
        Some((port, self.ports.get_mut(usize::try_from(port.0).ok()?)?))
    }
}

fn count(counts: &mut PerDirection<u64>, control: Control, packets: u64) {
    *counts.of_mut(Direction::of_index(control.direction())) += packets;
}

#[cfg(test)]
mod tests {
    use hoptrace_common::{inflight::InFlightGroup, ports::key_at};

    use super::*;

    const IDENTITY: u64 = 0x1234_5678_9abc_def0;

    fn packet(port: u32, direction: u8) -> Ended {
        let control = Control::first(0, direction, false, false);
        Ended { control, key: key_at(IDENTITY, port), first: 0, first_ns: 1, seen_ns: 1, site: None }
    }

    /// What each of two ports has after all that.
    fn swept(settled: impl IntoIterator<Item = Settled>) -> [Sweep; 2] {
        let mut sweeps = Sweeps::of(Room::for_several([20, 20].into_iter(), None));
        let mut given_up = [GivenUp::of_one_of(2), GivenUp::of_one_of(2)];
        settled.into_iter().for_each(|settled| sweeps.take(settled, &BTreeSet::new(), &mut given_up));
        [0, 1].map(|port| sweeps.of_port(PortId(port)))
    }

    #[test]
    fn each_port_has_its_own_packets() {
        let group = InFlightGroup { control: packet(1, 1).control, key: packet(1, 1).key, packets: 3 };
        let [first, second] = swept([
            Settled::Ended(packet(0, 0)),
            Settled::Dropped(packet(1, 0), 7),
            Settled::InFlight(packet(0, 1)),
            Settled::InFlightGroup(group),
            Settled::Idle,
            Settled::Freed,
        ]);
        assert_eq!(
            (first.ended.len(), first.dropped.len(), first.in_flight),
            (1, 0, PerDirection { egress: 0, ingress: 1 })
        );
        assert_eq!(
            (second.ended.len(), second.dropped.len(), second.in_flight),
            (0, 1, PerDirection { egress: 0, ingress: 3 })
        );
    }

    #[test]
    fn a_packet_that_comes_after_it_was_given_up_is_late() {
        let joined = Control::first(3, 0, true, true);
        let came = Ended { control: joined, first: 3, first_ns: 9, seen_ns: 9, ..packet(1, 0) };
        let [first, second] = swept([
            Settled::Joined(came),
            Settled::Ended(packet(1, 0)),
            Settled::Joined(came),
            Settled::Joined(came),
        ]);
        assert_eq!((first.late.len(), second.ended.len(), second.late.len()), (0, 1, 1));
        // And is given up again behind the hook where it came.
        let [_, second] = swept([Settled::Ended(packet(1, 0)), Settled::Ended(came)]);
        assert_eq!((second.ended.len(), second.late.len()), (2, 1));
    }

    #[test]
    fn the_packets_of_a_port_that_there_is_no_room_for_are_nobodys() {
        let [first, second] = swept([Settled::Ended(packet(9, 0))]);
        assert!(first.ended.is_empty() && second.ended.is_empty());
    }

    #[test]
    fn a_trace_of_one_port_has_whole_identities() {
        let mut sweeps = Sweeps::of(Room::for_one(20));
        sweeps.take(Settled::Ended(packet(513, 0)), &BTreeSet::new(), &mut [GivenUp::of_one_of(1)]);
        assert_eq!(sweeps.of_port(PortId::FIRST).ended.len(), 1);
    }
}
