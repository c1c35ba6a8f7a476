//! Whether packets died all the time, or in bursts. Pure.

use crate::model::Bursts;

/// Fewer bursts than this are told by the first and the last time.
const LEAST_BURSTS: u64 = 3;
/// So many packets a burst at least: one by one they die at a slow pace.
const LEAST_PACKETS: u64 = 4;

/// The times at which packets of one kind died, by looks at how many have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    packets: u64,
    /// When the burst that goes on began at the earliest.
    since_ns: Option<u64>,
    bursts: u64,
    first_ns: u64,
    last_ns: u64,
    longest_ns: u64,
    all_ns: u64,
}

impl Times {
    /// So many have died until `now_ns`; the look before was at `before_ns`. Between two bursts nothing dies from one look to the next.
    pub(super) fn look(&mut self, packets: u64, before_ns: u64, now_ns: u64) {
        if packets < self.packets {
            // Some of them have come: which bursts there were is not known.
            *self = Self { packets, ..Self::default() };
            return;
        }
        let has_more = packets > self.packets;
        self.packets = packets;
        if !has_more {
            self.since_ns = None;
            return;
        }
        let begins = self.since_ns.is_none();
        let since_ns = *self.since_ns.get_or_insert(before_ns);
        if begins {
            self.bursts += 1;
            self.last_ns = since_ns;
            if self.bursts == 1 {
                self.first_ns = since_ns;
            }
        }
        self.longest_ns = self.longest_ns.max(now_ns.saturating_sub(since_ns));
        self.all_ns = self.all_ns.saturating_add(now_ns.saturating_sub(before_ns));
    }

    /// The bursts, where they are what is to know: nothing died for half of the time.
    pub(super) fn told(&self) -> Option<Bursts> {
        if self.bursts < LEAST_BURSTS || self.packets / LEAST_PACKETS < self.bursts {
            return None;
        }
        let every_ns = self.last_ns.saturating_sub(self.first_ns) / (self.bursts - 1);
        (self.all_ns / self.bursts <= every_ns / 2).then_some(Bursts {
            count: self.bursts,
            longest_ns: self.longest_ns,
            every_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK_NS: u64 = 100_000_000;

    /// What is told of packets of which so many more had died at each look.
    fn told(more: impl IntoIterator<Item = u64>) -> Option<Bursts> {
        let (mut times, mut packets) = (Times::default(), 0);
        for (look, more) in (1..).zip(more) {
            packets += more;
            times.look(packets, look * LOOK_NS, (look + 1) * LOOK_NS);
        }
        times.told()
    }

    /// So many packets in each of `bursts` of so many looks, with as many looks between them as `quiet` says.
    fn bursts(packets: u64, looks: usize, quiet: usize, bursts: usize) -> impl Iterator<Item = u64> {
        let one = std::iter::repeat_n(packets, looks).chain(std::iter::repeat_n(0, quiet));
        std::iter::repeat_n(one, bursts).flatten()
    }

    #[test]
    fn bursts_are_counted_with_how_long_and_how_often() {
        let every_second = Bursts { count: 20, longest_ns: LOOK_NS, every_ns: 10 * LOOK_NS };
        assert_eq!(told(bursts(50, 1, 9, 20)), Some(every_second));
        let longer = Bursts { count: 3, longest_ns: 2 * LOOK_NS, every_ns: 5 * LOOK_NS };
        assert_eq!(told(bursts(50, 2, 3, 3)), Some(longer));
        // The last one goes on.
        assert_eq!(told(bursts(50, 1, 9, 2).chain([50])).unwrap().count, 3);
    }

    #[test]
    fn what_dies_all_the_time_or_one_by_one_is_no_burst() {
        assert_eq!(told(bursts(50, 200, 0, 1)), None);
        assert_eq!(told(bursts(50, 3, 1, 50)), None, "most of the time");
        assert_eq!(told(bursts(3, 1, 9, 50)), None, "at a slow pace");
        assert_eq!(told(bursts(50, 1, 9, 2)), None, "the first time and the last say as much");
        assert_eq!(told([]), None);
    }
}
