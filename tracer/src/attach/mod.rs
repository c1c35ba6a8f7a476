//! Puts the eBPF programs on the path, and takes them off.
//!
//! [`preflight`] says whether this host can, [`plan()`] says what goes where, [`Attached`] does it and undoes it when
//! it is dropped. TCX and XDP links and those at tracepoints ([`host_wide`]) live as long as their file descriptors, so even
//! SIGKILL leaves nothing on an interface; with [`clsact`] a [`guardian`] sees to that.

mod attacher;
mod below;
mod beside;
mod clsact;
mod drops;
mod error;
pub mod guardian;
mod host_wide;
mod load;
mod locked;
mod missed;
mod nic;
mod others;
mod placed;
mod plan;
mod preflight;
mod side;
#[cfg(test)]
mod stack;
mod statistics;
mod strangers;
mod taken;
mod tracepoint;
mod upcalls;
mod watch;
mod wire;
mod xdp;

pub use below::members;
pub use drops::{DropOptions, drop_options};
pub use error::AttachError;
pub use load::{Attached, LoadOptions};
pub use nic::merges_datagrams;
pub use others::{leftovers, other_tracers, remove_leftovers};
pub use plan::{Around, Devices, Extras, PlanError, before_switch, devices, plan};
pub use preflight::{Wanted, mechanism, preflight};
pub use taken::Filters;
pub use upcalls::UpcallOptions;
pub use watch::{Vanished, watch};
pub use xdp::check_xdp;
