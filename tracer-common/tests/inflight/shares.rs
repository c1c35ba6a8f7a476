//! Packets that are not timed: counted and followed as any other, by a clock that is late.

use hoptrace_common::inflight::{Aside, Clock, Kind, Outcome, Settled, SlotCell as _, State, Visit, settle};

use crate::traced::{KEY, TIMEOUT_NS, Traced, hook};

/// What the coarse clock may say 10 ms after it began to be late.
const LATE_NS: u64 = 10_000_000;

impl Traced {
    fn at_by(&mut self, id: u8, now_ns: u64, clock: Clock) -> Outcome {
        let sight =
            Visit { hook: hook(id), key: KEY, now_ns, clock, admit: true, aside: Aside::No, large: false };
        self.sight(sight)
    }

    /// What a sweep finds that is not counted.
    fn is_in_flight(&self, now_ns: u64) -> bool {
        matches!(settle(&self.table, self.slot(KEY), now_ns), Settled::InFlight(_))
    }
}

#[test]
fn it_is_followed_all_the_way_and_said_to_be_untimed() {
    let mut traced = Traced::new(16);
    assert_eq!(traced.at_by(0, 50, Clock::Coarse).kind, Kind::New);
    for id in 1..4 {
        // The same tick at each of them.
        let outcome = traced.at_by(id, 50, Clock::Coarse);
        assert_eq!((outcome.kind, outcome.hook), (Kind::Passed, id - 1));
        assert!(outcome.control.untimed());
    }
    let ledger = traced.finish(50);
    assert_eq!((ledger.entered, ledger.passed, ledger.completed), (1, 3, 1));
}

#[test]
fn one_hook_that_does_not_take_the_time_is_enough() {
    for coarse in 0..4 {
        let mut traced = Traced::new(16);
        for id in 0..4 {
            // The coarse clock has not reached what the exact one has said: no contradiction.
            let (clock, now_ns) = if id == coarse {
                (Clock::Coarse, LATE_NS)
            } else {
                (Clock::Exact, 2 * LATE_NS + u64::from(id))
            };
            let outcome = traced.at_by(id, now_ns, clock);
            assert_eq!(outcome.kind, if id == 0 { Kind::New } else { Kind::Passed });
            assert_eq!(outcome.control.untimed(), id >= coarse && id > 0, "{coarse} {id}");
        }
        let ledger = traced.finish(3 * LATE_NS);
        assert_eq!((ledger.entered, ledger.completed, ledger.lost), (1, 1, 0));
    }
}

#[test]
fn the_next_packet_of_the_identity_is_timed_again() {
    let mut traced = Traced::new(16);
    for id in 0..4 {
        traced.at_by(id, 50, Clock::Coarse);
    }
    assert_eq!(traced.at_by(0, 100, Clock::Exact).kind, Kind::New);
    let outcome = traced.at_by(1, 107, Clock::Exact);
    assert_eq!((outcome.control.untimed(), outcome.latency_ns), (false, 7));
    traced.finish(107);
}

#[test]
fn it_times_out_no_earlier_than_any_other() {
    let (seen_ns, late) = (5 * LATE_NS, TIMEOUT_NS + LATE_NS);
    let mut traced = Traced::new(16);
    traced.at_by(0, seen_ns, Clock::Coarse);
    assert!(traced.is_in_flight(seen_ns + late));
    assert!(traced.sweep(seen_ns + late + 1).iter().any(|it| matches!(it, Settled::Ended(_))));
    assert_eq!(traced.finish(seen_ns).lost, 1);
}

#[test]
fn a_clock_that_is_late_makes_nothing_old() {
    let mut traced = Traced::new(16);
    traced.at_by(0, 5 * LATE_NS, Clock::Exact);
    // Seen by the coarse clock, which is behind.
    traced.at_by(1, 4 * LATE_NS, Clock::Coarse);
    assert!(traced.is_in_flight(5 * LATE_NS));
    // And its age is counted from the later of the two.
    assert!(traced.is_in_flight(5 * LATE_NS + TIMEOUT_NS));
    traced.finish(5 * LATE_NS);
}

#[test]
fn seen_late_at_a_hook_it_is_as_untimed_as_before() {
    let mut traced = Traced::new(16);
    traced.at_by(0, 50, Clock::Coarse);
    traced.at_by(2, 50, Clock::Coarse);
    let late = traced.at_by(1, 50, Clock::Coarse);
    assert_eq!((late.kind, late.before, late.hook), (Kind::Overtaken, 0, 2));
    assert!(late.control.untimed(), "nothing was recorded that could be taken back");
    assert!(traced.at_by(3, 50, Clock::Coarse).control.untimed());
    traced.finish(50);
}

#[test]
fn equal_ones_are_a_group_whatever_clock_they_came_by() {
    let mut traced = Traced::new(16);
    traced.at_by(0, 50, Clock::Coarse);
    assert_eq!(traced.at_by(0, 50, Clock::Exact).kind, Kind::Grouped);
    for id in [1, 2, 3, 1, 2, 3] {
        assert_eq!(traced.at_by(id, 50, Clock::Coarse).kind, Kind::Grouped);
    }
    assert_eq!(traced.table.at(traced.slot(KEY)).control().state(), State::Done);
    let ledger = traced.finish(50);
    assert_eq!((ledger.entered, ledger.completed), (2, 2));
}

#[test]
fn a_copy_beside_the_path_is_as_untimed_as_its_packet() {
    for (first, second) in [(Clock::Coarse, Clock::Exact), (Clock::Exact, Clock::Coarse)] {
        let mut traced = Traced::new(16);
        traced.at_by(0, 50, first);
        let sight = Visit {
            hook: hook(2),
            key: KEY,
            now_ns: 60,
            clock: second,
            admit: false,
            aside: Aside::Copy,
            large: false,
        };
        let outcome = traced.sight(sight);
        assert_eq!((outcome.kind, outcome.control.untimed()), (Kind::Aside, true));
    }
}
