//! What died before the first hook is said first, and stands above what hooks have seen.

use super::super::{drops_text, trace_text};
use crate::{
    model::Snapshot,
    report::{
        Canvas,
        trace_samples::{path, report, snapshot, with_early_drops},
    },
};

fn texts(snapshot: &Snapshot) -> [String; 2] {
    let canvas = Canvas { width: Some(180), colour: false };
    let path = path();
    let report = report(&path, snapshot);
    [trace_text(&report, canvas), drops_text(&report, canvas)]
}

#[test]
fn what_died_before_the_first_hook_comes_first() {
    for text in texts(&with_early_drops()) {
        assert!(text.starts_with("✘ 137 packets from the VM died before tap tapc3d70d5c-a90"), "{text}");
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in\n{text}"));
        assert!(
            at("8 of 1000 packets from the VM that hooks saw died") < at("died before the first hook"),
            "{text}"
        );
        assert!(at("died before the first hook") < at("137  before tap tapc3d70d5c-a90  TC_INGRESS in"));
        assert!(at("TC_INGRESS in sch_handle_ingress+0x1c\\u{1b}[31m") < at("  drops"), "{text}");
        assert!(text.contains("on CPUs 0, 1 (most on 0)"), "{text}");
        assert!(text.contains("tc filter show dev tapc3d70d5c-a90 ingress"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }
}

#[test]
fn where_nothing_else_died_it_is_not_said_that_nothing_did() {
    let mut snapshot = snapshot(1_000);
    snapshot.directions.egress.early_drops = with_early_drops().directions.egress.early_drops;
    let [_, drops] = texts(&snapshot);
    assert_eq!(drops.matches("nothing died").count(), 1, "of the way in only: {drops}");
}
