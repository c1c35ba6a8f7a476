//! The layouts a port can be plugged in. A new one is a file with a `Layout` and a line in `LAYOUTS`.

pub(super) mod hybrid;
mod linux_bridge;
mod native;

use super::{
    PathError,
    plug::{describe, outside_kernel},
    ports, resolve,
    walk::Extent,
};
use crate::model::{Path, Topology, VmPort};

/// A way to plug a VM into the network.
pub(super) struct Layout {
    /// Whether this port looks plugged this way.
    pub(super) recognises: fn(&Topology, &VmPort) -> bool,
    /// Walks from the VM to the wire, noting what is wrong on the way.
    pub(super) walk: fn(&Topology, &VmPort, Extent) -> Path,
}

/// All layouts; the first that recognises a port walks it.
const LAYOUTS: &[Layout] = &[hybrid::LAYOUT, native::LAYOUT, linux_bridge::LAYOUT];

/// Resolves a handle and walks its path.
///
/// # Errors
/// When the handle means no port or several, or the port's layout is unknown.
pub fn find(topology: &Topology, handle: &str) -> Result<Path, PathError> {
    path_of(topology, &resolve(topology, &ports(topology), handle)?)
}

/// Walks the path of a port.
///
/// # Errors
/// When its layout is unknown, or no hook can see its packets.
pub fn path_of(topology: &Topology, port: &VmPort) -> Result<Path, PathError> {
    walked(topology, port, Extent::Beside)
}

/// The same, as far as `extent` says.
pub(super) fn walked(topology: &Topology, port: &VmPort, extent: Extent) -> Result<Path, PathError> {
    if let Some(what) = outside_kernel(topology, port) {
        return Err(PathError::OutsideKernel { port: port.id.title(), what });
    }
    match LAYOUTS.iter().find(|layout| (layout.recognises)(topology, port)) {
        Some(layout) => Ok((layout.walk)(topology, port, extent)),
        None => Err(PathError::UnknownLayout { port: port.id.title(), found: describe(topology, port) }),
    }
}
