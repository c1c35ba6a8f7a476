//! The slow path of a switch: packets that its datapath gave to user space.

use super::{flow::Piece, page::Page, places::Ends, table::Row};
use crate::{
    model::{Segment, Upcalls},
    report::Ink,
};

/// The rows below a segment's own: its packets by the path they took. None where all took the fast one.
pub(super) fn rows(segment: &Segment) -> impl Iterator<Item = Row> {
    let paths = segment.paths;
    let is_told = paths.slow_path.is_some_and(|slow| slow.count > 0);
    [("  fast path", paths.fast_path), ("  slow path", paths.slow_path)]
        .into_iter()
        .filter(move |_| is_told)
        .filter_map(|(name, latencies)| {
            Some(Row { ends: Ends::named(name), latencies: latencies?, lost: None })
        })
}

impl Page<'_> {
    /// How often the switch asked user space; nothing where that was not looked at.
    pub(super) fn upcalls(&self) -> Vec<String> {
        let Some(upcalls) = self.report.upcalls else { return Vec::new() };
        self.flow(&[Piece::new(Ink::Faint, text(&upcalls))], " ", 8)
    }
}

fn text(upcalls: &Upcalls) -> String {
    if upcalls.misses == 0 && upcalls.actions == 0 {
        return "Open vSwitch: no upcalls".to_owned();
    }
    let [egress, ingress] = upcalls.traced;
    // Whole numbers, unless they would say little.
    let digits = usize::from(upcalls.misses_per_s < 10.0);
    let more = |count: u64, words: String| if count > 0 { words } else { String::new() };
    format!(
        "Open vSwitch: {} upcalls in all ({:.digits$} per second), {} of traced packets ({egress} egress, {ingress} ingress){}{}",
        upcalls.misses,
        upcalls.misses_per_s,
        egress + ingress,
        more(upcalls.unmarked, format!(", {} of them not marked as slow", upcalls.unmarked)),
        more(upcalls.actions, format!("; {} more by an action", upcalls.actions)),
    )
}
