//! A trace as JSON. Its schemas are `tracer/schema/hoptrace.trace-1.schema.json` and `hoptrace.drops-1.schema.json`.

use serde_json::{Value, json};

use super::{
    advice::{advice, early_advice},
    evidence::meaning,
};
use crate::model::{Direction, Drop, EarlyDrop, Evidence, TraceReport};

/// One JSON object on one line, without a newline:
/// `{schema:"hoptrace.trace/1", instance, path, duration_s, filter, directions, off_path, guest, neighbours, upcalls,
/// notes, evidence, drops_without_site, tracer}`.
///
/// Latencies are in nanoseconds, and null where no packet was measured.
#[must_use]
pub fn trace_json(report: &TraceReport<'_>) -> String {
    let TraceReport { path, snapshot, filter, .. } = report;
    let mut object = json!({
        "schema": "hoptrace.trace/1",
        "instance": path.instance,
        "path": path.summary(),
        "duration_s": snapshot.duration.as_secs_f64(),
        "filter": filter,
        "directions": snapshot.directions,
        "off_path": snapshot.off_path,
        "guest": snapshot.guest,
        "neighbours": snapshot.neighbours,
        "upcalls": snapshot.upcalls,
        "notes": snapshot.notes,
        "evidence": evidence(report),
        "drops_without_site": snapshot.drops_without_site,
        "tracer": snapshot.tracer,
    });
    for direction in Direction::ALL {
        if let Some(figures) = object.pointer_mut(&format!("/directions/{}", direction.name())) {
            set(figures, "drops", drops(report, direction));
            set(figures, "early_drops", early_drops(report, direction));
        }
    }
    object.to_string()
}

/// The same restricted to what died:
/// `{schema:"hoptrace.drops/1", instance, path, duration_s, filter, directions:{egress:{drops, early_drops, explain, ledger}, ingress}, notes, evidence,
/// drops_without_site, tracer}`.
#[must_use]
pub fn drops_json(report: &TraceReport<'_>) -> String {
    let TraceReport { path, snapshot, filter, .. } = report;
    let direction = |direction| {
        let figures = snapshot.directions.get(direction);
        json!({
            "drops": drops(report, direction),
            "early_drops": early_drops(report, direction),
            "explain": figures.explain,
            "ledger": figures.ledger,
        })
    };
    json!({
        "schema": "hoptrace.drops/1",
        "instance": path.instance,
        "path": path.summary(),
        "duration_s": snapshot.duration.as_secs_f64(),
        "filter": filter,
        "directions": { "egress": direction(Direction::Egress), "ingress": direction(Direction::Ingress) },
        "notes": snapshot.notes,
        "evidence": evidence(report),
        "drops_without_site": snapshot.drops_without_site,
        "tracer": snapshot.tracer,
    })
    .to_string()
}

/// What else rose, each with its meaning.
fn evidence(report: &TraceReport<'_>) -> Value {
    let with_meaning = |evidence: &Evidence| {
        let mut object = json!(evidence);
        set(&mut object, "meaning", json!(meaning(report.path, evidence)));
        object
    };
    report.snapshot.evidence.iter().map(with_meaning).collect()
}

/// The drops of a direction, each with its advice.
fn drops(report: &TraceReport<'_>, direction: Direction) -> Value {
    let with_advice = |drop: &Drop| {
        let mut object = json!(drop);
        set(&mut object, "advice", json!(advice(report.path, direction, drop)));
        object
    };
    report.snapshot.directions.get(direction).drops.iter().map(with_advice).collect()
}

/// What died before the first hook of a direction, each with what it means.
fn early_drops(report: &TraceReport<'_>, direction: Direction) -> Value {
    let with_advice = |early: &EarlyDrop| {
        let mut object = json!(early);
        set(&mut object, "advice", json!(early_advice(report.path, direction, early)));
        object
    };
    report.snapshot.directions.get(direction).early_drops.iter().map(with_advice).collect()
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
#[path = "trace_json_tests.rs"]
mod tests;
