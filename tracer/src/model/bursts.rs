//! Bursts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// That packets died in bursts, and in between, for half of the time at least, none did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bursts {
    /// How many bursts.
    pub count: u64,
    /// The longest took so long at most, in nanoseconds: it is looked ten times a second.
    pub longest_ns: u64,
    /// From the beginning of one to that of the next, on average, in nanoseconds.
    pub every_ns: u64,
}
