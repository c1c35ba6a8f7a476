//! How long packets took.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Latencies of one segment, in nanoseconds; of the packets that were timed, where that was a share only ([`Latencies::sample`]): then the
/// quantiles and the mean are those of all packets as far as these tell, and `min` and `max` their own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyNs {
    /// The smallest of those that were timed, exact.
    pub min: u64,
    /// The mean; exact where every packet was timed.
    pub mean: f64,
    /// The median; this and the other quantiles within 1.6 %.
    pub p50: u64,
    /// 90 % are not larger.
    pub p90: u64,
    /// 99 % are not larger.
    pub p99: u64,
    /// 99.9 % are not larger.
    pub p999: u64,
    /// The largest of those that were timed, exact.
    pub max: u64,
}

/// How many packets, and how long they took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latencies {
    /// Packets, those included whose latency is not known (see [`Ledger::clock_skew`]).
    pub count: u64,
    /// What is known where not every packet was timed; `None`: every one was, but for those whose latency can not be known.
    #[serde(default)]
    pub sample: Option<Sample>,
    /// Their latencies; `None` when there were none.
    pub latency_ns: Option<LatencyNs>,
}

impl Latencies {
    /// Of no packets.
    pub const NONE: Self = Self { count: 0, sample: None, latency_ns: None };
}

/// How far a share of the packets tells of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Packets that were timed.
    pub timed: u64,
    /// Where the median of all packets is, with a confidence of 99.9 %.
    pub p50_ns: Interval,
    /// Where 90 % of them are not larger, likewise.
    pub p90_ns: Interval,
    /// Where 99 % of them are not larger, likewise.
    pub p99_ns: Interval,
    /// Where 99.9 % of them are not larger, likewise.
    pub p999_ns: Interval,
}

impl Sample {
    /// None was timed.
    pub const NONE: Self = Self {
        timed: 0,
        p50_ns: Interval::ANY,
        p90_ns: Interval::ANY,
        p99_ns: Interval::ANY,
        p999_ns: Interval::ANY,
    };
}

impl Interval {
    /// Nothing is known.
    const ANY: Self = Self { low: 0, high: None };
}

/// Two latencies, in nanoseconds, between which a quantile is; both are known as quantiles are, within 1.6 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// It is not smaller than this.
    pub low: u64,
    /// It is not larger than this; `None`: that is not known, too few packets were timed.
    pub high: Option<u64>,
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

/// Which part of the packets of these segments was timed; `None`: all of them.
#[must_use]
pub fn timed_part<'a>(segments: impl Iterator<Item = &'a Segment>) -> Option<f64> {
    let (mut timed, mut all, mut is_part) = (0_u64, 0_u64, false);
    for Segment { latencies, .. } in segments {
        is_part |= latencies.sample.is_some();
        timed = latencies.sample.map_or(latencies.count, |sample| sample.timed).saturating_add(timed);
        all = latencies.count.saturating_add(all);
    }
    #[allow(clippy::cast_precision_loss, reason = "a part")]
    (is_part && all > 0).then(|| timed as f64 / all as f64)
}

/// The packets of a segment through a switch, by the path they took in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SwitchPaths {
    /// Forwarded by the switch's datapath alone; `None`: this is not told apart.
    pub fast_path: Option<Latencies>,
    /// Given to user space, which decided about them (upcall).
    pub slow_path: Option<Latencies>,
}
