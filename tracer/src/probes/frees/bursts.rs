//! Whether packets died all the time, or in bursts. Pure.

use crate::model::Bursts;

/// Fewer bursts than this are told by the first and the last time.
const LEAST_BURSTS: u64 = 3;
/// So many packets a burst at least: one by one they die at a slow pace.
const LEAST_PACKETS: u64 = 4;
/// Between two bursts nothing dies for so long at least: a little less than from one look to the next, of which more come while the last packets are
/// waited for.
const QUIET_NS: u64 = 90_000_000;

/// The times at which packets of one kind died, by looks at how many have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    packets: u64,
    /// When more had died than before, as of the last such look.
    grew_ns: u64,
    /// When the last burst began at the earliest.
    since_ns: u64,
    bursts: u64,
    first_ns: u64,
    longest_ns: u64,
    all_ns: u64,
    /// Some of the packets have not died after all: which bursts there were is not known.
    is_unknown: bool,
}

impl Times {
    /// So many have died until `now_ns`; the look before was at `before_ns`.
    pub(super) fn look(&mut self, packets: u64, before_ns: u64, now_ns: u64) {
        if packets < self.packets {
            self.forget();
        }
        if packets > self.packets {
            let begins = self.bursts == 0 || before_ns.saturating_sub(self.grew_ns) >= QUIET_NS;
            if begins {
                self.bursts += 1;
                self.since_ns = before_ns;
                if self.bursts == 1 {
                    self.first_ns = before_ns;
                }
            }
            let begun_ns = if begins { before_ns } else { self.grew_ns };
            self.all_ns = self.all_ns.saturating_add(now_ns.saturating_sub(begun_ns));
            self.longest_ns = self.longest_ns.max(now_ns.saturating_sub(self.since_ns));
            self.grew_ns = now_ns;
        }
        self.packets = packets;
    }

    /// Some that had been counted have not died.
    pub(super) const fn forget(&mut self) {
        self.is_unknown = true;
    }

    /// The bursts, where they are what is to know: nothing died for half of the time.
    pub(super) fn told(&self) -> Option<Bursts> {
        if self.is_unknown || self.bursts < LEAST_BURSTS || self.packets / LEAST_PACKETS < self.bursts {
            return None;
        }
        let every_ns = self.since_ns.saturating_sub(self.first_ns) / (self.bursts - 1);
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
    fn looks_that_follow_each_other_fast_end_no_burst() {
        let mut times = Times::default();
        let mut now_ns = 0;
        let mut look = |packets, after_ns| {
            times.look(packets, now_ns, now_ns + after_ns);
            now_ns += after_ns;
            times.told()
        };
        for burst in 1..=3 {
            look(40 * burst, LOOK_NS);
            // As while packets are waited for: one dies now and then.
            for more in 1..5 {
                look(40 * burst + more - 1, LOOK_NS / 5);
                look(40 * burst + more, LOOK_NS / 5);
            }
            look(40 * burst + 4, 10 * LOOK_NS);
        }
        let told = look(124, LOOK_NS).unwrap();
        assert_eq!((told.count, told.longest_ns), (3, LOOK_NS + 8 * LOOK_NS / 5));
    }

    #[test]
    fn where_packets_come_that_had_been_given_up_nothing_is_told_of_bursts() {
        let mut times = Times::default();
        for look in 1..=40 {
            let packets = if look == 40 { 149 } else { 50 * (look / 10) };
            times.look(packets, look * LOOK_NS, (look + 1) * LOOK_NS);
            assert_eq!(times.told().is_some(), (30..40).contains(&look), "{look}");
        }
        times.look(199, 41 * LOOK_NS, 42 * LOOK_NS);
        assert_eq!(times.told(), None);
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
