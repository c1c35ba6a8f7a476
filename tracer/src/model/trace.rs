//! A whole trace, ready to be rendered.

use super::{Finding, HostReport, Path, Snapshot};

/// What every format renders.
#[derive(Debug, Clone, Copy)]
pub struct TraceReport<'a> {
    /// The path that was traced, and whose it is.
    pub path: &'a Path,
    /// The figures.
    pub snapshot: &'a Snapshot,
    /// What the host's sources said meanwhile.
    pub host: &'a HostReport,
    /// What is to know first, in words: the worst first. Empty while findings are made of the rest.
    pub findings: &'a [Finding],
    /// The filter as it was given; empty when everything of the VM was traced.
    pub filter: &'a str,
    /// Whether the trace still runs.
    pub live: bool,
    /// How long a packet may stay away before it counts as lost, in milliseconds.
    pub timeout_ms: u64,
}
