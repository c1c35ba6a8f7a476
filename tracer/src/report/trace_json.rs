//! A trace as JSON. Its schemas are `tracer/schema/hoptrace.trace-1.schema.json` and `hoptrace.drops-1.schema.json`.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    diagnose::{advice, early_advice, meaning},
    model::{
        Direction, Drop, EarlyDrop, Evidence, Finding, GuestTimes, InstanceId, Latencies, Neighbour,
        PathSummary, TraceReport, TracerCost, Upcalls,
    },
};

/// What every report begins with.
#[derive(Debug, Serialize)]
struct Head<'a> {
    schema: &'static str,
    findings: &'a [Finding],
    instance: &'a InstanceId,
    path: PathSummary<'a>,
    duration_s: f64,
    filter: &'a str,
    directions: Value,
}

/// What stands behind the figures.
#[derive(Debug, Serialize)]
struct Tail<'a> {
    notes: &'a [String],
    evidence: Value,
    drops_without_site: u64,
    tracer: TracerCost,
}

#[derive(Debug, Serialize)]
struct Trace<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    off_path: Latencies,
    guest: GuestTimes,
    neighbours: &'a [Neighbour],
    upcalls: Option<Upcalls>,
    #[serde(flatten)]
    tail: Tail<'a>,
}

#[derive(Debug, Serialize)]
struct Drops<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    tail: Tail<'a>,
}

/// One JSON object on one line, without a newline:
/// `{schema:"hoptrace.trace/1", findings, instance, path, duration_s, filter, directions, off_path, guest, neighbours, upcalls,
/// notes, evidence, drops_without_site, tracer}`.
///
/// Latencies are in nanoseconds, and null where no packet was measured.
#[must_use]
pub fn trace_json(report: &TraceReport<'_>) -> String {
    let snapshot = report.snapshot;
    let mut directions = json!(snapshot.directions);
    for direction in Direction::ALL {
        if let Some(figures) = directions.pointer_mut(&format!("/{}", direction.name())) {
            set(figures, "drops", drops(report, direction));
            set(figures, "early_drops", early_drops(report, direction));
        }
    }
    written(&Trace {
        head: head(report, "hoptrace.trace/1", directions),
        off_path: snapshot.off_path,
        guest: snapshot.guest,
        neighbours: &snapshot.neighbours,
        upcalls: snapshot.upcalls,
        tail: tail(report),
    })
}

/// The same restricted to what died:
/// `{schema:"hoptrace.drops/1", findings, instance, path, duration_s, filter, directions:{egress:{drops, early_drops, explain, ledger},
/// ingress}, notes, evidence, drops_without_site, tracer}`.
#[must_use]
pub fn drops_json(report: &TraceReport<'_>) -> String {
    let direction = |direction| {
        let figures = report.snapshot.directions.get(direction);
        json!({
            "drops": drops(report, direction),
            "early_drops": early_drops(report, direction),
            "explain": figures.explain,
            "ledger": figures.ledger,
        })
    };
    let directions =
        json!({ "egress": direction(Direction::Egress), "ingress": direction(Direction::Ingress) });
    written(&Drops { head: head(report, "hoptrace.drops/1", directions), tail: tail(report) })
}

fn head<'a>(report: &TraceReport<'a>, schema: &'static str, directions: Value) -> Head<'a> {
    Head {
        schema,
        findings: report.findings,
        instance: &report.path.instance,
        path: report.path.summary(),
        duration_s: report.snapshot.duration.as_secs_f64(),
        filter: report.filter,
        directions,
    }
}

fn tail<'a>(report: &TraceReport<'a>) -> Tail<'a> {
    Tail {
        notes: &report.snapshot.notes,
        evidence: evidence(report),
        drops_without_site: report.snapshot.drops_without_site,
        tracer: report.snapshot.tracer,
    }
}

/// Everything in it can be written: strings, numbers and lists of them.
fn written(object: &impl Serialize) -> String {
    serde_json::to_string(object).unwrap_or_default()
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
        set(&mut object, "advice", json!(advice(report, direction, drop).map(|advice| advice.to_string())));
        object
    };
    report.snapshot.directions.get(direction).drops.iter().map(with_advice).collect()
}

/// What died before the first hook of a direction, each with what it means.
fn early_drops(report: &TraceReport<'_>, direction: Direction) -> Value {
    let with_advice = |early: &EarlyDrop| {
        let mut object = json!(early);
        set(&mut object, "advice", json!(early_advice(report.path, early).to_string()));
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
