//! A trace for people: its findings first, then of each port per direction a row per segment, what died, and the ledger, and
//! the guest's own time; at the end what tracing cost.

mod drops;
mod early;
mod evidence;
mod explain;
mod findings;
mod flow;
mod guest;
mod head;
mod ledger;
mod neighbours;
mod page;
mod places;
mod port;
mod several;
mod table;
mod upcalls;

pub(super) use explain::Setting;
use page::Page;
pub(super) use port::way;

use super::Canvas;
use crate::model::Report;

/// Columns where there is no terminal: what fits into a log or a README.
const DEFAULT_COLUMNS: usize = 100;
/// Fewer columns than this are not aimed at; lines then get longer than the terminal.
const MIN_COLUMNS: usize = 60;

/// Columns of the lines on this canvas.
fn columns_on(canvas: Canvas) -> usize {
    canvas.width.unwrap_or(DEFAULT_COLUMNS).max(MIN_COLUMNS)
}

/// What of each port is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Everything.
    All,
    /// What died.
    Deaths,
}

/// The report, ending with a newline. Made for 80 columns and more; narrower ones get fewer quantiles, wider canvases get fewer, longer lines.
/// Of more than a few ports only those with findings are told in full, below a line for each port.
#[must_use]
pub fn trace_text(report: &Report, canvas: Canvas) -> String {
    Page::new(report, &report.port_names(), canvas).text(Part::All)
}

/// Only what died, where and why: the same report without latencies. Of several ports only those of which something died are told.
#[must_use]
pub fn drops_text(report: &Report, canvas: Canvas) -> String {
    Page::new(report, &report.port_names(), canvas).text(Part::Deaths)
}

/// Only what a report begins with, its findings, for a terminal that something else is printed to.
#[must_use]
pub fn findings_text(report: &Report) -> Vec<String> {
    let names = report.port_names();
    let page = Page { report, names: &names, canvas: Canvas::PLAIN, columns: DEFAULT_COLUMNS };
    page.findings().into_iter().filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
#[path = "trace_text/several_tests.rs"]
mod several_tests;
#[cfg(test)]
#[path = "trace_text_tests.rs"]
mod tests;
