//! Reads the kernel's maps and owns every loss counter; reads what else on the host counts losses.

mod addresses;
mod clock;
mod collector;
mod cost;
mod counters;
mod error;
mod flow;
mod gate;
mod latency;
mod ledger;
mod mapped;
mod members;
mod neighbours;
mod reading;
mod recent;
mod records;
mod table;
mod thresholds;
mod top;
mod witness;

pub(crate) use clock::{WallClock, monotonic_ns};
pub use collector::{Collector, Progress};
pub use cost::CostMeter;
pub use error::CollectError;
pub(crate) use flow::FlowFields;
pub(crate) use gate::Gate;
pub use ledger::Account;
pub(crate) use mapped::{ACQUIRE, Mapped, atomic_u32, atomic_u64};
pub use reading::{Reading, Sight};
pub use records::Records;
pub(crate) use table::Sweep;
pub use witness::{Found, LinkWatch, Witness};
