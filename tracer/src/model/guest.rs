//! The guest's own times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Latencies;

/// How long the guest takes, from its tap to its tap again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuestTimes {
    /// What its kernel answers by itself: echo replies, ARP replies, answers to SYNs.
    #[serde(flatten)]
    pub kernel: Latencies,
    /// Its kernel's acknowledgements of TCP data, which it may delay.
    pub acknowledgements: Latencies,
    /// What its programs answer.
    pub application: Application,
}

/// How long the guest's programs take: from the last data of a question over TCP to the first data of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Application {
    /// The answers that are measured.
    #[serde(flatten)]
    pub answers: Latencies,
    /// Answers that are not, because it is not clear which question they are to, or since when it was asked.
    pub unclear: u64,
}
