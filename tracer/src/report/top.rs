//! The ports of a trace, a line for each: what `top` shows again and again, and what a report of many ports begins with.

mod json;
mod row;
mod sort;
mod table;
mod text;

pub(super) use json::TopReport;
pub use json::top_json;
use row::Row;
pub use sort::TopSort;
pub(super) use table::table;
pub use text::top_text;

use crate::model::{PortReport, Report};

/// The ports of a trace, in an order, over a time.
#[derive(Debug)]
pub struct Top<'a> {
    report: &'a Report,
    /// In seconds.
    interval_s: f64,
    rows: Vec<Row<'a>>,
}

impl<'a> Top<'a> {
    /// Over the time between two reports of the same trace. Times of packets and findings are of the whole trace up to `now`.
    #[must_use]
    pub fn between(before: &Report, now: &'a Report, sort: TopSort) -> Self {
        Self::over(Some(before), now, sort)
    }

    /// Over the whole trace.
    #[must_use]
    pub fn whole(report: &'a Report, sort: TopSort) -> Self {
        Self::over(None, report, sort)
    }

    fn over(before: Option<&Report>, report: &'a Report, sort: TopSort) -> Self {
        let began = before.map_or_else(Default::default, |before| before.duration);
        let interval_s = report.duration.saturating_sub(began).as_secs_f64();
        let mut rows = Row::of_each(before, report);
        sort.sort(&mut rows);
        Self { report, interval_s, rows }
    }

    /// The ports, in that order.
    pub(super) fn ports(&self) -> impl Iterator<Item = &'a PortReport> {
        self.rows.iter().map(|row| row.port)
    }

    /// Something per second.
    fn per_second(&self, count: u64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a rate for people and graphs")]
        if self.interval_s > 0.0 { count as f64 / self.interval_s } else { 0.0 }
    }
}

#[cfg(test)]
#[path = "top/tests.rs"]
mod tests;
