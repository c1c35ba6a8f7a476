//! Placeholder.
use super::Canvas;
use crate::model::TraceReport;
/// The report.
#[must_use]
pub fn trace_text(report: &TraceReport<'_>, _canvas: Canvas) -> String {
    format!("{:#?}\n", report.snapshot)
}
/// The report.
#[must_use]
pub fn trace_json(report: &TraceReport<'_>) -> String {
    serde_json::to_string(&report.snapshot.directions).unwrap_or_default()
}
