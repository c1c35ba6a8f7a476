//! What tracing cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mechanism;

/// What tracing cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TracerCost {
    /// Attachments.
    pub hooks: usize,
    /// Nanoseconds per packet and hook, from the kernel's BPF statistics; `None` when no packet came by while they
    /// were on.
    pub ns_per_hook: Option<f64>,
    /// Runs of the programs that the figure is the mean of.
    pub runs_measured: u64,
    /// Nanoseconds that hooks at tracepoints cost per packet that any device of the host sends and, where not only the wire
    /// hook is at one, receives; `None` as above.
    pub ns_per_sent: Option<f64>,
    /// Runs that the figure is the mean of.
    pub sent_measured: u64,
    /// CPU that the hooks' programs took, in percent of one core, while that was measured; `None`: it was not.
    #[serde(default)]
    pub hooks_cpu_pct: Option<f64>,
    /// Packets that hooks at tracepoints have missed because the kernel did not run their program.
    pub missed_runs: u64,
    /// CPU of this process, in percent of one core.
    pub cpu_pct: f64,
    /// Memory locked for the kernel's maps, in bytes, by the kernel's own count.
    pub map_bytes: u64,
    /// How the programs got onto the interfaces.
    pub mechanism: Mechanism,
}
