//! The slowest packets of each direction. Pure.

use crate::model::{Direction, PacketWay};

/// The slowest packets seen so far, slowest first, per direction.
#[derive(Debug, Default)]
pub(super) struct Top {
    size: usize,
    kept: [Vec<PacketWay<'static>>; 2],
}

impl Top {
    /// Keeps `size` packets of each direction.
    pub(super) fn new(size: usize) -> Self {
        Self { size, kept: [Vec::new(), Vec::new()] }
    }

    /// Keeps the packet if it is one of the slowest. Of equal ones the first stays.
    pub(super) fn offer(&mut self, way: PacketWay<'_>) {
        let Some(kept) = self.kept.get_mut(usize::from(way.direction.index())) else { return };
        let place = kept.partition_point(|other| other.total_ns() >= way.total_ns());
        if place < self.size {
            kept.insert(place, way.into_owned());
            kept.truncate(self.size);
        }
    }

    /// What a packet of `direction` must exceed to be kept, in nanoseconds; 0 while there is room for any.
    pub(super) fn threshold_ns(&self, direction: Direction) -> u64 {
        let last = self.of(direction).get(self.size.saturating_sub(1));
        last.map_or(0, |way| u64::from(way.total_ns()))
    }

    /// Those of one direction, slowest first.
    pub(super) fn of(&self, direction: Direction) -> &[PacketWay<'static>] {
        self.kept.get(usize::from(direction.index())).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::model::{Flow, WayPoint};

    fn way(identity: u64, total_ns: u32) -> PacketWay<'static> {
        PacketWay {
            direction: Direction::Ingress,
            identity,
            time_ns: 0,
            len_bytes: 60,
            flow: Flow {
                protocol: "icmp".into(),
                source: IpAddr::from([10, 0, 0, 1]),
                destination: IpAddr::from([10, 0, 0, 2]),
                source_port: None,
                destination_port: None,
            },
            hops: vec![
                WayPoint { hook: "nic".into(), at_ns: 0 },
                WayPoint { hook: "tap".into(), at_ns: total_ns },
            ],
            sampled: false,
            slow: true,
            upcall: false,
        }
    }

    #[test]
    fn the_slowest_stay_in_order() {
        let mut top = Top::new(3);
        for (identity, total_ns) in [(1, 50), (2, 90)] {
            top.offer(way(identity, total_ns));
        }
        assert_eq!(top.threshold_ns(Direction::Ingress), 0, "there is room for one more");
        for (identity, total_ns) in [(3, 10), (4, 70), (5, 50), (6, 5), (7, 70)] {
            top.offer(way(identity, total_ns));
        }
        let kept: Vec<_> = top.of(Direction::Ingress).iter().map(|way| way.identity).collect();
        assert_eq!((kept, top.threshold_ns(Direction::Ingress)), (vec![2, 4, 7], 70));
        assert!(top.of(Direction::Egress).is_empty());
    }
}
