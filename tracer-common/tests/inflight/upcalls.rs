//! Packets that a switch gives to user space.

use hoptrace_common::inflight::{
    Aside, Control, End, Kind, Marked, Outcome, Reach, Settled, SlotCell as _, State, Table as _, Upcalled,
    Visit, WAYS, find, quickly, settle, upcalled,
};
use proptest::{collection::vec, prelude::*};

use crate::{
    ledger::Ledger,
    machine::{Machine, Processor},
    traced::{KEY, TIMEOUT_NS, Traced, hook, key, seen_at},
};

/// The switch is between qvo and the NIC: behind hooks 2 and 4.
const AFTER: u16 = 1 << 2 | 1 << 4;
const ON_THE_WAY: Reach = Reach { live_after: 0xffff, done_after: 0 };

impl Traced {
    fn upcall(&self, key: u64) -> Upcalled {
        upcalled(&self.table, key, AFTER)
    }

    fn control(&self, key: u64) -> Control {
        find(&self.table, key).unwrap().control
    }
}

#[test]
fn the_hook_behind_the_switch_finds_out_and_those_after_it_do_not() {
    for (start, switch) in [(0, 2), (4, 4)] {
        let mut traced = Traced::new(16);
        for id in start..start + 4 {
            let outcome = traced.at(id, KEY, u64::from(id) * 100);
            let slow = outcome.control.slow();
            assert_eq!(slow, id > switch, "hook {id}: {outcome:?}");
            assert!(!outcome.control.upcalled());
            if id > start {
                assert_eq!((outcome.kind, outcome.latency_ns), (Kind::Passed, 100));
            }
            if id == switch {
                let before = traced.control(KEY);
                assert_eq!(traced.upcall(KEY), Upcalled::Marked(before));
            }
        }
        assert_eq!(traced.control(KEY).state(), State::Done);
        assert_eq!(traced.finish(1_000).completed, 1);
    }
}

#[test]
fn only_such_a_packet_leaves_the_quick_way_and_for_one_hook_only() {
    let mut traced = Traced::new(16);
    let sight = |id: u8| seen_at(hook(id), KEY, 9);
    for id in 4..8 {
        let quick = quickly(&traced.table, &sight(id)).kind;
        assert_eq!(quick == Kind::Retry, id == 5, "hook {id}: {quick:?}");
        if id == 5 {
            assert_eq!(traced.kind(id, KEY, 9), Kind::Passed);
        }
        traced.upcall(KEY);
    }
}

#[test]
fn a_packet_can_be_given_to_user_space_more_than_once() {
    let mut traced = Traced::new(16);
    traced.at(4, KEY, 0);
    traced.upcall(KEY);
    assert_eq!(traced.upcall(KEY), Upcalled::Marked(traced.control(KEY)));
    let outcome = traced.at(5, KEY, 100);
    assert_eq!((outcome.kind, outcome.control.slow()), (Kind::Passed, true));
}

#[test]
fn what_is_not_on_its_way_through_the_switch_is_not_marked() {
    let mut traced = Traced::new(16);
    assert_eq!(traced.upcall(KEY), Upcalled::Unknown, "not in the table");
    for id in 0..4 {
        traced.at(id, KEY, u64::from(id));
        let expected = if id == 2 { Upcalled::Marked(traced.control(KEY)) } else { Upcalled::Unknown };
        assert_eq!(traced.upcall(KEY), expected, "hook {id}");
    }
    let mut traced = Traced::new(16);
    traced.at(4, KEY, 0);
    traced.at(4, KEY, 1);
    assert_eq!(
        traced.upcall(KEY),
        Upcalled::Unknown,
        "of several that look alike nobody can say which it was"
    );
    traced.finish(2);
}

#[test]
fn it_is_found_away_from_its_home_too() {
    let mut traced = Traced::new(16);
    for number in 0..u64::from(WAYS) {
        traced.at(4, key(3, 5, number), 0);
    }
    let last = key(3, 5, 7);
    assert!(matches!(traced.upcall(last), Upcalled::Marked(_)));
    for number in 0..u64::from(WAYS) {
        let outcome = traced.at(5, key(3, 5, number), 10);
        assert_eq!(outcome.control.slow(), number == 7);
    }
}

#[test]
fn the_next_packet_in_the_slot_has_taken_the_fast_path() {
    let mut traced = Traced::new(16);
    for id in 4..8 {
        traced.at(id, KEY, 0);
        traced.upcall(KEY);
    }
    traced.at(4, KEY, 10);
    assert!(!traced.at(5, KEY, 11).control.slow());
    // And one that user space kept.
    traced.upcall(KEY);
    traced.sweep(20 + TIMEOUT_NS);
    traced.at(4, KEY, 20 + TIMEOUT_NS);
    assert!(!traced.control(KEY).upcalled() && !traced.control(KEY).slow());
}

#[test]
fn one_that_user_space_kept_is_lost_and_known_to_have_been_there() {
    let mut traced = Traced::new(16);
    traced.at(4, KEY, 0);
    traced.upcall(KEY);
    let settled = traced.sweep(1 + TIMEOUT_NS);
    let [Settled::Ended(packet)] = settled[..] else { panic!("{settled:?}") };
    assert_eq!((packet.end(), packet.control.upcalled()), (End::Lost, true));
}

#[test]
fn a_copy_beside_the_path_comes_by_the_slow_path_too() {
    let mut traced = Traced::new(16);
    traced.at(2, KEY, 0);
    traced.upcall(KEY);
    let beside = hoptrace_common::inflight::Hook { id: 8, later: 0, ..hook(3) };
    let sight = Visit { admit: false, aside: Aside::Copy, ..seen_at(beside, KEY, 5) };
    let outcome = traced.sight(sight);
    assert_eq!((outcome.kind, outcome.control.back_from_upcall().slow()), (Kind::Aside, true));
    // The packet itself is still on its way.
    assert!(traced.at(3, KEY, 9).control.slow());
}

/// What can happen to one of three packets.
#[derive(Debug, Clone, Copy)]
enum Event {
    Hook(u8),
    Freed(u32),
    Upcall,
    Sweep,
}

fn event() -> impl Strategy<Value = (u64, Event)> {
    let kind = prop_oneof![
        6 => (0_u8..8).prop_map(Event::Hook),
        1 => (0_u32..4).prop_map(Event::Freed),
        4 => Just(Event::Upcall),
        1 => Just(Event::Sweep),
    ];
    (0_u64..3, kind)
}

/// What of an outcome the slow path must not change.
fn without_path(outcome: &Outcome) -> Outcome {
    let bits = Control::PATH_BITS;
    Outcome { control: Control(outcome.control.0 & !bits), ..*outcome }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Upcalls change nothing but which path a packet is said to have taken, whatever else happens to it and others of its
    /// set: the same events without them lead to the same outcomes, marks and ends.
    #[test]
    fn upcalls_change_nothing_else(events in vec(event(), 1..60)) {
        let (mut with, mut without) = (Traced::new(1), Traced::new(1));
        let mut now_ns = 0;
        for (number, event) in events {
            let key = number << 40 | 5 << 32;
            now_ns += 1_000;
            match event {
                Event::Hook(id) => {
                    let (one, other) = (with.at(id, key, now_ns), without.at(id, key, now_ns));
                    prop_assert_eq!(without_path(&one), without_path(&other));
                    prop_assert_eq!(other.control.0 & Control::PATH_BITS, 0);
                }
                Event::Freed(site) => {
                    let (one, other) = (with.freed(key, site, ON_THE_WAY), without.freed(key, site, ON_THE_WAY));
                    prop_assert_eq!(one, other);
                }
                Event::Upcall => {
                    with.upcall(key);
                }
                Event::Sweep => {
                    now_ns += 2 * TIMEOUT_NS;
                    let ends = |traced: &mut Traced| -> Vec<_> {
                        let settled = traced.sweep(now_ns).into_iter();
                        settled.filter_map(|it| match it {
                            Settled::Ended(packet) => Some((packet.key, packet.end())),
                            _ => None,
                        }).collect()
                    };
                    prop_assert_eq!(ends(&mut with), ends(&mut without));
                }
            }
        }
        prop_assert_eq!(with.finish(now_ns), without.finish(now_ns));
    }

    /// A packet is slow behind a hook exactly if it was given to user space behind the hook before, that being one before
    /// the switch.
    #[test]
    fn a_packet_is_slow_exactly_where_it_was_given_away(upcalls in vec(any::<bool>(), 8)) {
        let mut traced = Traced::new(16);
        for start in [0, 4] {
            let key = KEY + u64::from(start);
            let mut slow = false;
            for id in start..start + 4 {
                let outcome = traced.at(id, key, u64::from(id));
                if id > start {
                    let before = id - 1;
                    slow |= upcalls[usize::from(before)] && AFTER & 1 << before != 0;
                    prop_assert_eq!(outcome.control.slow(), slow);
                }
                if upcalls[usize::from(id)] {
                    traced.upcall(key);
                }
            }
        }
        prop_assert_eq!(traced.finish(100).completed, 2);
    }
}

type Program<'a> = Box<dyn FnOnce(Processor<'_>) -> (Ledger, Option<Upcalled>) + Send + 'a>;

/// The switch's program beside the drop program and the sweeper, on the simulated machine: the packet is counted once, and
/// its mark for the drop stays what it was.
#[test]
fn upcalls_beside_frees_and_the_sweeper() {
    let (mut marked, mut missed) = (0, 0);
    for seed in 0..4_000 {
        let machine = Machine::new(1, 3, TIMEOUT_NS, seed);
        let key = 1 << 40 | 5 << 32;
        let mut ledger = Ledger::default();
        for id in 0..3 {
            let sight = seen_at(hook(id), key, 0);
            ledger.count(hook(id), &hoptrace_common::inflight::visit(machine.alone(), &sight));
        }
        let sweeper: Program<'_> = Box::new(|processor| {
            let mut ledger = Ledger::default();
            ledger.settle(settle(processor, 5, 2 * TIMEOUT_NS));
            (ledger, None)
        });
        let upcalls: Program<'_> =
            Box::new(move |processor| (Ledger::default(), Some(upcalled(processor, key, AFTER))));
        let drops: Program<'_> = Box::new(move |processor| {
            let mut ledger = Ledger::default();
            if let Some(tracked) = find(processor, key) {
                let reach = hoptrace_common::inflight::Reach { live_after: 0xffff, done_after: 0 };
                ledger.free(hoptrace_common::inflight::mark(processor, tracked, reach, 9));
            }
            (ledger, None)
        });
        for (part, outcome) in machine.side_by_side(vec![sweeper, upcalls, drops]) {
            ledger += part;
            match outcome {
                Some(Upcalled::Marked(_)) => marked += 1,
                Some(Upcalled::Missed(_)) => panic!("seed {seed}: nobody changes the slot that often"),
                Some(Upcalled::Unknown) => missed += 1,
                None => {}
            }
        }
        for _ in 0..2 {
            ledger.settle(settle(machine.alone(), 5, 4 * TIMEOUT_NS));
        }
        assert_eq!(ledger.dropped + ledger.lost, 1, "seed {seed}: {ledger:?}");
        assert!(machine.states().iter().all(|&state| state == State::Free), "seed {seed}");
        assert_ne!(machine.alone().slot(5).unwrap().control().state(), State::Busy);
    }
    assert!(marked > 300 && missed > 300, "met too seldom: {marked} {missed}");
}

#[test]
fn a_drop_is_told_of_a_slow_packet_too() {
    let mut traced = Traced::new(16);
    traced.at(4, KEY, 0);
    // What the datapath gives away it frees; what comes back is another packet.
    assert_eq!(traced.freed(KEY, 3, ON_THE_WAY), Some(Marked::Provisional));
    traced.upcall(KEY);
    let settled = traced.sweep(1 + TIMEOUT_NS);
    assert!(
        matches!(settled[..], [Settled::Dropped(_, 3)]),
        "the bit does not make a mark void: {settled:?}"
    );
}
