//! Puts the eBPF programs on the path, and takes them off.
//!
//! [`preflight`] says whether this host can, [`plan()`] says what goes where, [`Attached`] does it and undoes it when
//! it is dropped. TCX and XDP links and those at tracepoints ([`host_wide`]) live as long as their file descriptors, so even
//! SIGKILL leaves nothing on an interface; with [`clsact`] a [`guardian`] sees to that.

mod attachable;
mod attacher;
mod below;
mod beside;
mod clsact;
mod constants;
mod error;
pub mod guardian;
mod held;
mod hooks;
mod host_wide;
mod load;
mod loader;
mod locked;
mod missed;
mod nic;
mod others;
mod placed;
mod plan;
mod plans;
mod preflight;
mod programs;
mod side;
#[cfg(test)]
mod stack;
mod stand_in;
mod statistics;
mod strangers;
mod taken;
mod tcx;
mod told;
mod tracepoint;
mod verify;
mod watch;
mod whose;

pub use attachable::{Attachable, Further, Sizes};
pub use below::members;
pub(crate) use below::{all_below, carriers, lower};
pub use error::AttachError;
pub(crate) use error::attach_error;
pub use load::{Attached, LoadOptions};
pub(crate) use missed::missed_runs;
pub(crate) use nic::Nic;
pub use nic::{is_merging, merges_datagrams};
pub use others::{leftovers, other_tracers, remove_leftovers};
pub use plan::{PlanError, PlanOptions, plan};
pub use plans::{Plans, PortPlan};
pub use preflight::{Wanted, mechanism, preflight};
pub use taken::Filters;
pub(crate) use tracepoint::attach_at;
pub use watch::{Vanished, watch};
