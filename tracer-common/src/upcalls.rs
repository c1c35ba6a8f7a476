//! Packets that the kernel's Open vSwitch gives to user space.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Facts about the upcall program and the running kernel, patched in by the loader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UpcallConfig {
    /// Hooks behind which packets come to the switch, a bit each. Segments from these have one more behind them, that of the
    /// packets which came by user space. 0: upcalls are not looked at.
    pub after: u32,
    /// Which argument of the tracepoint is the packet; below [`UpcallConfig::ARGUMENTS`].
    pub packet_argument: u32,
    /// Which one says what kind of upcall it is.
    pub info_argument: u32,
    /// Where in that the kind is, in bytes: [`UpcallConfig::MISS`] or another.
    pub kind_offset: u32,
}

impl UpcallConfig {
    /// Arguments that the tracepoint must have at least, and that are looked at.
    pub const ARGUMENTS: u32 = 4;
    /// The kind of an upcall because no flow matched (`OVS_PACKET_CMD_MISS`, of the kernel's interface to user space).
    pub const MISS: u8 = 1;
}

/// What the upcall program counts on one CPU; only that writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UpcallCounters {
    /// Packets of all ports for which the switch knew no flow.
    pub misses: u64,
    /// Packets, or copies of them, that a flow sent to user space by an action: sampling, or what the kernel can not do.
    pub actions: u64,
    /// Upcalls of packets in the table for which the switch knew no flow, by the direction they entered in.
    pub traced: [u64; 2],
    /// Of those: could not be marked as slow.
    pub missed: u64,
    /// Zero: one cache line.
    pub reserved: [u64; 3],
}

const _: () = assert!(size_of::<UpcallConfig>() == 16);
const _: () = assert!(size_of::<UpcallCounters>() == 64);
