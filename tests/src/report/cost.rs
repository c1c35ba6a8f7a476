//! What tracing cost, and what the switch gave to user space.

use serde::{Deserialize, Serialize};

use super::json::prints_as_json;

/// What tracing cost.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TracerCost {
    /// Where its hooks were.
    pub mechanism: String,
    /// Runs of its programs that the kernel left out.
    pub missed_runs: u64,
    /// CPU that its programs took, in percent of one core.
    #[serde(deserialize_with = "Option::deserialize")]
    pub hooks_cpu_pct: Option<f64>,
    /// Memory locked for the kernel's maps, in bytes.
    pub map_bytes: u64,
    /// What a frame that is sent costs at the tracepoints, in nanoseconds.
    #[serde(deserialize_with = "Option::deserialize")]
    pub ns_per_sent: Option<f64>,
}

/// What the switch gave to user space.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upcalls {
    /// Packets for which there was no flow.
    pub misses: u64,
    /// Of the traced packets, by direction.
    pub traced: [u64; 2],
    /// Traced packets that could not be marked.
    pub unmarked: u64,
}

prints_as_json!(TracerCost, Upcalls);
