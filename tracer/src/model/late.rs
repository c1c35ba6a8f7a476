//! Packets that came late.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Packets that took longer from one hook to a later one than the time-out: they were given up, and came after all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatePackets {
    /// The hook that saw them before.
    pub from: String,
    /// The hook where they came.
    pub to: String,
    /// How many were known again.
    pub packets: u64,
    /// Of those: the switch gave them to user space in between.
    pub by_upcall: u64,
    /// Of how many it is known how long they took.
    pub timed: u64,
    /// The longest that one took from the one hook to the other, in nanoseconds; `None`: of none is that known.
    pub max_ns: Option<u64>,
    /// When the hook before saw the first of them, in nanoseconds since 1970.
    pub first_ns: u64,
    /// And the last.
    pub last_ns: u64,
}
