//! Packets that the kernel frees.

use hoptrace_common::inflight::{
    Aside, Control, End, Kind, Mark, Marked, Outcome, Reach, Settled, SlotCell as _, State, Visit, WAYS,
};

use crate::traced::{KEY, TIMEOUT_NS, Traced, hook, key};

/// An interface behind every hook, which no packet has passed for good.
const ON_THE_WAY: Reach = Reach { live_after: 0xffff, done_after: 0 };
/// The interface of the last hook of the way in, 7.
const LAST: Reach = Reach { live_after: 1 << 7, done_after: 1 << 7 };
/// The interface of the last hook of the way out, 3.
const WIRE: Reach = Reach { live_after: 1 << 3, done_after: 1 << 3 };

impl Traced {
    fn walk(&mut self, hooks: std::ops::Range<u8>) {
        for id in hooks {
            self.at(id, KEY, u64::from(id) * 100);
        }
    }

    /// The one packet that ended by a sweep after the time-out, its last hook and its end.
    fn end(&mut self) -> (u8, End) {
        let settled = self.sweep(10_000 + TIMEOUT_NS);
        let [Settled::Ended(packet)] = settled[..] else { panic!("{settled:?}") };
        assert_eq!((packet.key, packet.seen_ns), (KEY, u64::from(packet.control.last()) * 100));
        (packet.control.last(), packet.end())
    }
}

#[test]
fn a_packet_freed_behind_a_hook_is_dropped_there() {
    for (hooks, last) in [(0..1, 0), (0..3, 2), (4..5, 4), (4..7, 6)] {
        let mut traced = Traced::new(16);
        traced.walk(hooks);
        assert_eq!(traced.freed(KEY, 7, ON_THE_WAY), Some(Marked::Provisional));
        assert_eq!(traced.end(), (last, End::Dropped(7)));
        let ledger = traced.finish(10_000);
        assert_eq!((ledger.entered, ledger.dropped, ledger.lost, ledger.copies_freed()), (1, 1, 0, 0));
    }
}

#[test]
fn a_packet_that_nobody_freed_is_lost() {
    let mut traced = Traced::new(16);
    traced.walk(0..2);
    assert_eq!(traced.end(), (1, End::Lost));
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
    assert_eq!(traced.end(), (1, End::Lost), "the copy died behind hook 0");
    assert_eq!(traced.finish(10_000).copies_freed(), 1);
}

#[test]
fn of_a_flooded_packet_the_last_living_copy_tells() {
    let mut traced = Traced::new(16);
    traced.walk(0..1);
    for site in [3, 4, 5] {
        assert_eq!(traced.freed(KEY, site, ON_THE_WAY), Some(Marked::Provisional));
    }
    assert_eq!(traced.end(), (0, End::Dropped(5)));
    assert_eq!(traced.finish(10_000).copies_freed(), 2);
}

#[test]
fn where_the_packet_cannot_be_a_copy_dies() {
    // The host's own copy of what a userspace datapath takes; a mirror; a port the bridge floods to.
    let elsewhere = Reach { live_after: !(1 << 2), done_after: 0xffff };
    let mut traced = Traced::new(16);
    traced.walk(0..3);
    assert_eq!(traced.freed(KEY, 1, elsewhere), Some(Marked::Copy));
    assert_eq!(traced.end(), (2, End::Lost));
    let ledger = traced.finish(10_000);
    assert_eq!((ledger.lost, ledger.dropped, ledger.copies_freed()), (1, 0, 1));
}

#[test]
fn a_copy_elsewhere_does_not_hide_where_the_packet_died() {
    let mut traced = Traced::new(16);
    traced.walk(0..3);
    traced.freed(KEY, 9, ON_THE_WAY);
    traced.freed(KEY, 1, Reach { live_after: 0, done_after: 0 });
    assert_eq!(traced.end(), (2, End::Dropped(9)));
    assert_eq!(traced.finish(10_000).copies_freed(), 1);
}

#[test]
fn the_queue_behind_the_last_hook_turns_completed_into_dropped_once() {
    for (hooks, reach) in [(0..4, WIRE), (4..8, LAST)] {
        let mut traced = Traced::new(16);
        traced.walk(hooks);
        assert_eq!(traced.freed(KEY, 2, reach), Some(Marked::Dropped));
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
    assert_eq!(traced.freed(KEY, 2, WIRE), Some(Marked::Dropped));
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
    assert_eq!(traced.end(), (2, End::Dropped(6)));
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
    assert_eq!(traced.end(), (2, End::Lost));
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
fn ambiguous_packets_are_left_out() {
    let mut traced = Traced::new(16);
    traced.walk(0..1);
    assert_eq!(traced.kind(0, KEY, 5), Kind::Ambiguous);
    assert_eq!(traced.freed(KEY, 1, ON_THE_WAY), None);
    let ledger = traced.finish(10_000);
    assert_eq!((ledger.dropped, ledger.lost, ledger.freed), (0, 0, 0));
}

#[test]
fn a_marked_packet_with_a_twin_is_withdrawn_like_any_other() {
    let mut traced = Traced::new(16);
    traced.walk(0..1);
    traced.freed(KEY, 1, ON_THE_WAY);
    // A retransmission that looks the same, before the first one timed out.
    assert_eq!(traced.kind(0, KEY, 5), Kind::Ambiguous);
    let ledger = traced.finish(10_000);
    assert_eq!((ledger.net_entered(), ledger.dropped, ledger.lost), (0, 0, 0));
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
        let Settled::Ended(packet) = settled else { panic!("{settled:?}") };
        assert_eq!(packet.end(), End::Dropped(u32::try_from(packet.key >> 40).unwrap()));
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
        assert_eq!(traced.end(), (2, End::Dropped(4)));
        assert_eq!(traced.finish(10_000).dropped, 1);
    }
    // It was the neighbour's own copy that was freed.
    let mut traced = Traced::new(16);
    traced.walk(0..3);
    traced.sight(neighbour(Aside::Copy));
    traced.freed(KEY, 4, Reach { live_after: 0, done_after: 0 });
    assert_eq!(traced.end(), (2, End::Elsewhere));
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
    assert_eq!(traced.end(), (6, End::Dropped(3)));
    assert_eq!(traced.table.count(State::Free), 128);
    assert_eq!(traced.finish(10_000).dropped, 1);
}
