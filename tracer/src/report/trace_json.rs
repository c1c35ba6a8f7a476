//! A trace as JSON. Its schema is `tracer/schema/hoptrace.trace-1.schema.json`.

use serde_json::json;

use crate::model::TraceReport;

/// One JSON object on one line, without a newline:
/// `{schema:"hoptrace.trace/1", instance, path, duration_s, filter, directions, off_path, guest, neighbours, notes,
/// tracer}`.
///
/// Latencies are in nanoseconds, and null where no packet was measured.
#[must_use]
pub fn trace_json(report: &TraceReport<'_>) -> String {
    let TraceReport { path, snapshot, filter, .. } = report;
    json!({
        "schema": "hoptrace.trace/1",
        "instance": path.instance,
        "path": path.summary(),
        "duration_s": snapshot.duration.as_secs_f64(),
        "filter": filter,
        "directions": snapshot.directions,
        "off_path": snapshot.off_path,
        "guest": snapshot.guest,
        "neighbours": snapshot.neighbours,
        "notes": snapshot.notes,
        "tracer": snapshot.tracer,
    })
    .to_string()
}

#[cfg(test)]
#[path = "trace_json_tests.rs"]
mod tests;
