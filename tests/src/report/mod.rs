//! What `hoptrace trace` and `hoptrace drops` report, as tests look at it.
//!
//! A typed view of the JSON, made without the tracer's own types: what a test reads here, a program of somebody else can read, too. It
//! holds what tests look at; a member of it that the JSON has not is an error when the report is read. Each part prints as JSON.

mod cost;
mod direction;
mod drops;
mod explanation;
mod finding;
mod guest;
mod json;
mod latency;
mod ledger;
mod neighbour;
mod packet;
mod path;
mod ports;
#[cfg(test)]
mod sample;
mod trace;

pub use cost::{TracerCost, Upcalls};
pub use direction::{Direction, Directions};
pub use drops::{DirectionDrops, DropExample, Dropped, DropsReport, EarlyDrop, OnCpu};
pub use explanation::{Explanation, Rule};
pub use finding::{Evidence, Finding};
pub use guest::{Application, GuestTimes};
pub use latency::{Interval, Latencies, LatencyNs, Sample, Segment};
pub use ledger::Ledger;
pub use neighbour::Neighbour;
pub use packet::{Packet, WayPoint};
pub use path::{Instance, Path, Traceability};
pub use trace::{DirectionReport, Hook, Report};
