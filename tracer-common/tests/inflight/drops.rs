//! Packets that the kernel frees.

use hoptrace_common::inflight::{
    Aside, Clock, Control, End, Fate, Kind, Mark, Marked, Outcome, Reach, SETTLED_NS, Settled, SlotCell as _,
    State, Table as _, Visit, WAYS,
};

use crate::{
    table::WAITING_NS,
    traced::{KEY, TIMEOUT_NS, Traced, hook, key, seen_at},
};

/// An interface behind every hook, which no packet has passed for good.
const ON_THE_WAY: Reach = Reach { live_after: 0xffff, done_after: 0 };
/// The interface of the last hook of the way in, 7.
const LAST: Reach = Reach { live_after: 1 << 7, done_after: 1 << 7 };
/// The interface of the last hook of the way out, 3.
const WIRE: Reach = Reach { live_after: 1 << 3, done_after: 1 << 3 };

/// How a sweep found that a packet ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Dropped(u32),
    Gone(End),
}

impl Traced {
    fn walk(&mut self, hooks: std::ops::Range<u8>) {
        for id in hooks {
            self.at(id, KEY, u64::from(id) * 100);
        }
    }

    /// The one packet that ended by a sweep after the time-out, its last hook and its end.
    fn end(&mut self) -> (u8, Found) {
        let settled = self.sweep(10_000 + TIMEOUT_NS);
        let (packet, end) = match settled[..] {
            [Settled::Ended(packet)] => (packet, Found::Gone(packet.end())),
            [Settled::Dropped(packet, site)] => (packet, Found::Dropped(site)),
            _ => panic!("{settled:?}"),
        };
        assert_eq!((packet.key, packet.seen_ns), (KEY, u64::from(packet.control.last()) * 100));
        (packet.control.last(), end)
    }
}

#[test]
fn a_packet_freed_behind_a_hook_is_dropped_there() {
    for (hooks, last) in [(0..1, 0), (0..3, 2), (4..5, 4), (4..7, 6)] {
        let mut traced = Traced::new(16);
        traced.walk(hooks);
        assert_eq!(traced.freed(KEY, 7, ON_THE_WAY), Some(Marked::Provisional));
        assert_eq!(traced.end(), (last, Found::Dropped(7)));
        let ledger = traced.finish(10_000);
        assert_eq!((ledger.entered, ledger.dropped, ledger.lost, ledger.copies_freed()), (1, 1, 0, 0));
    }
}

#[test]
fn a_packet_that_nobody_freed_is_lost() {
    let mut traced = Traced::new(16);
    traced.walk(0..2);
    assert_eq!(traced.end(), (1, Found::Gone(End::Lost)));
    assert_eq!(traced.finish(10_000).dropped, 0);
}

#[test]
fn what_is_not_in_the_table_is_not_marked() {
    let mut traced = Traced::new(16);
    traced.walk(0..2);
    assert_eq!(traced.freed(KEY ^ 1 << 63, 7, ON_THE_WAY), None);
    assert_eq!(traced.freed(KEY ^ 1, 7, ON_THE_WAY), None);
    assert_eq!(traced.finish(10_000).lost, 1);
}

#[test]
fn a_copy_dies_while_the_packet_lives() {
    // Between any two hooks.
    for dies_after in 0..3 {
        let mut traced = Traced::new(16);
        traced.walk(0..dies_after + 1);
        assert_eq!(traced.freed(KEY, 1, ON_THE_WAY), Some(Marked::Provisional));
        traced.walk(dies_after + 1..4);
        let ledger = traced.finish(1_000);
        assert_eq!((ledger.completed, ledger.dropped, ledger.lost, ledger.copies_freed()), (1, 0, 0, 1));
    }
}

#[test]
fn a_copys_mark_is_not_blamed_for_what_happens_later() {
    let mut traced = Traced::new(16);
    traced.walk(0..1);
    traced.freed(KEY, 1, ON_THE_WAY);
    traced.walk(1..2);
    assert_eq!(traced.end(), (1, Found::Gone(End::Lost)), "the copy died behind hook 0");
    assert_eq!(traced.finish(10_000).copies_freed(), 1);
}

#[test]
fn of_a_flooded_packet_the_last_living_copy_tells() {
    let mut traced = Traced::new(16);
    traced.walk(0..1);
    for site in [3, 4, 5] {
        assert_eq!(traced.freed(KEY, site, ON_THE_WAY), Some(Marked::Provisional));
    }
    assert_eq!(traced.end(), (0, Found::Dropped(5)));
    assert_eq!(traced.finish(10_000).copies_freed(), 2);
}

#[test]
fn where_the_packet_cannot_be_a_copy_dies() {
    // The host's own copy of what a userspace datapath takes; a mirror; a port the bridge floods to.
    let elsewhere = Reach { live_after: !(1 << 2), done_after: 0xffff };
    let mut traced = Traced::new(16);
    traced.walk(0..3);
    assert_eq!(traced.freed(KEY, 1, elsewhere), Some(Marked::Copy));
    assert_eq!(traced.end(), (2, Found::Gone(End::Lost)));
    let ledger = traced.finish(10_000);
    assert_eq!((ledger.lost, ledger.dropped, ledger.copies_freed()), (1, 0, 1));
}

#[test]
fn a_copy_elsewhere_does_not_hide_where_the_packet_died() {
    let mut traced = Traced::new(16);
    traced.walk(0..3);
    traced.freed(KEY, 9, ON_THE_WAY);
    traced.freed(KEY, 1, Reach { live_after: 0, done_after: 0 });
    assert_eq!(traced.end(), (2, Found::Dropped(9)));
    assert_eq!(traced.finish(10_000).copies_freed(), 1);
}

/// A packet that waits behind its last hook while another one comes whose home is its slot.
#[test]
fn what_dies_in_a_queue_is_dropped_also_if_another_packet_has_its_slot() {
    // The first one comes by the quick way, the second one when the set is not as it is usually.
    for has_spilled in [false, true] {
        let mut traced = Traced::new(1);
        if has_spilled {
            (&traced.table).add_spilled(0, 1);
        }
        traced.walk(0..4);
        let others: Vec<u64> = (1..=8).map(|number| KEY ^ number << 40).collect();
        for key in &others {
            assert_eq!(traced.kind(0, *key, 500), Kind::New);
        }
        assert_eq!(traced.table.count(State::Live), 8, "none is free, none is done");
        assert_eq!(traced.freed(KEY, 2, ON_THE_WAY), Some(Marked::Copy), "not where it is");
        assert_eq!(traced.freed(KEY, 2, WIRE), Some(Marked::Dropped(3)));
        assert_eq!(traced.freed(KEY, 2, WIRE), None, "it is told once");
        for key in others {
            assert_eq!(traced.freed(key, 2, WIRE), Some(Marked::Copy), "still on its way");
        }
    }
}

#[test]
fn what_ended_long_ago_waits_in_no_queue() {
    let ended_ns = 300;
    for (age_ns, expected) in [(WAITING_NS, Some(Marked::Dropped(3))), (WAITING_NS + 1, None)] {
        let mut traced = Traced::new(1);
        traced.walk(0..4);
        traced.at(0, KEY ^ 1 << 40, ended_ns + age_ns);
        assert_eq!(traced.freed(KEY, 2, WIRE), expected);
    }
}

#[test]
fn what_is_dropped_already_is_not_dropped_again_where_another_packet_has_its_slot() {
    let mut traced = Traced::new(1);
    traced.walk(0..4);
    assert_eq!(traced.freed(KEY, 2, WIRE), Some(Marked::Dropped(3)));
    traced.at(0, KEY ^ 1 << 40, 500);
    assert_eq!(traced.freed(KEY, 2, WIRE), None, "another copy");
}

/// When nothing is admitted any more, one comes that looks the same: what dies then is that one.
#[test]
fn one_that_looks_the_same_and_is_not_followed_is_not_taken_for_one_before() {
    let mut traced = Traced::new(1);
    traced.walk(0..4);
    traced.at(0, KEY ^ 1 << 40, 500);
    let uninvited = Visit { admit: false, ..seen_at(hook(0), KEY, 600) };
    assert_eq!(traced.sight(uninvited).kind, Kind::Missing);
    assert_eq!(traced.freed(KEY, 2, WIRE), None);
}

/// One of those is dead already, and that was counted.
#[test]
fn what_is_known_to_be_dead_is_not_dropped_again_where_another_packet_has_its_slot() {
    let mut traced = Traced::new(1);
    traced.walk(0..2);
    traced.freed(KEY, 2, ON_THE_WAY);
    assert_eq!(traced.end(), (1, Found::Dropped(2)));
    for number in 1..=8 {
        traced.at(0, KEY ^ number << 40, 20_000_000);
    }
    assert_eq!(traced.table.count(State::Live), 8);
    assert_eq!(traced.freed(KEY, 2, ON_THE_WAY), None);
}

#[test]
fn the_queue_behind_the_last_hook_turns_completed_into_dropped_once() {
    for (hooks, reach, last) in [(0..4, WIRE, 3), (4..8, LAST, 7)] {
        let mut traced = Traced::new(16);
        traced.walk(hooks);
        assert_eq!(traced.freed(KEY, 2, reach), Some(Marked::Dropped(last)));
        assert_eq!(traced.freed(KEY, 2, reach), Some(Marked::Copy));
        assert_eq!(traced.freed(KEY, 3, reach), Some(Marked::Copy));
        let ledger = traced.finish(1_000);
        assert_eq!((ledger.completed, ledger.dropped, ledger.copies_freed()), (0, 1, 2));
    }
}

#[test]
fn a_mark_from_before_the_last_hook_does_not_hide_the_drop_behind_it() {
    let mut traced = Traced::new(16);
    traced.walk(0..3);
    assert_eq!(traced.freed(KEY, 2, ON_THE_WAY), Some(Marked::Provisional));
    traced.walk(3..4);
    assert_eq!(traced.freed(KEY, 2, WIRE), Some(Marked::Dropped(3)));
    let ledger = traced.finish(1_000);
    assert_eq!((ledger.completed, ledger.dropped, ledger.copies_freed()), (0, 1, 1));
}

#[test]
fn a_done_packet_freed_at_another_interface_was_a_copy() {
    let mut traced = Traced::new(16);
    traced.walk(4..8);
    assert_eq!(traced.freed(KEY, 2, ON_THE_WAY), Some(Marked::Copy));
    assert_eq!(traced.freed(KEY, 2, WIRE), Some(Marked::Copy), "the last hook of the other direction");
    let ledger = traced.finish(1_000);
    assert_eq!((ledger.completed, ledger.dropped, ledger.copies_freed()), (1, 0, 2));
}

#[test]
fn a_live_packet_dies_in_the_queue_of_a_hook_that_is_not_the_last() {
    // With a hook where the driver takes over, the NIC's queue is in front of the last one.
    let mut traced = Traced::new(16);
    traced.walk(0..3);
    assert_eq!(traced.freed(KEY, 6, Reach { live_after: 1 << 2, done_after: 0 }), Some(Marked::Provisional));
    assert_eq!(traced.end(), (2, Found::Dropped(6)));
    assert_eq!(traced.finish(10_000).dropped, 1);
}

#[test]
fn the_next_packet_in_the_slot_has_no_mark() {
    let mut traced = Traced::new(16);
    traced.walk(4..8);
    traced.freed(KEY, 2, LAST);
    // The same identity again, lost at the same place.
    traced.at(4, KEY, 1_000);
    let slot = traced.table.at(traced.slot(KEY));
    assert_eq!(slot.mark(), Mark::NONE);
    assert!(
        matches!(traced.sweep(2 * TIMEOUT_NS)[..], [Settled::Ended(packet)] if packet.end() == End::Lost)
    );
    let ledger = traced.finish(10_000);
    assert_eq!((ledger.dropped, ledger.lost), (1, 1));
}

#[test]
fn a_mark_that_comes_late_lands_on_nobody() {
    let mut traced = Traced::new(16);
    traced.walk(0..2);
    let slot_index = traced.slot(KEY);
    let before = traced.table.at(slot_index).control();
    let mark_late = |traced: &Traced, control| {
        let slot = traced.table.at(slot_index);
        assert!(slot.exchange_mark(slot.mark(), Mark::new(8, control)));
    };
    // The packet went on meanwhile.
    traced.walk(2..3);
    mark_late(&traced, before);
    assert_eq!(traced.end(), (2, Found::Gone(End::Lost)));
    // The slot is another packet's, as far on its way.
    traced.at(0, KEY, 2 * TIMEOUT_NS);
    traced.at(1, KEY, 2 * TIMEOUT_NS);
    mark_late(&traced, before);
    let settled = traced.sweep(4 * TIMEOUT_NS);
    assert!(matches!(settled[..], [Settled::Ended(packet)] if packet.end() == End::Lost), "{settled:?}");
    let ledger = traced.finish(5 * TIMEOUT_NS);
    assert_eq!((ledger.lost, ledger.dropped), (2, 0));
}

#[test]
fn a_mark_is_of_one_packet_at_one_point_of_its_way() {
    let live = Control::first(2, 0, false, false);
    let done = Control::first(2, 0, false, true);
    let next = Control(live.0 + (1 << Control::GENERATION_SHIFT));
    for site in [0, 1, 511] {
        let mark = Mark::new(site, live);
        assert_eq!(mark.site(live), Some(site));
        assert_eq!((mark.site(done), mark.site(next)), (None, None));
        assert_eq!(Mark::new(site, done).site(done), Some(site));
    }
    assert_eq!(Mark::NONE.site(live), None);
}

#[test]
fn one_of_several_that_look_alike_dies() {
    let mut traced = Traced::new(16);
    for _ in 0..3 {
        traced.at(0, KEY, 0);
    }
    traced.at(1, KEY, 1);
    // One behind hook 1, two behind hook 0.
    assert_eq!(
        traced.freed(KEY, 1, Reach { live_after: 0b11, done_after: 0 }),
        Some(Marked::DroppedOfGroup(1))
    );
    assert_eq!(traced.freed(KEY, 1, Reach { live_after: 0b10, done_after: 0 }), Some(Marked::Copy));
    assert_eq!(traced.freed(KEY, 1, ON_THE_WAY), Some(Marked::DroppedOfGroup(0)));
    for id in 1..4 {
        assert_eq!(traced.kind(id, KEY, 5), Kind::Grouped);
    }
    let ledger = traced.finish(10_000);
    assert_eq!((ledger.entered, ledger.completed, ledger.dropped, ledger.lost), (3, 1, 2, 0));
}

#[test]
fn the_last_of_those_that_look_alike_dies() {
    let mut traced = Traced::new(16);
    traced.at(0, KEY, 0);
    traced.at(0, KEY, 0);
    for _ in 0..2 {
        assert_eq!(traced.freed(KEY, 1, ON_THE_WAY), Some(Marked::DroppedOfGroup(0)));
    }
    assert_eq!(traced.table.count(State::Free), 128);
    assert_eq!(traced.kind(0, KEY, 9), Kind::New, "nothing is left of the two");
    let ledger = traced.finish(10_000);
    assert_eq!((ledger.dropped, ledger.lost), (2, 1));
}

#[test]
fn one_of_several_that_look_alike_dies_behind_its_last_hook() {
    let mut traced = Traced::new(16);
    traced.at(4, KEY, 0);
    traced.at(4, KEY, 0);
    for id in 5..8 {
        traced.at(id, KEY, 1);
    }
    assert_eq!(traced.freed(KEY, 2, LAST), Some(Marked::Dropped(7)));
    for id in 5..8 {
        traced.at(id, KEY, 2);
    }
    assert_eq!(traced.freed(KEY, 2, LAST), Some(Marked::Dropped(7)));
    let ledger = traced.finish(1_000);
    assert_eq!((ledger.completed, ledger.dropped), (0, 2));
}

#[test]
fn a_repetition_of_a_dead_packet_is_a_new_packet() {
    // A retransmission, long before the time-out; it dies, too, and the third comes through.
    let mut traced = Traced::new(16);
    for (attempt, now_ns) in [(0, 0), (1, 50_000), (2, 100_000)] {
        let outcome = traced.at(0, KEY, now_ns);
        assert_eq!((outcome.kind, outcome.gone.is_none()), (Kind::New, attempt == 0));
        traced.at(1, KEY, now_ns + 10);
        if attempt < 2 {
            assert_eq!(traced.freed(KEY, 7, ON_THE_WAY), Some(Marked::Provisional));
        }
    }
    for id in 2..4 {
        let outcome = traced.at(id, KEY, 100_000 + u64::from(id) * 10);
        assert_eq!((outcome.kind, outcome.total_ns), (Kind::Passed, u64::from(id) * 10));
    }
    let ledger = traced.finish(200_000);
    assert_eq!((ledger.entered, ledger.completed, ledger.dropped), (3, 1, 2));
    assert_eq!((ledger.given_up, ledger.untold, ledger.copies_freed()), (2, 0, 0));
}

#[test]
fn a_packet_that_nobody_freed_and_its_repetition_after_the_time_out() {
    // However late the sweeper is.
    let mut traced = Traced::new(16);
    traced.walk(0..2);
    let outcome = traced.at(0, KEY, TIMEOUT_NS + 200);
    assert_eq!((outcome.kind, outcome.gone.fate(), outcome.gone.last()), (Kind::New, Fate::Lost, 1));
    assert_eq!((outcome.latency_ns, outcome.total_ns), (100, KEY), "when it was seen last, and who it was");
    let ledger = traced.finish(TIMEOUT_NS + 200);
    assert_eq!((ledger.entered, ledger.lost, ledger.untold), (2, 2, 0));
}

#[test]
fn a_dead_packet_is_told_after_a_few_milliseconds_and_does_not_keep_its_slot() {
    let mut traced = Traced::new(16);
    traced.walk(0..2);
    traced.freed(KEY, 7, ON_THE_WAY);
    let settled = traced.sweep(100 + SETTLED_NS);
    assert!(matches!(settled[..], [Settled::InFlight(_)]), "{settled:?}");
    traced.ledger.in_flight = 0;
    let settled = traced.sweep(101 + SETTLED_NS);
    assert!(matches!(settled[..], [Settled::Dropped(packet, 7)] if packet.key == KEY), "{settled:?}");
    assert_eq!(traced.sweep(101 + SETTLED_NS), [], "once");
    assert_eq!(traced.freed(KEY, 7, ON_THE_WAY), Some(Marked::Copy), "it is dead already");
    let other = KEY ^ 1 << 63;
    let outcome = traced.at(0, other, 200 + SETTLED_NS);
    assert_eq!((outcome.kind, outcome.index), (Kind::New, traced.slot(KEY)));
    assert!(outcome.gone.is_none());
    let ledger = traced.finish(10_000 + SETTLED_NS);
    assert_eq!((ledger.dropped, ledger.lost), (1, 1));
}

#[test]
fn a_flood_that_dies_does_not_fill_the_table() {
    let mut traced = Traced::new(1);
    for number in 0..1_000_u64 {
        let now_ns = number * SETTLED_NS / 4;
        assert_eq!(traced.kind(0, key(0, number % 8, number), now_ns), Kind::New, "{number}");
        assert_eq!(traced.freed(key(0, number % 8, number), 3, ON_THE_WAY), Some(Marked::Provisional));
    }
    let ledger = traced.finish(1_000 * SETTLED_NS);
    assert_eq!((ledger.entered, ledger.dropped, ledger.lost, ledger.untracked), (1_000, 1_000, 0, 0));
}

#[test]
fn a_packet_that_was_counted_as_dropped_and_goes_on_is_taken_back() {
    // What was freed was a copy after all, and the packet waited in a queue.
    let mut traced = Traced::new(16);
    traced.walk(0..2);
    traced.freed(KEY, 7, ON_THE_WAY);
    traced.sweep(200 + SETTLED_NS);
    assert_eq!(traced.ledger.dropped, 1);
    let outcome = traced.at(2, KEY, 300 + SETTLED_NS);
    assert_eq!((outcome.kind, outcome.hook, outcome.latency_ns), (Kind::Passed, 1, 200 + SETTLED_NS));
    assert_eq!((outcome.gone.fate(), outcome.gone.last()), (Fate::Revived(7), 1));
    assert_eq!(traced.kind(3, KEY, 400 + SETTLED_NS), Kind::Passed);
    let ledger = traced.finish(SETTLED_NS);
    assert_eq!((ledger.completed, ledger.dropped, ledger.revived, ledger.copies_freed()), (1, 0, 1, 1));
}

#[test]
fn a_repetition_of_a_packet_that_was_told_dead_is_a_new_one() {
    let mut traced = Traced::new(16);
    traced.walk(0..2);
    traced.freed(KEY, 7, ON_THE_WAY);
    traced.sweep(200 + SETTLED_NS);
    for id in 0..4 {
        let kind = traced.kind(id, KEY, 300 + SETTLED_NS + u64::from(id));
        assert_eq!(kind, if id == 0 { Kind::New } else { Kind::Passed });
    }
    let ledger = traced.finish(SETTLED_NS);
    assert_eq!((ledger.completed, ledger.dropped, ledger.revived), (1, 1, 0));
}

#[test]
fn packets_that_are_not_at_their_home_are_found() {
    let mut traced = Traced::new(16);
    for number in 0..u64::from(WAYS) {
        traced.at(0, key(3, 5, number), 100);
    }
    for number in 0..u64::from(WAYS) {
        let site = u32::try_from(number).unwrap();
        assert_eq!(traced.freed(key(3, 5, number), site, ON_THE_WAY), Some(Marked::Provisional));
    }
    assert_eq!(traced.freed(key(3, 5, 99), 1, ON_THE_WAY), None);
    for settled in traced.sweep(1_000 + TIMEOUT_NS) {
        let Settled::Dropped(packet, site) = settled else { panic!("{settled:?}") };
        assert_eq!(site, u32::try_from(packet.key >> 40).unwrap());
    }
    assert_eq!(traced.finish(10_000).dropped, i64::from(WAYS));
}

#[test]
fn a_slot_that_is_being_written_is_left_alone() {
    let mut traced = Traced::new(16);
    traced.walk(0..1);
    let slot = traced.slot(KEY);
    let live = traced.table.at(slot).control();
    traced.table.at(slot).publish(Control(live.0 & !0b111 | 1));
    assert_eq!(traced.freed(KEY, 1, ON_THE_WAY), None);
    traced.table.at(slot).publish(live);
    assert_eq!(traced.freed(KEY, 1, ON_THE_WAY), Some(Marked::Provisional));
    assert_eq!(traced.finish(10_000).dropped, 1);
}

#[test]
fn copies_beside_the_path_say_nothing_of_how_the_packet_ended() {
    let neighbour = |aside| Visit {
        hook: hoptrace_common::inflight::Hook { id: 8, later: 0, ..hook(3) },
        key: KEY,
        now_ns: 250,
        clock: Clock::Exact,
        admit: false,
        aside,
        large: false,
    };
    // A flooded copy reached a neighbour; the one for the wire was dropped by the switch.
    for aside in [Aside::Copy, Aside::Broadcast] {
        let mut traced = Traced::new(16);
        traced.walk(0..3);
        let first: Outcome = traced.sight(neighbour(aside));
        assert_eq!(first.kind, Kind::Aside);
        traced.freed(KEY, 4, ON_THE_WAY);
        assert_eq!(traced.end(), (2, Found::Dropped(4)));
        assert_eq!(traced.finish(10_000).dropped, 1);
    }
    // It was the neighbour's own copy that was freed.
    let mut traced = Traced::new(16);
    traced.walk(0..3);
    traced.sight(neighbour(Aside::Copy));
    traced.freed(KEY, 4, Reach { live_after: 0, done_after: 0 });
    assert_eq!(traced.end(), (2, Found::Gone(End::Elsewhere)));
    let ledger = traced.finish(10_000);
    assert_eq!((ledger.elsewhere, ledger.copies_freed()), (1, 1));
}

#[test]
fn a_packet_seen_late_at_an_earlier_hook_keeps_its_mark() {
    // The frame reached the userspace datapath before TC saw it: hook 6 was passed before hook 5.
    let mut traced = Traced::new(16);
    traced.at(4, KEY, 400);
    traced.at(6, KEY, 600);
    traced.freed(KEY, 3, Reach { live_after: 1 << 6, done_after: 0 });
    assert_eq!(traced.kind(5, KEY, 610), Kind::Overtaken);
    assert_eq!(traced.end(), (6, Found::Dropped(3)));
    assert_eq!(traced.finish(10_000).dropped, 1);
}

/// The hooks behind the first one, and the kernel, may be faster than it.
#[test]
fn a_packet_that_its_first_hook_sees_only_when_it_is_dead_has_entered() {
    for is_settled in [false, true] {
        let mut traced = Traced::new(16);
        for id in 1..3 {
            traced.at(id, KEY, u64::from(id) * 100);
        }
        assert_eq!(traced.freed(KEY, 7, ON_THE_WAY), Some(Marked::Provisional));
        let now_ns = 2 * SETTLED_NS;
        if is_settled {
            assert!(matches!(traced.sweep(now_ns)[..], [Settled::Dropped(_, 7)]));
        }
        assert_eq!(traced.kind(0, KEY, now_ns), Kind::Overtaken);
        // What enters then is another one.
        assert_eq!(traced.kind(0, KEY, now_ns + SETTLED_NS), Kind::New);
        for id in 1..4 {
            assert_eq!(traced.kind(id, KEY, now_ns + SETTLED_NS + 100 * u64::from(id)), Kind::Passed);
        }
        let ledger = traced.finish(now_ns);
        assert_eq!(
            (ledger.net_entered(), ledger.net_joined(), ledger.dropped, ledger.completed, ledger.lost),
            (2, 0, 1, 1, 0)
        );
    }
}
