//! How long packets took.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Latencies of one segment, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyNs {
    /// The smallest, exact.
    pub min: u64,
    /// The mean, exact.
    pub mean: f64,
    /// The median; this and the other quantiles within 1.6 %.
    pub p50: u64,
    /// 90 % are not larger.
    pub p90: u64,
    /// 99 % are not larger.
    pub p99: u64,
    /// 99.9 % are not larger.
    pub p999: u64,
    /// The largest, exact.
    pub max: u64,
}

/// How many packets, and how long they took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latencies {
    /// Packets, those included whose latency is not known (see [`Ledger::clock_skew`]).
    pub count: u64,
    /// Their latencies; `None` when there were none.
    pub latency_ns: Option<LatencyNs>,
}

/// A pair of hooks that packets passed one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// The hook before.
    pub from: String,
    /// The hook behind.
    pub to: String,
    /// Whether it leaves the discovered path, or comes from beside it.
    pub off_path: bool,
    /// The figures.
    #[serde(flatten)]
    pub latencies: Latencies,
    /// The same packets in two parts; `None`: all of them took the same path, or it is not known which they took.
    #[serde(flatten)]
    pub paths: SwitchPaths,
}

/// The packets of a segment through a switch, by the path they took in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SwitchPaths {
    /// Forwarded by the switch's datapath alone; `None`: this is not told apart.
    pub fast_path: Option<Latencies>,
    /// Given to user space, which decided about them (upcall).
    pub slow_path: Option<Latencies>,
}
