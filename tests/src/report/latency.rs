//! How long packets took.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::json::prints_as_json;

/// Latencies, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencyNs {
    /// The smallest.
    pub min: u64,
    /// The median.
    pub p50: u64,
    /// 90 % are not larger.
    pub p90: u64,
    /// 99 % are not larger.
    pub p99: u64,
    /// 99.9 % are not larger.
    pub p999: u64,
    /// The largest.
    pub max: u64,
}

/// How far a share of the packets tells of all.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Packets that were timed.
    pub timed: u64,
    /// Where the median is.
    pub p50_ns: Interval,
    /// Likewise.
    pub p90_ns: Interval,
    /// Likewise.
    pub p99_ns: Interval,
    /// Likewise.
    pub p999_ns: Interval,
}

/// Between what a quantile is, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// No smaller.
    pub low: u64,
    /// No larger, where that is known.
    #[serde(deserialize_with = "Option::deserialize")]
    pub high: Option<u64>,
}

/// How many packets, and how long they took.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// Packets.
    pub count: u64,
    /// What is known where a share was timed.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sample: Option<Sample>,
    /// Their latencies; none: there were none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub latency_ns: Option<LatencyNs>,
}

/// A pair of hooks that packets passed one after the other.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// The hook before.
    pub from: String,
    /// The hook behind.
    pub to: String,
    /// Whether it leaves the path, or comes from beside it.
    pub off_path: bool,
    /// Packets.
    pub count: u64,
    /// What is known where a share was timed.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sample: Option<Sample>,
    /// Their latencies.
    #[serde(deserialize_with = "Option::deserialize")]
    pub latency_ns: Option<LatencyNs>,
    /// Of those, forwarded by the datapath alone.
    #[serde(deserialize_with = "Option::deserialize")]
    pub fast_path: Option<Latencies>,
    /// Of those, given to user space.
    #[serde(deserialize_with = "Option::deserialize")]
    pub slow_path: Option<Latencies>,
}

impl Segment {
    /// Whether it is between these hooks.
    #[must_use]
    pub fn is(&self, from: &str, to: &str) -> bool {
        self.from == from && self.to == to
    }

    /// Its latencies.
    ///
    /// # Errors
    /// Where it has none.
    pub fn ns(&self) -> Result<LatencyNs> {
        self.latency_ns.with_context(|| format!("no latency in {self}"))
    }
}

prints_as_json!(LatencyNs, Sample, Latencies, Segment);
