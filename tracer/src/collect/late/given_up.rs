//! Which packets were given up lately, and which of them have come. Pure.

use std::collections::{HashMap, VecDeque};

use hoptrace_common::inflight::Ended;

use super::Late;

/// How long a packet that was given up is remembered, from when it was seen last.
const REMEMBERED_NS: u64 = 30_000_000_000;
/// How many are remembered at most; in a trace of several ports each has its share.
const MOST: u32 = 1 << 16;
/// No share is smaller than this.
const MOST_OF_PORT: u32 = 1 << 9;

/// What was given up of one port lately.
#[derive(Debug)]
pub(in crate::collect) struct GivenUp {
    /// So many are remembered: the oldest are forgotten first.
    most: usize,
    of: HashMap<u64, Alike>,
    /// Each packet that is, or was, among them: when it was seen last, and its identity.
    order: VecDeque<(u64, u64)>,
}

/// Packets of one identity.
#[derive(Debug, Default)]
struct Alike {
    /// The oldest first.
    lost: VecDeque<Ended>,
    /// When those were first seen again that have come.
    came_ns: Vec<u64>,
    /// How often the identity is in the order.
    known: usize,
    /// One has come that could be any of several.
    is_mixed: bool,
}

impl GivenUp {
    /// Nothing yet, of one of so many ports.
    pub(in crate::collect) fn of_one_of(ports: u32) -> Self {
        let most = (MOST / ports.max(1)).max(MOST_OF_PORT);
        Self { most: most as usize, of: HashMap::new(), order: VecDeque::new() }
    }

    /// Remembers a packet.
    pub(in crate::collect) fn remember(&mut self, packet: &Ended) {
        if self.order.len() >= self.most {
            self.forget_oldest();
        }
        let alike = self.of.entry(packet.key).or_default();
        alike.lost.push_back(*packet);
        alike.known += 1;
        self.order.push_back((packet.seen_ns, packet.key));
    }

    /// Forgets those that are remembered for long enough at `now_ns`.
    pub(in crate::collect) fn forget(&mut self, now_ns: u64) {
        let is_old = |seen_ns: u64| now_ns.saturating_sub(seen_ns) > REMEMBERED_NS;
        while self.order.front().is_some_and(|(seen_ns, _)| is_old(*seen_ns)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((seen_ns, key)) = self.order.pop_front() else { return };
        let Some(alike) = self.of.get_mut(&key) else { return };
        alike.lost.retain(|packet| packet.seen_ns != seen_ns);
        alike.known -= 1;
        if alike.known == 0 {
            self.of.remove(&key);
        }
    }

    /// Whether `came`, which no first hook saw, is one of them: the oldest one that can be it. Each comes once, however often it is looked at.
    pub(in crate::collect) fn take(&mut self, came: &Ended) -> Option<Late> {
        let alike = self.of.get_mut(&came.key)?;
        if alike.came_ns.contains(&came.first_ns) {
            return None;
        }
        let can_be = |lost: &Ended| {
            lost.control.direction() == came.control.direction()
                && lost.control.passed() & 1 << came.first == 0
                && lost.seen_ns < came.first_ns
        };
        let mut places =
            alike.lost.iter().enumerate().filter(|(_, lost)| can_be(lost)).map(|(place, _)| place);
        let place = places.next()?;
        alike.is_mixed |= places.next().is_some();
        let lost = alike.lost.remove(place)?;
        alike.came_ns.push(came.first_ns);
        Some(Late { lost, came: *came, is_one_of_several: alike.is_mixed })
    }
}

#[cfg(test)]
mod tests {
    use hoptrace_common::inflight::Control;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn packet(key: u64, direction: u8, [first, last]: [u8; 2], [first_ns, seen_ns]: [u64; 2]) -> Ended {
        let control = Control::first(last, direction, first > 0, false);
        Ended { control, key, first, first_ns, seen_ns, site: None }
    }

    /// Seen at the hooks 0 and 2, last at `seen_ns`.
    fn lost(key: u64, seen_ns: u64) -> Ended {
        packet(key, 0, [0, 2], [seen_ns - 5, seen_ns])
    }

    /// Seen at the hook 3 at `first_ns`.
    fn came(key: u64, first_ns: u64) -> Ended {
        packet(key, 0, [3, 3], [first_ns; 2])
    }

    fn given_up(packets: &[Ended]) -> GivenUp {
        let mut given_up = GivenUp::of_one_of(1);
        for packet in packets {
            given_up.remember(packet);
        }
        given_up
    }

    #[test]
    fn a_packet_comes_once_and_its_time_is_known() {
        let mut given_up = given_up(&[lost(7, 100), lost(8, 200)]);
        let late = given_up.take(&came(7, 2_100)).unwrap();
        assert_eq!((late.lost.key, late.latency_ns()), (7, Some(2_000)));
        assert_eq!(given_up.take(&came(7, 2_100)), None, "looked at again");
        assert_eq!(given_up.take(&came(9, 2_100)), None, "another one");
        assert_eq!(given_up.take(&came(8, 2_300)).unwrap().latency_ns(), Some(2_100));
    }

    #[test]
    fn only_what_comes_later_and_further_on_its_way_is_it() {
        let mut given_up = given_up(&[lost(7, 100)]);
        let cases = [
            ("before", came(7, 90)),
            ("where it was", packet(7, 0, [2, 3], [300, 400])),
            ("the other direction", packet(7, 1, [3, 3], [300, 300])),
        ];
        for (why, not_it) in cases {
            assert_eq!(given_up.take(&not_it), None, "{why}");
        }
        assert!(given_up.take(&came(7, 300)).is_some());
    }

    /// The hooks at neighbours' ports have numbers behind those of the path.
    #[test]
    fn what_came_from_a_neighbour_s_port_comes_at_a_hook_with_a_lower_number() {
        let mut given_up = given_up(&[packet(7, 1, [8, 8], [100; 2])]);
        assert_eq!(given_up.take(&packet(7, 1, [5, 7], [2_100, 2_200])).unwrap().latency_ns(), Some(2_000));
    }

    #[test]
    fn packets_that_look_the_same_are_counted_and_not_timed() {
        let mut given_up = given_up(&[lost(7, 100), lost(7, 1_100)]);
        let late = given_up.take(&came(7, 2_100)).unwrap();
        assert_eq!((late.lost.seen_ns, late.latency_ns()), (100, None));
        assert_eq!(given_up.take(&came(7, 2_100)), None, "the same sight is not the other one");
        assert_eq!(
            given_up.take(&came(7, 2_200)).unwrap().latency_ns(),
            None,
            "which of them was first is not known"
        );
        assert_eq!(given_up.take(&came(7, 2_300)), None);
    }

    #[test]
    fn what_no_exact_clock_saw_is_counted_only() {
        let untimed = Ended { control: Control(lost(7, 100).control.0 | 1 << 38), ..lost(7, 100) };
        assert!(untimed.control.untimed());
        assert_eq!(given_up(&[untimed]).take(&came(7, 300)).unwrap().latency_ns(), None);
    }

    #[test]
    fn what_was_given_up_long_ago_is_forgotten() {
        let mut given_up = given_up(&[lost(7, SECOND), lost(8, 20 * SECOND), lost(7, 25 * SECOND)]);
        given_up.forget(32 * SECOND);
        assert_eq!(given_up.take(&came(7, 33 * SECOND)).unwrap().lost.seen_ns, 25 * SECOND);
        given_up.forget(51 * SECOND);
        assert_eq!(given_up.take(&came(8, 52 * SECOND)), None);
        given_up.forget(60 * SECOND);
        assert!(given_up.of.is_empty() && given_up.order.is_empty());
    }

    #[test]
    fn of_more_than_there_is_room_for_the_oldest_are_forgotten() {
        let mut given_up = GivenUp::of_one_of(64);
        let (most, all) = (given_up.most, given_up.most as u64 + 3);
        assert_eq!(most, 1_024);
        for number in 1..=all {
            given_up.remember(&lost(number, 10 * number));
        }
        assert_eq!((given_up.of.len(), given_up.order.len()), (most, most));
        assert!(given_up.take(&came(3, 20 * all)).is_none() && given_up.take(&came(4, 20 * all)).is_some());
    }
}
