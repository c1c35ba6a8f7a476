//! The ports for programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Top,
    row::{Row, Way},
};
use crate::{
    model::{Finding, InstanceId, Interval},
    report::schema::written,
};

/// One JSON object on one line, without a newline.
#[must_use]
pub fn top_json(top: &Top<'_>) -> String {
    written(&TopReport::of(top))
}

/// Which version it is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
enum TopSchema {
    /// The first.
    #[serde(rename = "hoptrace.top/1")]
    V1,
}

/// The ports of a trace over an interval, or at the end over all of it, in the order that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct TopReport<'a> {
    /// Which version it is.
    schema: TopSchema,
    /// Whether the trace still runs; otherwise the interval is all of it.
    live: bool,
    /// When packets were admitted first, in nanoseconds since 1970.
    began_ns: u64,
    /// How long they were, in seconds.
    duration_s: f64,
    /// The time that rates are of, in seconds: the last of it.
    interval_s: f64,
    /// The filter, as it was understood; empty: all packets of the ports.
    filter: &'a str,
    /// What is to know about the trace, not about one port, the worst first.
    findings: Vec<&'a Finding>,
    /// The ports.
    ports: Vec<TopPort<'a>>,
}

/// A port.
#[derive(Debug, Serialize, JsonSchema)]
struct TopPort<'a> {
    /// Whose port it is.
    instance: &'a InstanceId,
    /// The guest's own interface on the host.
    tap: Option<&'a str>,
    /// VM → wire.
    egress: TopWay,
    /// Wire → VM.
    ingress: TopWay,
    /// 99 % of what the guest's kernel answers by itself came in this time, since the beginning; null where it answered nothing.
    guest_p99_ns: Option<u64>,
    /// What is to know about the port, the worst first.
    findings: Vec<&'a Finding>,
}

/// A direction of a port. Counts are since the beginning.
#[derive(Debug, Serialize, JsonSchema)]
struct TopWay {
    /// Packets per second in the interval.
    packets_per_s: f64,
    /// Packets that died in the interval, per second: dropped, lost, misdelivered, and those before the first hook.
    died_per_s: f64,
    /// Packets that hooks saw: entered and joined midway.
    packets: u64,
    /// Packets that died, all together.
    died: u64,
    /// Of those: freed by the kernel with a reason.
    dropped: u64,
    /// Of those: not seen again in time, no reason seen.
    lost: u64,
    /// Of those: sent to a port that is not their address's, and seen nowhere else.
    misdelivered: u64,
    /// Of those: before the first hook; not among the packets.
    died_early: u64,
    /// 99 % of the packets took no longer from the first hook to the last, since the beginning; null where none was measured.
    p99_ns: Option<u64>,
    /// Where that is, with a confidence of 99.9 %; null where every packet was timed.
    p99_within_ns: Option<Interval>,
}

impl<'a> TopReport<'a> {
    fn of(top: &Top<'a>) -> Self {
        let report = top.report;
        Self {
            schema: TopSchema::V1,
            live: report.live,
            began_ns: report.began_ns,
            duration_s: report.duration.as_secs_f64(),
            interval_s: top.interval_s,
            filter: &report.settings.filter,
            findings: report.findings.iter().filter(|finding| finding.port.is_none()).collect(),
            ports: top.rows.iter().map(|row| TopPort::of(top, row)).collect(),
        }
    }
}

impl<'a> TopPort<'a> {
    fn of(top: &Top<'a>, row: &Row<'a>) -> Self {
        Self {
            instance: &row.port.path.instance,
            tap: row.tap(),
            egress: TopWay::of(top, row.egress),
            ingress: TopWay::of(top, row.ingress),
            guest_p99_ns: row.guest_p99_ns,
            findings: row.findings.clone(),
        }
    }
}

impl TopWay {
    fn of(top: &Top<'_>, way: Way) -> Self {
        let Way { total, since, p99_ns, p99_within_ns } = way;
        Self {
            packets_per_s: top.per_second(since.packets),
            died_per_s: top.per_second(since.died()),
            packets: total.packets,
            died: total.died(),
            dropped: total.dropped,
            lost: total.lost,
            misdelivered: total.misdelivered,
            died_early: total.died_early,
            p99_ns,
            p99_within_ns,
        }
    }
}
