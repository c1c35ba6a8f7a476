//! A trace as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::schema::written;
use crate::model::{
    Direction, Drop, EarlyDrop, Evidence, Explanation, Finding, HostFacts, Ledger, Path, PortReport, Report,
    Settings, TracerCost,
};

/// One JSON object on one line, without a newline: the [`Report`].
#[must_use]
pub fn trace_json(report: &Report) -> String {
    written(report)
}

/// The same restricted to what died.
#[must_use]
pub fn drops_json(report: &Report) -> String {
    written(&DropsReport::of(report))
}

/// Which version of the report on drops it is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
enum DropsSchema {
    /// The second.
    #[serde(rename = "hoptrace.drops/2")]
    V2,
}

/// What died during a trace: the members of its report that are about that.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DropsReport<'a> {
    /// Which version of the report it is.
    schema: DropsSchema,
    /// What is to know first, in words: the worst first.
    findings: &'a [Finding],
    /// Where it was traced.
    host: &'a HostFacts,
    /// What was asked for.
    settings: &'a Settings,
    /// When packets were admitted first, in nanoseconds since 1970.
    began_ns: u64,
    /// How long they were, in seconds.
    duration_s: f64,
    /// The ports that were traced.
    ports: Vec<PortDrops<'a>>,
    /// What else went wrong: questions without an answer, and counters of the host that rose.
    evidence: &'a [Evidence],
    /// What else is to know about the trace, a line each.
    notes: &'a [String],
    /// Frees of packets from more places than are kept apart: those packets are lost without a reason.
    drops_without_site: u64,
    /// What tracing cost.
    tracer: TracerCost,
}

/// What died of one port.
#[derive(Debug, Serialize, JsonSchema)]
struct PortDrops<'a> {
    /// The path, and whose it is.
    path: &'a Path,
    /// Both directions.
    directions: DirectionsOfDrops<'a>,
}

/// Both directions.
#[derive(Debug, Serialize, JsonSchema)]
struct DirectionsOfDrops<'a> {
    /// VM → wire.
    egress: DropsOfDirection<'a>,
    /// Wire → VM.
    ingress: DropsOfDirection<'a>,
}

/// What died in one direction.
#[derive(Debug, Serialize, JsonSchema)]
struct DropsOfDirection<'a> {
    /// Packets that died.
    drops: &'a [Drop],
    /// Packets that died before the first hook.
    early_drops: &'a [EarlyDrop],
    /// What the switch's rules do with a packet that went through, where it was asked.
    explain: Option<&'a Explanation>,
    /// Where every packet went.
    ledger: Ledger,
}

impl<'a> DropsReport<'a> {
    fn of(report: &'a Report) -> Self {
        Self {
            schema: DropsSchema::V2,
            findings: &report.findings,
            host: &report.host,
            settings: &report.settings,
            began_ns: report.began_ns,
            duration_s: report.duration.as_secs_f64(),
            ports: report.ports.iter().map(PortDrops::of).collect(),
            evidence: &report.evidence,
            notes: &report.notes,
            drops_without_site: report.drops_without_site,
            tracer: report.tracer,
        }
    }
}

impl<'a> PortDrops<'a> {
    fn of(port: &'a PortReport) -> Self {
        let of = |direction| {
            let figures = port.directions.get(direction);
            DropsOfDirection {
                drops: &figures.drops,
                early_drops: &figures.early_drops,
                explain: figures.explain.as_ref(),
                ledger: figures.ledger,
            }
        };
        let directions = DirectionsOfDrops { egress: of(Direction::Egress), ingress: of(Direction::Ingress) };
        Self { path: &port.path, directions }
    }
}

#[cfg(test)]
#[path = "trace_json_tests.rs"]
mod tests;
