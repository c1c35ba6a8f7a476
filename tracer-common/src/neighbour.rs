//! Other VMs' ports on the switch that the path leads through.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Neighbours of one trace at most.
pub const MAX_NEIGHBOURS: u32 = 1024;

/// What the programs know and count of one neighbour, on one CPU; found by the interface's index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Neighbour {
    /// The MAC address of the VM behind the port, its six bytes read as a little-endian number; 0 if it is not known.
    pub mac: u64,
    /// Packets of the traced VM for that VM.
    pub received: u64,
    /// Packets of the traced VM that came by this port, but were for others: flooded, mirrored, forwarded on.
    pub copies: u64,
    /// Packets for the traced VM that came from this port.
    pub sent: u64,
}

const _: () = assert!(size_of::<Neighbour>() == 32);
