//! Why a trace cannot begin: what the stages say, in one line each.

use crate::{
    attach::{AttachError, PlanError},
    collect::CollectError,
    model::{MacAddr, Printable},
    path::PathError,
};

/// Why a trace cannot begin. Its text is one line that says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A source without which nothing can be found.
    #[error("{0}")]
    Discover(String),
    /// The handle leads to no path.
    #[error("{0}")]
    Path(#[from] PathError),
    /// There is a path, and nothing on it can be hooked.
    #[error("cannot trace: {0}")]
    Untraceable(String),
    /// No port is left.
    #[error("there is no port to trace; `hoptrace list` shows the VMs and what is wrong with them")]
    NothingToTrace,
    /// Asked for several ports, and can be had for one only.
    #[error("{what} of one port only: name one")]
    OnePortOnly {
        /// What, with its verb.
        what: &'static str,
    },
    /// More ports than programs can tell apart.
    #[error(
        "several ports in one trace need programs that tell ports apart, which these do not: {0} ports were named, name one"
    )]
    SeveralPorts(usize),
    /// No hooks can be planned for it.
    #[error("cannot trace: {0}")]
    Plan(#[from] PlanError),
    /// The programs cannot be loaded or attached. What the kernel says may hold anything.
    #[error("{}", Printable(&.0.to_string()))]
    Attach(#[from] AttachError),
    /// Their maps cannot be read.
    #[error("{0}")]
    Collect(#[from] CollectError),
    /// Too many further addresses were given.
    #[error("there is no room for --mac {0} beside the others")]
    NoRoom(MacAddr),
}
