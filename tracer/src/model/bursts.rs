//! Bursts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// That packets died in bursts, four a burst or more on average, and in between none did, for half of the time at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bursts {
    /// How many bursts.
    pub count: u64,
    /// The longest took so long at most, in nanoseconds. How many have died is read ten times a second.
    pub longest_ns: u64,
    /// From the beginning of one to that of the next, on average, in nanoseconds.
    pub every_ns: u64,
}

/// `in 20 bursts of 100 ms at most`
impl fmt::Display for Bursts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {} bursts of {} ms at most", self.count, self.longest_ns.div_ceil(1_000_000))
    }
}
