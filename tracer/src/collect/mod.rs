//! Reads the kernel's maps and owns every loss counter; reads what else on the host counts losses.

mod addresses;
mod answers;
mod checksums;
mod clock;
mod collector;
mod cost;
mod counters;
mod drops;
mod error;
mod exchanges;
mod flow;
mod gate;
mod heads;
mod latency;
mod ledger;
mod mapped;
mod members;
mod neighbours;
mod recent;
mod records;
mod table;
mod thresholds;
mod top;
mod upcalls;
mod witness;

pub use collector::{Collector, Progress};
pub use cost::CostMeter;
pub use error::CollectError;
pub use records::Records;
pub use witness::{Found, LinkWatch, Witness};
