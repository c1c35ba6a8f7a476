//! What flows between the stages: the words of the design as types, without any I/O.

mod direction;
mod ids;
mod kernel_maps;
mod path;
mod plan;
mod snapshot;

pub use direction::Direction;
pub use ids::{IfIndex, MacAddr, ParseMacError};
pub use kernel_maps::KernelMaps;
pub use path::{Hop, Path, PathKind, Problem, Role};
pub use plan::{HookPlan, Plan, SegmentPlan, Side};
pub use snapshot::{
    DirectionReport, Directions, Drop, Latencies, LatencyNs, Ledger, Segment, Snapshot, TracerCost,
};
