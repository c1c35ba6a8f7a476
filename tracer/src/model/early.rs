//! Packets that died before the path's first hook.

use serde::Serialize;

use super::{DropExample, OnCpu};

/// Packets of the VM that died at the interface where the path begins, before the first hook: they never entered, and are in
/// no other figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
}
