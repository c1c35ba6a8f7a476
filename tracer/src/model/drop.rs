//! Packets that died.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bursts, Explanation, Flow, PacketHead};

/// Packets that died.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drop {
    /// The last hook that saw them.
    pub after: String,
    /// The kernel's reason; `None`: lost, or a kernel that gives none.
    pub reason: Option<String>,
    /// Whose reason it is, if not the kernel core's: `openvswitch`.
    pub subsystem: Option<String>,
    /// The place that freed them, by its function; `None`: lost, nothing was seen to free them.
    pub location: Option<String>,
    /// How many.
    pub count: u64,
    /// On which CPUs, by their numbers; none of those that are lost. Of what is missing to `count` it is not known: there were more
    /// places and CPUs than are kept apart.
    pub cpus: Vec<OnCpu>,
    /// When the first of them died, in nanoseconds since 1970: when it was seen last, or behind the last hook when it was
    /// freed.
    pub first_ns: u64,
    /// When the last of them did.
    pub last_ns: u64,
    /// That they died in bursts; `None`: all the time, or in too few bursts, or too few in each; or it is not known, because some that had been
    /// counted came after all.
    #[serde(default)]
    pub bursts: Option<Bursts>,
    /// One of them.
    pub example: Option<DropExample>,
    /// The head of one of them, where they died in a switch and heads were kept.
    #[serde(skip)]
    pub head: Option<PacketHead>,
    /// What the switch's rules do with that packet, where it was asked.
    pub explain: Option<Explanation>,
    /// What that means, and what to do; `None`: nothing is known, or not yet.
    pub advice: Option<String>,
}

impl Drop {
    /// Whether nothing was seen to free them.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.location.is_none()
    }
}

/// Packets that one CPU freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnCpu {
    /// Its number.
    pub cpu: u32,
    /// How many.
    pub count: u64,
}

/// One packet that was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropExample {
    /// When it was freed, in nanoseconds since 1970.
    pub time_ns: u64,
    /// Length of the frame, in bytes.
    pub len_bytes: u32,
    /// What it belongs to.
    #[serde(flatten)]
    pub flow: Flow,
}

/// Packets of the VM that died at the interface where the path begins, before the first hook: they never entered, and are in
/// no other figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EarlyDrop {
    /// The hook that would have been the first to see them.
    pub before: String,
    /// The kernel's reason; `None`: it gives none.
    pub reason: Option<String>,
    /// Whose reason it is, if not the kernel core's.
    pub subsystem: Option<String>,
    /// The place that freed them, by its function.
    pub location: String,
    /// How many.
    pub count: u64,
    /// On which CPUs, by their numbers; of what is missing to `count` it is not known.
    pub cpus: Vec<OnCpu>,
    /// When the first of them was freed, in nanoseconds since 1970.
    pub first_ns: u64,
    /// When the last of them was.
    pub last_ns: u64,
    /// One of them.
    pub example: Option<DropExample>,
    /// What that means, and what to do; empty while that is not known yet.
    pub advice: String,
}
