//! Packets that leave by a port beside the path, or come from there.

use hoptrace_common::inflight::{Answered, Aside, End, Hook, Kind, Outcome, Settled, State, Visit, answered};

use crate::traced::{KEY, TIMEOUT_NS, Traced, hook, seen_at};

/// The neighbours' hook on the way out: an alternative to the NIC's, hook 3.
fn neighbour(ends_here: bool) -> Hook {
    Hook { id: 8, direction: 0, entry: false, terminal: ends_here, later: 0, beside: 0 }
}

/// A hook of the way out that has the neighbours' behind it.
fn before(id: u8) -> Hook {
    Hook { beside: 1 << 8, ..hook(id) }
}

impl Traced {
    fn up_to_qvo(&mut self) {
        for (id, at_ns) in [(0, 100), (1, 200), (2, 300)] {
            self.at_hook(before(id), KEY, at_ns);
        }
    }

    fn received(&mut self, now_ns: u64) -> Outcome {
        self.sight(Visit { admit: false, ..seen_at(neighbour(true), KEY, now_ns) })
    }

    fn copied(&mut self, now_ns: u64, aside: Aside) -> Outcome {
        self.sight(Visit { admit: false, aside, ..seen_at(neighbour(false), KEY, now_ns) })
    }
}

#[test]
fn a_packet_for_a_neighbour_ends_there() {
    let mut traced = Traced::new(16);
    traced.up_to_qvo();
    let outcome = traced.received(450);
    assert_eq!((outcome.kind, outcome.hook, outcome.latency_ns), (Kind::Passed, 2, 150));
    assert_eq!((outcome.total_ns, outcome.control.state()), (350, State::Done));
    // It was flooded to the wire as well: a copy.
    assert_eq!(traced.at_hook(hook(3), KEY, 500).kind, Kind::Copy);
    let ledger = traced.finish(500);
    assert_eq!((ledger.entered, ledger.completed, ledger.copies, ledger.lost), (1, 1, 1, 0));
}

#[test]
fn what_is_unknown_at_a_neighbour_is_none_of_ours() {
    let mut traced = Traced::new(16);
    assert_eq!(traced.received(5).kind, Kind::Missing);
    assert_eq!(traced.copied(5, Aside::Copy).kind, Kind::Missing);
    assert_eq!(traced.copied(5, Aside::Broadcast).kind, Kind::Missing);
    assert_eq!(traced.finish(5).entered, 0);
}

#[test]
fn copies_to_neighbours_leave_the_way_to_the_wire_as_it_is() {
    for aside in [Aside::Copy, Aside::Broadcast] {
        let mut traced = Traced::new(16);
        traced.up_to_qvo();
        let first = traced.copied(320, aside);
        assert_eq!((first.kind, first.hook, first.latency_ns), (Kind::Aside, 2, 20));
        // To a second neighbour.
        assert_eq!(traced.copied(330, aside).kind, Kind::Copy);
        let nic = traced.at_hook(hook(3), KEY, 400);
        assert_eq!((nic.kind, nic.hook, nic.latency_ns, nic.total_ns), (Kind::Passed, 2, 100, 300));
        // A third one is served after the wire.
        assert_eq!(traced.copied(410, aside).kind, Kind::Copy);
        let ledger = traced.finish(410);
        assert_eq!((ledger.completed, ledger.copies, ledger.elsewhere, ledger.lost), (1, 3, 0, 0));
    }
}

#[test]
fn a_packet_of_which_only_copies_were_seen_went_elsewhere() {
    let mut traced = Traced::new(16);
    traced.up_to_qvo();
    traced.copied(320, Aside::Copy);
    let settled = traced.sweep(400 + TIMEOUT_NS);
    assert!(matches!(settled[..], [Settled::Ended(packet)] if packet.end() == End::Elsewhere));
    let ledger = traced.finish(500 + TIMEOUT_NS);
    assert_eq!((ledger.elsewhere, ledger.lost), (1, 0));
}

#[test]
fn a_broadcast_that_reached_neighbours_only_is_lost() {
    let mut traced = Traced::new(16);
    traced.up_to_qvo();
    traced.copied(320, Aside::Broadcast);
    let ledger = traced.finish(500);
    assert_eq!((ledger.elsewhere, ledger.lost), (0, 1));
}

#[test]
fn a_neighbour_may_see_a_packet_before_qvo_does() {
    let mut traced = Traced::new(16);
    traced.at_hook(before(0), KEY, 100);
    traced.at_hook(before(1), KEY, 200);
    let early = traced.received(300);
    assert_eq!((early.kind, early.hook, early.latency_ns), (Kind::Passed, 1, 100));
    let late = traced.at_hook(before(2), KEY, 310);
    assert_eq!((late.kind, late.before, late.hook, late.latency_ns), (Kind::Overtaken, 1, 8, 100));
    let ledger = traced.finish(310);
    assert_eq!((ledger.completed, ledger.overtaken, ledger.copies), (1, 1, 0));
}

#[test]
fn a_copy_that_is_early_takes_nothing_from_the_path() {
    let mut traced = Traced::new(16);
    traced.at_hook(before(0), KEY, 100);
    traced.at_hook(before(1), KEY, 200);
    assert_eq!(traced.copied(300, Aside::Copy).kind, Kind::Aside);
    let qvo = traced.at_hook(before(2), KEY, 310);
    assert_eq!((qvo.kind, qvo.hook, qvo.latency_ns), (Kind::Passed, 1, 110));
    assert_eq!(traced.at_hook(hook(3), KEY, 400).latency_ns, 90);
    let ledger = traced.finish(400);
    assert_eq!((ledger.completed, ledger.overtaken, ledger.elsewhere), (1, 0, 0));
}

#[test]
fn a_packet_that_only_a_wrong_port_saw_went_astray() {
    let mut traced = Traced::new(16);
    traced.up_to_qvo();
    assert_eq!(traced.copied(320, Aside::Astray).kind, Kind::Aside);
    let settled = traced.sweep(400 + TIMEOUT_NS);
    assert!(matches!(settled[..], [Settled::Ended(packet)] if packet.end() == End::Astray));
    let ledger = traced.finish(500 + TIMEOUT_NS);
    assert_eq!((ledger.astray, ledger.elsewhere, ledger.lost), (1, 0, 0));
}

#[test]
fn a_flooded_packet_went_where_the_best_of_its_copies_did() {
    // To a wrong port, and to the right one, which share a hook.
    let mut traced = Traced::new(16);
    traced.up_to_qvo();
    traced.copied(320, Aside::Astray);
    assert_eq!(traced.received(330).kind, Kind::Passed);
    let ledger = traced.finish(330);
    assert_eq!((ledger.completed, ledger.astray, ledger.lost), (1, 0, 0));
    // To a wrong port, and to the wire.
    let mut traced = Traced::new(16);
    traced.up_to_qvo();
    traced.copied(320, Aside::Astray);
    assert_eq!(traced.at_hook(hook(3), KEY, 400).kind, Kind::Passed);
    let ledger = traced.finish(400);
    assert_eq!((ledger.completed, ledger.astray, ledger.lost), (1, 0, 0));
    // To a mirror first: what follows still counts.
    for (second, astray, elsewhere) in [(Aside::Astray, 1, 0), (Aside::Copy, 0, 1)] {
        let mut traced = Traced::new(16);
        traced.up_to_qvo();
        traced.copied(320, Aside::Broadcast);
        assert_eq!(traced.copied(330, second).kind, Kind::Copy);
        let ledger = traced.finish(400);
        assert_eq!((ledger.astray, ledger.elsewhere, ledger.lost), (astray, elsewhere, 0));
    }
}

/// The hooks before the switch.
const BEFORE: u16 = 0b111;

#[test]
fn what_the_switch_answers_ends_there_and_its_repetition_is_a_packet_of_its_own() {
    let mut traced = Traced::new(16);
    for now_ns in [0, 1_000] {
        traced.up_to_qvo();
        assert!(answered(&traced.table, KEY, BEFORE, Answered::BySwitch), "{now_ns}");
        // Once.
        assert!(!answered(&traced.table, KEY, BEFORE, Answered::BySwitch));
    }
    // Counted by the programs.
    traced.ledger.completed += 2;
    let ledger = traced.finish(1_000);
    assert_eq!((ledger.entered, ledger.lost), (2, 0));
}

#[test]
fn what_left_the_switch_was_not_answered_by_it() {
    let mut traced = Traced::new(16);
    assert!(!answered(&traced.table, KEY, BEFORE, Answered::BySwitch));
    traced.up_to_qvo();
    traced.at_hook(hook(3), KEY, 400);
    assert!(!answered(&traced.table, KEY, BEFORE, Answered::BySwitch));
    // An answer of somebody beside the path: a broadcast that went there, and nowhere else.
    let mut traced = Traced::new(16);
    traced.up_to_qvo();
    traced.copied(320, Aside::Broadcast);
    assert!(answered(&traced.table, KEY, BEFORE, Answered::Beside));
    let ledger = traced.finish(400);
    assert_eq!((ledger.elsewhere, ledger.lost), (1, 0));
}
