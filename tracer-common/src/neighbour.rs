//! Ports beside the path: other VMs' on the switch that the path leads through, and the host's own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Ports beside the path of one trace at most.
pub const MAX_NEIGHBOURS: u32 = 1024;
/// Further MAC addresses that are kept at most, for all ports together.
pub const MAX_BEHIND: u32 = 4096;

/// What the programs know and count of one port, on one CPU; found by [`port_key`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Neighbour {
    /// The MAC address of who is behind the port, its six bytes read as a little-endian number; 0 if it is not known.
    pub mac: u64,
    /// The port's number in the trace, from 1 on; see [`behind_key`].
    pub number: u32,
    /// [`Neighbour::EXCLUSIVE`] and its siblings.
    pub flags: u32,
    /// Packets of the traced VM for who is behind it.
    pub received: u64,
    /// Packets of the traced VM that came by this port, but were for others: flooded, mirrored, forwarded on.
    pub copies: u64,
    /// Of those: for one other address only, of which nothing shows that it is behind this port.
    pub strays: u64,
    /// Packets for the traced VM that came from this port.
    pub sent: u64,
    /// Packets for the traced VM that came to this port.
    pub strays_in: u64,
}

impl Neighbour {
    /// It is known who is behind the port: what is for another address, and nothing shows that to be there, too, has gone
    /// astray.
    pub const EXCLUSIVE: u32 = 1;
    /// The switch copies packets to this port: that they come there says nothing about them.
    pub const MIRROR: u32 = 1 << 1;
    /// The host's own stack is behind it: it is not the end of what goes to a group.
    pub const HOST: u32 = 1 << 2;
    /// A bridge's own port of Open vSwitch, which is in all VLANs: what comes there for others is being flooded.
    pub const LOCAL: u32 = 1 << 4;
    /// A Linux bridge's own interface: what is not for the host comes there for who looks on, and for groups.
    pub const BRIDGE: u32 = 1 << 3;
}

/// Where a port is found: by its interface's index, and where ports are in several network namespaces by the namespace,
/// because indices repeat there; `namespace` is 0 otherwise.
#[inline(always)]
#[must_use]
pub const fn port_key(ifindex: u32, namespace: u32) -> u64 {
    ifindex as u64 | (namespace as u64) << 32
}

/// Where is noted what is known of the address `mac` behind port `number`: [`BEHIND`], or how many packets for it went
/// there before anything was.
#[inline(always)]
#[must_use]
pub const fn behind_key(mac: u64, number: u32) -> u64 {
    mac | (number as u64) << 48
}

/// The address is behind the port. The other bits count packets for it that came there before that was known.
pub const BEHIND: u64 = 1 << 63;

const _: () = assert!(size_of::<Neighbour>() == 56);
