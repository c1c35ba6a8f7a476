//! Why a trace cannot begin: what the stages say, in one line each.

use crate::{
    attach::{AttachError, PlanError},
    collect::CollectError,
    model::{MacAddr, PortId, Printable},
    path::PathError,
    predict::PredictError,
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
    /// The switch can not be asked about a packet.
    #[error("{0}")]
    Predict(#[from] PredictError),
    /// There is a path, and nothing on it can be hooked.
    #[error("cannot trace: {0}")]
    Untraceable(String),
    /// No hooks can be planned for it.
    #[error("cannot trace: {0}")]
    Plan(#[from] PlanError),
    /// The programs cannot be loaded or attached. What the kernel says may hold anything.
    #[error("{}", Printable(&.0.to_string()))]
    Attach(#[from] AttachError),
    /// Their maps cannot be read.
    #[error("{0}")]
    Collect(#[from] CollectError),
    /// Two ports have the same address: whose a packet is can not be told.
    #[error("{port} has the MAC address of {other} ({mac}): they cannot be traced together")]
    SameMac {
        /// The second one.
        port: String,
        /// Their address.
        mac: MacAddr,
        /// The first one.
        other: String,
    },
    /// One of several ports cannot be traced.
    #[error("{}: {why}", Printable(port))]
    OfPort {
        /// Which.
        port: String,
        /// Why not.
        #[source]
        why: Box<TraceError>,
    },
    /// No port is left.
    #[error("there is no port to trace; `hoptrace list` shows the VMs and what is wrong with them")]
    NothingToTrace,
    /// More ports than a trace can have.
    #[error("a trace has room for {room} ports, and this would be one more")]
    Full {
        /// How many it can have.
        room: u32,
    },
    /// Asked for several ports, and can be had for one only.
    #[error("{what} of one port only: name one")]
    OnePortOnly {
        /// What, with its verb.
        what: &'static str,
    },
    /// The port is not traced, or not any more.
    #[error("port {0} is not traced")]
    NotTraced(PortId),
    /// Too many further addresses were given.
    #[error("there is no room for --mac {0} beside the others")]
    NoRoom(MacAddr),
}
