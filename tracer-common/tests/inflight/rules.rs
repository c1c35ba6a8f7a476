//! Each rule by itself, in one thread.

use hoptrace_common::inflight::{
    Control, End, Fate, Hook, Kind, Outcome, Settled, SlotCell as _, State, Visit, WAYS, settle, visit,
};

use crate::traced::{KEY, TIMEOUT_NS, Traced, hook, key, seen_at};

#[test]
fn the_whole_way_in_either_direction() {
    for first in [0, 4] {
        let mut traced = Traced::new(16);
        let start_ns = 1 << 40;
        let entered = traced.at(first, KEY, start_ns);
        assert_eq!((entered.kind, entered.hook, entered.index), (Kind::New, 0, traced.slot(KEY)));
        let mut total_ns = 0;
        for step in 1..4 {
            total_ns += u64::from(step) * 100;
            let outcome = traced.at(first + step, KEY, start_ns + total_ns);
            assert_eq!((outcome.kind, outcome.hook), (Kind::Passed, first + step - 1));
            assert_eq!((outcome.latency_ns, outcome.total_ns), (u64::from(step) * 100, total_ns));
            assert_eq!(outcome.index, entered.index);
            assert_eq!(outcome.control.state(), if step == 3 { State::Done } else { State::Live });
            assert_eq!(outcome.control.direction(), first / 4);
            assert!(!outcome.control.joined() && !outcome.control.crossed());
            assert_eq!(outcome.control.count(), u32::from(step) + 1);
            assert_eq!(outcome.control.last(), first + step);
            assert_eq!(outcome.control.passed(), ((2 << step) - 1) << first);
        }
        let slot = traced.table.at(entered.index);
        assert_eq!(slot.key(), KEY);
        assert_eq!(slot.first_ns(), start_ns);
        assert_eq!([0, 1, 2, 3].map(|position| slot.delta_ns(position)), [0, 100, 300, 600]);
        assert_eq!(
            [0, 4, 8, 12].map(|shift| slot.hooks() >> shift & 0xf),
            [0, 1, 2, 3].map(|at| at + u32::from(first))
        );
        let ledger = traced.finish(start_ns);
        assert_eq!((ledger.entered, ledger.passed, ledger.completed), (1, 3, 1));
    }
}

#[test]
fn without_admission_only_known_packets_are_followed() {
    let mut traced = Traced::new(16);
    let stranger = Visit { admit: false, ..seen_at(hook(1), KEY, 5) };
    assert_eq!(visit(&traced.table, &stranger).kind, Kind::Missing);
    assert_eq!(traced.kind(0, KEY, 5), Kind::New);
    assert_eq!(visit(&traced.table, &stranger).kind, Kind::Passed);
    assert_eq!(traced.kind(3, KEY, 5), Kind::Passed);
    // A done one is no reason to start again, and what comes now is no copy of it.
    let again = Visit { admit: false, ..seen_at(hook(0), KEY, 9) };
    assert_eq!(visit(&traced.table, &again).kind, Kind::Missing);
    assert_eq!(traced.table.count(State::Done), 0);
}

#[test]
fn joined_midway() {
    let mut traced = Traced::new(16);
    assert_eq!(traced.kind(2, KEY, 10), Kind::New);
    let outcome = traced.at(3, KEY, 15);
    assert_eq!((outcome.kind, outcome.hook, outcome.latency_ns), (Kind::Passed, 2, 5));
    assert!(outcome.control.joined());
    let ledger = traced.finish(15);
    assert_eq!((ledger.net_entered(), ledger.net_joined(), ledger.completed), (0, 1, 1));
}

#[test]
fn joined_at_the_last_hook_is_done_at_once() {
    let mut traced = Traced::new(16);
    assert_eq!(traced.kind(7, KEY, 10), Kind::New);
    assert_eq!(traced.table.at(traced.slot(KEY)).control().state(), State::Done);
    let ledger = traced.finish(10);
    assert_eq!((ledger.net_joined(), ledger.completed, ledger.lost), (1, 1, 0));
}

#[test]
fn a_hook_may_be_skipped() {
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 10);
    let outcome = traced.at(3, KEY, 17);
    assert_eq!((outcome.kind, outcome.hook, outcome.latency_ns, outcome.total_ns), (Kind::Passed, 0, 7, 7));
    assert_eq!(traced.finish(17).completed, 1);
}

#[test]
fn a_done_slot_is_reused_first() {
    let mut traced = Traced::new(16);
    let (first, second) = (key(3, 5, 1), key(3, 5, 2));
    for id in 0..4 {
        traced.at(id, first, 10);
    }
    let before = traced.table.at(traced.slot(first)).control();
    let outcome = traced.at(0, second, 20);
    assert_eq!((outcome.kind, outcome.gone.is_none(), outcome.index), (Kind::New, true, traced.slot(first)));
    let after = traced.table.at(outcome.index).control();
    assert_eq!(
        after.0 >> Control::GENERATION_SHIFT,
        (before.0 >> Control::GENERATION_SHIFT) + 1,
        "the generation"
    );
    assert_eq!((after.passed(), after.count()), (1, 1));
    assert_eq!(traced.table.spilled_of_all_sets()[3], 0);
    let ledger = traced.finish(20);
    assert_eq!((ledger.entered, ledger.completed, ledger.lost, ledger.given_up), (2, 1, 1, 0));
}

#[test]
fn the_same_identity_again_after_completion_is_a_new_packet() {
    let mut traced = Traced::new(16);
    for round in 0..3_u64 {
        for id in 0..4 {
            let now_ns = round * 100 + u64::from(id);
            let outcome = traced.at(id, KEY, now_ns);
            assert_eq!(
                outcome.kind,
                if id == 0 { Kind::New } else { Kind::Passed },
                "round {round}, hook {id}"
            );
            if id > 0 {
                assert_eq!((outcome.latency_ns, outcome.total_ns), (1, u64::from(id)));
            }
        }
    }
    let ledger = traced.finish(400);
    assert_eq!((ledger.entered, ledger.completed, ledger.untold), (3, 3, 0));
}

#[test]
fn packets_that_look_alike_are_counted_and_not_timed_until_the_last_has_left() {
    let mut traced = Traced::new(16);
    assert_eq!(traced.kind(0, KEY, 0), Kind::New);
    assert_eq!(traced.kind(1, KEY, 1), Kind::Passed);
    let outcome = traced.at(0, KEY, 2);
    assert_eq!((outcome.kind, outcome.hook, outcome.begins), (Kind::Grouped, Outcome::NO_HOOK, true));
    let outcome = traced.at(0, KEY, 3);
    assert_eq!((outcome.kind, outcome.hook, outcome.begins), (Kind::Grouped, Outcome::NO_HOOK, false));
    // The first is behind hook 1 already; who comes next is one of the other two.
    for (id, from) in [(2, 1), (1, 0), (3, 2), (2, 1), (3, 2), (1, 0), (2, 1)] {
        let outcome = traced.at(id, KEY, 4);
        assert_eq!((outcome.kind, outcome.hook, outcome.ends), (Kind::Grouped, from, id == 3), "hook {id}");
    }
    assert_eq!(traced.table.count(State::Group), 1);
    assert_eq!(traced.kind(3, KEY, 4), Kind::Grouped);
    assert_eq!(traced.table.count(State::Done), 1);
    for id in 0..4 {
        let kind = if id == 0 { Kind::New } else { Kind::Passed };
        assert_eq!(traced.kind(id, KEY, 5), kind, "the next one is alone again");
    }
    let ledger = traced.finish(5);
    assert_eq!((ledger.entered, ledger.completed, ledger.lost), (4, 4, 0));
    assert_eq!((ledger.untold, ledger.grouped), (3, 10));
}

#[test]
fn packets_that_join_and_look_alike_are_counted_as_joined() {
    let mut traced = Traced::new(16);
    assert_eq!(traced.kind(5, KEY, 0), Kind::New);
    assert_eq!(traced.kind(5, KEY, 1), Kind::Grouped);
    let ledger = traced.finish(1);
    assert_eq!((ledger.net_entered(), ledger.net_joined(), ledger.lost), (0, 2, 2));
}

#[test]
fn a_crowd_that_looks_alike_is_counted_to_the_last() {
    let mut traced = Traced::new(16);
    for _ in 0..1_000 {
        traced.at(0, KEY, 0);
    }
    for id in 1..4 {
        for _ in 0..1_000 - u32::from(id) * 10 {
            assert_eq!(traced.kind(id, KEY, 1), Kind::Grouped);
        }
    }
    let settled = traced.sweep(2 * TIMEOUT_NS);
    let [Settled::EndedGroup(group)] = settled[..] else { panic!("{settled:?}") };
    assert_eq!((group.key, group.seen_ns, group.behind[..4].to_vec()), (KEY, 1, vec![10, 10, 10, 0]));
    let ledger = traced.finish(1);
    assert_eq!((ledger.entered, ledger.completed, ledger.lost), (1_000, 970, 30));
}

#[test]
fn there_is_an_end_to_what_can_be_counted() {
    let mut traced = Traced::new(16);
    for _ in 0..0x1_0000 {
        traced.at(0, KEY, 0);
    }
    assert_eq!(traced.ledger.untracked, 1);
    assert_eq!(traced.kind(1, KEY, 0), Kind::Grouped);
    assert_eq!(traced.kind(0, KEY, 0), Kind::Grouped, "there is room again");
    assert_eq!(traced.finish(1).lost, 0x1_0000);
}

#[test]
fn those_that_look_alike_are_lost_when_the_last_sight_of_any_is_too_old() {
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 0);
    traced.at(0, KEY, 1);
    traced.at(1, KEY, TIMEOUT_NS);
    for now_ns in [TIMEOUT_NS + 2, 2 * TIMEOUT_NS] {
        let settled = traced.sweep(now_ns);
        assert!(matches!(settled[..], [Settled::InFlightGroup(group)] if group.packets == 2), "{settled:?}");
        traced.ledger.in_flight = 0;
    }
    let settled = traced.sweep(2 * TIMEOUT_NS + 1);
    assert!(matches!(settled[..], [Settled::EndedGroup(_)]), "{settled:?}");
    assert_eq!(traced.finish(0).lost, 2);
}

#[test]
fn packets_that_look_alike_and_go_astray() {
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 0);
    traced.at(0, KEY, 0);
    // In again by the other side, past a hook; and a copy for which none is left.
    for (id, kind) in [(1, Kind::Grouped), (6, Kind::Grouped), (7, Kind::Grouped), (2, Kind::Grouped)] {
        assert_eq!(traced.kind(id, KEY, 1), kind, "hook {id}");
    }
    assert_eq!(traced.kind(2, KEY, 1), Kind::Copy);
    assert_eq!(traced.kind(3, KEY, 1), Kind::Grouped);
    let ledger = traced.finish(1);
    assert_eq!((ledger.entered, ledger.completed, ledger.copies), (2, 2, 1));
}

fn uninvited(id: u8, now_ns: u64) -> Visit {
    Visit { admit: false, ..seen_at(hook(id), KEY, now_ns) }
}

/// Its further sights would be taken for those of the other one.
#[test]
fn what_looks_alike_is_followed_also_when_nobody_is_admitted() {
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 0);
    assert_eq!(visit(&traced.table, &uninvited(0, 5)).kind, Kind::Grouped);
    assert_eq!(visit(&traced.table, &uninvited(0, 6)).kind, Kind::Grouped);
    // Three went in, and one comes out: two are missing.
    for id in 1..4 {
        assert_eq!(visit(&traced.table, &uninvited(id, 10)).kind, Kind::Grouped, "hook {id}");
    }
    let left: u32 = match settle(&traced.table, traced.slot(KEY), 2 * TIMEOUT_NS) {
        Settled::EndedGroup(group) => group.behind.iter().sum(),
        other => panic!("{other:?}"),
    };
    assert_eq!(left, 2);
}

#[test]
fn what_comes_after_the_end_is_no_copy_of_what_has_ended() {
    let mut traced = Traced::new(16);
    for id in 0..4 {
        traced.at(id, KEY, 10 + u64::from(id));
    }
    for id in 0..4 {
        assert_eq!(visit(&traced.table, &uninvited(id, 20)).kind, Kind::Missing, "hook {id}");
    }
    assert_eq!(traced.finish(30).copies, 0);
}

#[test]
fn a_copy_after_the_end_counts_for_nothing() {
    let mut traced = Traced::new(16);
    for id in 0..4 {
        traced.at(id, KEY, 10 + u64::from(id));
    }
    for id in [1, 2, 3] {
        assert_eq!(traced.kind(id, KEY, 20), Kind::Copy, "hook {id}");
    }
    let ledger = traced.finish(20);
    assert_eq!((ledger.copies, ledger.completed, ledger.entered), (3, 1, 1));
}

#[test]
fn long_after_the_end_it_is_another_packet() {
    let mut traced = Traced::new(16);
    for id in 0..4 {
        traced.at(id, KEY, 0);
    }
    assert_eq!(traced.kind(2, KEY, TIMEOUT_NS), Kind::Copy);
    assert_eq!(traced.kind(2, KEY, TIMEOUT_NS + 1), Kind::New);
    let ledger = traced.finish(TIMEOUT_NS + 1);
    assert_eq!((ledger.entered, ledger.joined, ledger.completed, ledger.lost), (1, 1, 1, 1));
}

#[test]
fn overtaken_at_a_middle_hook() {
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 0);
    traced.at(2, KEY, 20);
    assert_eq!(traced.kind(1, KEY, 25), Kind::Overtaken);
    // Seen there a second time, it is another packet.
    let outcome = traced.at(3, KEY, 30);
    assert_eq!((outcome.kind, outcome.hook, outcome.latency_ns), (Kind::Passed, 2, 10));
    let ledger = traced.finish(30);
    assert_eq!((ledger.overtaken, ledger.completed, ledger.net_entered()), (1, 1, 1));
}

#[test]
fn overtaken_twice_at_one_hook_is_a_twin_while_live() {
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 0);
    traced.at(2, KEY, 20);
    assert_eq!(traced.kind(1, KEY, 25), Kind::Overtaken);
    assert_eq!(traced.kind(1, KEY, 26), Kind::Grouped);
    assert_eq!(traced.finish(30).lost, 2);
}

#[test]
fn overtaken_at_the_first_hook_it_has_entered_after_all() {
    // Before its end, and a moment after it.
    for end_first in [false, true] {
        let mut traced = Traced::new(16);
        traced.at(1, KEY, 10);
        traced.at(2, KEY, 20);
        if end_first {
            traced.at(3, KEY, 30);
        }
        assert_eq!(traced.kind(0, KEY, 31), Kind::Overtaken);
        if end_first {
            // Once more at the first hook: the next packet.
            assert_eq!(traced.kind(0, KEY, 32), Kind::New);
        } else {
            let outcome = traced.at(3, KEY, 40);
            assert_eq!((outcome.hook, outcome.latency_ns, outcome.control.joined()), (2, 20, false));
        }
        let ledger = traced.finish(40);
        assert_eq!((ledger.net_joined(), ledger.completed), (0, 1), "end first: {end_first}");
        assert_eq!(ledger.net_entered(), if end_first { 2 } else { 1 });
    }
}

#[test]
fn overtaken_by_the_clock_of_another_processor() {
    // The end seems to lie ahead of the first hook's time: still a moment ago, not an age.
    let mut traced = Traced::new(16);
    traced.at(1, KEY, 1000);
    traced.at(3, KEY, 1010);
    assert_eq!(traced.kind(0, KEY, 990), Kind::Overtaken);
    assert_eq!(traced.finish(1010).net_entered(), 1);
}

#[test]
fn crossing_to_the_other_direction() {
    // Out at hook 1, then straight in again: a hairpin.
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 0);
    traced.at(1, KEY, 10);
    let outcome = traced.at(6, KEY, 30);
    assert_eq!((outcome.kind, outcome.hook, outcome.latency_ns), (Kind::Passed, 1, 20));
    assert!(outcome.control.crossed());
    assert_eq!(outcome.control.direction(), 0);
    let outcome = traced.at(7, KEY, 31);
    assert_eq!((outcome.control.state(), outcome.control.direction()), (State::Done, 0));
    let ledger = traced.finish(31);
    assert_eq!((ledger.net_entered(), ledger.completed), (1, 1));
}

#[test]
fn clock_skew_is_told_and_never_wraps() {
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 1000);
    traced.at(1, KEY, 1100);
    // Before the hook before, and even before the first one.
    for (id, now_ns) in [(2, 1090), (3, 900)] {
        let outcome = traced.at(id, KEY, now_ns);
        assert_eq!((outcome.kind, outcome.latency_ns), (Kind::Passed, Outcome::SKEWED));
    }
    let slot = traced.table.at(traced.slot(KEY));
    assert_eq!([1, 2, 3].map(|position| slot.delta_ns(position)), [100, 100, 100]);
    // The same time is no skew.
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 1000);
    assert_eq!(traced.at(1, KEY, 1000).latency_ns, 0);
    traced.finish(1000);
}

#[test]
fn more_hooks_than_a_slot_has_room_for() {
    let mut traced = Traced::new(16);
    let long = |id: u8| Hook {
        id,
        direction: 0,
        entry: id == 0,
        terminal: id == 15,
        later: !0 << id << 1,
        beside: 0,
    };
    for id in 0..16 {
        let outcome = traced.at_hook(long(id), KEY, u64::from(id) * 10);
        if id > 0 {
            assert_eq!(
                (outcome.kind, outcome.hook, outcome.latency_ns),
                (Kind::Passed, id - 1, 10),
                "hook {id}"
            );
            assert_eq!(outcome.total_ns, u64::from(id) * 10);
            assert_eq!(outcome.control.count(), u32::from(id + 1).min(8));
        }
    }
    let slot = traced.table.at(traced.slot(KEY));
    // The last place is the last hook's.
    assert_eq!(slot.hooks(), 0xf654_3210);
    assert_eq!([0, 6, 7].map(|position| slot.delta_ns(position)), [0, 60, 150]);
    assert_eq!(slot.control().passed(), 0xffff);
    assert_eq!(traced.finish(160).completed, 1);
}

#[test]
fn packets_with_one_home_move_over_and_leave_nothing_behind() {
    let mut traced = Traced::new(16);
    let keys: Vec<u64> = (0..u64::from(WAYS)).map(|number| key(2, 6, number)).collect();
    let mut slots: Vec<u32> = keys.iter().map(|&key| traced.at(0, key, 5).index).collect();
    assert_eq!(slots[0], 2 * WAYS + 6);
    slots.sort_unstable();
    assert_eq!(slots, (2 * WAYS..3 * WAYS).collect::<Vec<u32>>());
    assert_eq!(traced.table.spilled_of_all_sets()[2], WAYS - 1);
    for id in 1..4 {
        for (number, &key) in (0..).zip(&keys) {
            let outcome = traced.at(id, key, 5 + u64::from(id) * (number + 1));
            assert_eq!((outcome.kind, outcome.hook, outcome.latency_ns), (Kind::Passed, id - 1, number + 1));
        }
    }
    // All are done now; others take the places over.
    for number in 100..104 {
        assert_eq!(traced.kind(0, key(2, 6, number), 50), Kind::New);
    }
    // One of them is at home and took a place of one that was at home; the others moved over, as those before.
    assert_eq!(traced.table.spilled_of_all_sets()[2], WAYS - 1);
    let ledger = traced.finish(50);
    assert_eq!((ledger.entered, ledger.completed, ledger.lost), (12, 8, 4));
}

#[test]
fn the_home_of_one_packet_in_the_place_of_another() {
    let mut traced = Traced::new(16);
    // The second moves over to the home of the third, and the third moves on.
    let (first, second, third) = (key(1, 0, 1), key(1, 0, 2), key(1, 7, 3));
    traced.at(0, first, 0);
    let place = traced.at(0, second, 0).index;
    let third = (third & !(7 << 32)) | u64::from(place % WAYS) << 32;
    assert_ne!(traced.at(0, third, 0).index, place);
    assert_eq!(traced.table.spilled_of_all_sets()[1], 2);
    // The second ends, the first packet's home stays; the next one at home there finds it.
    for id in 1..4 {
        traced.at(id, second, 1);
    }
    let fourth = third ^ 1 << 63;
    assert_eq!(traced.at(0, fourth, 2).index, place);
    assert_eq!(traced.table.spilled_of_all_sets()[1], 1);
    for key in [first, third, fourth] {
        for id in 1..4 {
            assert_eq!(traced.kind(id, key, 3), Kind::Passed);
        }
    }
    assert_eq!(traced.finish(3).completed, 4);
}

#[test]
fn packets_that_look_alike_and_moved_over_give_their_place_back() {
    let mut traced = Traced::new(16);
    let (first, second) = (key(4, 1, 1), key(4, 1, 2));
    traced.at(0, first, 0);
    traced.at(0, second, 0);
    assert_eq!(traced.kind(0, second, 1), Kind::Grouped);
    assert_eq!(traced.table.spilled_of_all_sets()[4], 1);
    traced.sweep(TIMEOUT_NS + 2);
    assert_eq!(traced.table.spilled_of_all_sets()[4], 0);
    assert_eq!(traced.finish(2).lost, 3);
}

#[test]
fn a_full_set_leaves_packets_untracked_and_loses_none() {
    let mut traced = Traced::new(16);
    for number in 0..u64::from(WAYS) {
        traced.at(0, key(9, number, 0), 0);
    }
    assert_eq!(traced.kind(0, key(9, 0, 77), 10), Kind::Untracked);
    assert_eq!(traced.kind(0, key(8, 0, 77), 10), Kind::New, "the set beside it");
    for number in 0..u64::from(WAYS) {
        assert_eq!(traced.at(3, key(9, number, 0), 20).kind, Kind::Passed);
    }
    assert_eq!(traced.kind(1, key(9, 0, 77), 20), Kind::New);
    let ledger = traced.finish(20);
    assert_eq!((ledger.untracked, ledger.given_up, ledger.completed), (1, 0, 8));
}

#[test]
fn the_slot_of_one_that_timed_out_is_taken_over() {
    let mut traced = Traced::new(16);
    for number in 0..u64::from(WAYS) {
        traced.at(0, key(9, number, 0), 0);
    }
    traced.at(1, key(9, 3, 0), 1);
    let newcomer = key(9, 3, 77);
    assert_eq!(traced.kind(0, newcomer, TIMEOUT_NS), Kind::Untracked, "not yet");
    let outcome = traced.at(0, newcomer, TIMEOUT_NS + 2);
    assert_eq!((outcome.kind, outcome.gone.last(), outcome.index), (Kind::New, 1, traced.slot(newcomer)));
    let outcome = traced.at(0, key(9, 3, 78), TIMEOUT_NS + 2);
    assert_eq!((outcome.kind, outcome.gone.fate(), outcome.gone.last()), (Kind::New, Fate::Lost, 0));
    assert_eq!(traced.table.spilled_of_all_sets()[9], 1);
    let ledger = traced.finish(TIMEOUT_NS + 2);
    assert_eq!((ledger.given_up, ledger.lost, ledger.entered), (2, 10, 10));
}

#[test]
fn who_timed_out_is_left_to_the_sweeper_while_another_slot_is_free() {
    let mut traced = Traced::new(16);
    let (late, newcomer) = (key(9, 3, 1), key(9, 3, 2));
    traced.at(0, late, 0);
    let outcome = traced.at(0, newcomer, TIMEOUT_NS + 2);
    assert_eq!((outcome.kind, outcome.gone.is_none()), (Kind::New, true));
    assert_ne!(outcome.index, traced.slot(late));
    assert_eq!(traced.at(3, newcomer, TIMEOUT_NS + 3).kind, Kind::Passed);
    let ledger = traced.finish(TIMEOUT_NS + 3);
    assert_eq!((ledger.given_up, ledger.lost, ledger.completed), (0, 1, 1));
}

#[test]
fn a_packet_that_crossed_is_given_up_in_the_direction_it_entered_in() {
    let mut traced = Traced::new(16);
    for number in 0..u64::from(WAYS) {
        traced.at(0, key(9, number, 0), 0);
        traced.at(5, key(9, number, 0), 1);
    }
    let outcome = traced.at(4, key(9, 0, 1), TIMEOUT_NS + 100);
    assert_eq!((outcome.gone.fate(), outcome.gone.direction(), outcome.gone.last()), (Fate::Lost, 0, 5));
    assert_eq!(traced.finish(TIMEOUT_NS).lost, 9);
}

#[test]
fn the_sweeper_settles_what_was_not_seen_again() {
    let mut traced = Traced::new(16);
    let (lost, done, under_way) = (key(0, 0, 1), key(1, 0, 2), key(2, 0, 3));
    traced.at(0, lost, 0);
    traced.at(1, lost, 10);
    for id in 4..8 {
        traced.at(id, done, 10);
    }
    traced.at(4, under_way, 0);
    traced.at(5, under_way, TIMEOUT_NS);
    // Nothing is older than the time-out yet.
    let settled = traced.sweep(TIMEOUT_NS + 10);
    assert_eq!(settled.len(), 2);
    assert!(settled.iter().all(|settled| matches!(settled, Settled::InFlight(_))));
    traced.ledger.in_flight = 0;

    let settled = traced.sweep(TIMEOUT_NS + 11);
    assert_eq!(settled.len(), 3);
    let Settled::Ended(packet) = settled[0] else { panic!("{settled:?}") };
    assert_eq!((packet.control.last(), packet.control.direction(), packet.seen_ns), (1, 0, 10));
    assert_eq!((packet.key, packet.end()), (lost, End::Lost));
    assert_eq!(settled[1], Settled::Freed);
    assert!(
        matches!(settled[2], Settled::InFlight(packet) if packet.control.last() == 5 && packet.control.direction() == 1)
    );
    traced.ledger.assert_balanced();
    traced.ledger.in_flight = 0;
    // A time before the packets' own is no age.
    assert_eq!(traced.sweep(0).len(), 1);
    traced.ledger.in_flight = 0;
    assert_eq!(settle(&traced.table, traced.table.len(), u64::MAX / 2), Settled::Idle, "beyond the end");
    let ledger = traced.finish(TIMEOUT_NS);
    assert_eq!((ledger.entered, ledger.completed, ledger.lost), (3, 1, 2));
}

#[test]
fn a_busy_slot_is_left_alone() {
    let mut traced = Traced::new(16);
    let slot = traced.slot(KEY);
    traced.at(0, KEY, 0);
    let live = traced.table.at(slot).control();
    traced.table.at(slot).publish(Control(live.0 & !0b111 | 1));
    assert_eq!(traced.table.at(slot).control().state(), State::Busy);
    assert_eq!(traced.kind(1, KEY, 5), Kind::Untracked);
    // It might be the same packet: nobody can say yet.
    assert_eq!(traced.kind(0, KEY ^ 1 << 63, 5), Kind::Untracked);
    assert_eq!(traced.sweep(10 * TIMEOUT_NS), []);
    traced.table.at(slot).publish(live);
    assert_eq!(traced.kind(1, KEY, 6), Kind::Passed);
    assert_eq!(traced.finish(10).lost, 1);
}

#[test]
fn the_generation_wraps() {
    let last = u64::MAX >> Control::GENERATION_SHIFT;
    let mut traced = Traced::new(16);
    let slot = traced.slot(KEY);
    traced.table.at(slot).publish(Control((last - 1) << Control::GENERATION_SHIFT));
    for expected in [last, 0, 1] {
        for id in 0..4 {
            let outcome = traced.at(id, KEY, 10);
            assert_eq!(outcome.kind, if id == 0 { Kind::New } else { Kind::Passed });
            assert_eq!(traced.table.at(slot).control().0 >> Control::GENERATION_SHIFT, expected);
            assert_eq!(traced.table.at(slot).control().passed(), (2 << id) - 1);
        }
    }
    assert_eq!(traced.finish(10).completed, 3);
}

#[test]
fn a_stale_word_does_not_bring_a_freed_slot_back() {
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 0);
    let slot = traced.slot(KEY);
    let stale = traced.table.at(slot).control();
    traced.sweep(2 * TIMEOUT_NS);
    assert_eq!(traced.kind(0, KEY, 2 * TIMEOUT_NS), Kind::New);
    // The same packet at the same hook, but not the same word.
    assert!(!traced.table.at(slot).exchange(stale, stale));
    assert_eq!(traced.finish(2 * TIMEOUT_NS).lost, 2);
}

#[test]
fn identity_zero_is_an_identity() {
    let mut traced = Traced::new(16);
    for id in 0..4 {
        assert_eq!(traced.kind(id, 0, 10), if id == 0 { Kind::New } else { Kind::Passed });
    }
    assert_eq!(traced.finish(10).completed, 1);
}
