//! Figures as they are collected.

use std::time::Duration;

use super::{Directions, Evidence, GuestTimes, Latencies, Neighbour, Taken, TracerCost, Upcalls};

/// Everything that the programs and the host's counters have told of a trace so far. A [`Report`](super::Report) is made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// When packets were admitted first, in nanoseconds since 1970; 0: not yet.
    pub began_ns: u64,
    /// How long they were.
    pub duration: Duration,
    /// Both directions.
    pub directions: Directions,
    /// Hops between hooks that are no neighbours on the path.
    pub off_path: Latencies,
    /// The guest's own response times.
    pub guest: GuestTimes,
    /// Ports beside the path.
    pub neighbours: Vec<Neighbour>,
    /// What the switch gave to user space; `None`: there is no kernel datapath, or its upcalls can not be seen.
    pub upcalls: Option<Upcalls>,
    /// What else is to know about the trace, such as what attaching changed on the host; a line each.
    pub notes: Vec<String>,
    /// What else went wrong: questions without an answer, and, known at the end only, counters of the host that rose.
    pub evidence: Vec<Evidence>,
    /// Frees of packets from more places than are kept apart: those packets are lost without a reason.
    pub drops_without_site: u64,
    /// Hooks that another program took away, which ended the trace.
    pub taken: Option<Taken>,
    /// What tracing cost.
    pub tracer: TracerCost,
}
