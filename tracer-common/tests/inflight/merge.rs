//! Packets that become part of another one.

use hoptrace_common::inflight::{Kind, State, Visit};

use crate::traced::{KEY, Traced, hook, key, seen_at};

#[test]
fn what_became_part_of_another_packet_is_merged_and_not_lost() {
    let mut traced = Traced::new(16);
    for number in 0..5 {
        assert_eq!(traced.kind(4, KEY + number, 10), Kind::New);
    }
    assert_eq!(traced.kind(5, KEY, 20), Kind::Passed);
    for number in 1..4 {
        assert!(traced.merged(5, KEY + number), "{number}");
    }
    // Nobody says that the last one is part of it.
    assert_eq!(traced.kind(6, KEY, 30), Kind::Passed);
    assert_eq!(traced.kind(7, KEY, 40), Kind::Passed);
    let ledger = traced.finish(40);
    assert_eq!((ledger.entered, ledger.completed, ledger.merged, ledger.lost), (5, 1, 3, 1));
}

#[test]
fn only_a_packet_on_its_way_to_the_hook_is_merged_there() {
    let mut traced = Traced::new(16);
    assert!(!traced.merged(5, KEY), "unknown");
    traced.at(4, KEY, 10);
    traced.at(5, KEY, 20);
    assert!(!traced.merged(5, KEY), "it came there by itself");
    assert!(!traced.merged(4, KEY), "it was there before");
    assert!(traced.merged(6, KEY));
    assert!(!traced.merged(6, KEY), "once only");
    for id in 4..8 {
        traced.at(id, KEY + 1, 30);
    }
    assert!(!traced.merged(7, KEY + 1), "done");
    traced.at(4, KEY + 2, 40);
    assert_eq!(traced.kind(4, KEY + 2, 41), Kind::Grouped);
    assert!(!traced.merged(5, KEY + 2), "there are two of them");
    let ledger = traced.finish(50);
    assert_eq!((ledger.merged, ledger.completed, ledger.lost), (1, 1, 2));
}

#[test]
fn pieces_of_the_larger_packet_are_new_ones_again() {
    let mut traced = Traced::new(16);
    for number in 0..2 {
        traced.at(4, KEY + number, 10);
    }
    traced.at(5, KEY, 20);
    assert!(traced.merged(5, KEY + 1));
    for number in 0..2 {
        let kind = if number == 0 { Kind::Passed } else { Kind::New };
        assert_eq!(traced.kind(6, KEY + number, 30), kind);
        assert_eq!(traced.kind(7, KEY + number, 40), Kind::Passed);
    }
    let ledger = traced.finish(40);
    assert_eq!((ledger.entered, ledger.net_joined(), ledger.completed, ledger.merged), (2, 1, 2, 1));
}

#[test]
fn a_packet_away_from_home_is_no_longer_missed_there() {
    let mut traced = Traced::new(16);
    // The same home: the second one moves over.
    let keys = [key(3, 2, 1), key(3, 2, 2)];
    for key in keys {
        traced.at(4, key, 10);
    }
    assert_eq!(traced.table.spilled_of_all_sets().iter().sum::<u32>(), 1);
    assert!(traced.merged(5, keys[1]));
    assert_eq!(traced.table.spilled_of_all_sets().iter().sum::<u32>(), 0);
    assert_eq!(traced.table.count(State::Live), 1);
    assert!(traced.merged(5, keys[0]));
    assert_eq!(traced.finish(10).merged, 2);
}

#[test]
fn a_packet_that_grew_says_so_once() {
    let mut traced = Traced::new(16);
    let mut sight = |id: u8, large: bool| {
        let visit = Visit { large, ..seen_at(hook(id), KEY, 10) };
        let outcome = traced.sight(visit);
        (outcome.grown, outcome.control.large())
    };
    assert!(!sight(4, false).0);
    assert_eq!(sight(5, true), (true, true));
    assert_eq!(sight(6, true), (false, true));
    // Its first piece.
    assert_eq!(sight(7, false), (false, true));
}
