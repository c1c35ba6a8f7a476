//! The guest's own times.

use serde::{Deserialize, Serialize};

use super::json::prints_as_json;
use super::{Latencies, LatencyNs};

/// The guest's own times.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestTimes {
    /// Answers of its kernel.
    pub count: u64,
    /// How long they took.
    #[serde(deserialize_with = "Option::deserialize")]
    pub latency_ns: Option<LatencyNs>,
    /// Acknowledgements of TCP data.
    pub acknowledgements: Latencies,
    /// Answers of its programs.
    pub application: Application,
}

/// Answers of the guest's programs.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// Answers that are timed.
    pub count: u64,
    /// How long they took.
    #[serde(deserialize_with = "Option::deserialize")]
    pub latency_ns: Option<LatencyNs>,
    /// Questions that were left out.
    pub unclear: u64,
}

prints_as_json!(GuestTimes, Application);
