//! One packet's whole way, as it goes through the ring buffer.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::inflight::Slot;

/// A copy of a packet's slot, with its flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PacketRecord {
    /// The slot as its last hook left it.
    pub slot: Slot,
    /// Source address: IPv4 in the first four bytes, or IPv6.
    pub source: [u64; 2],
    /// Destination address.
    pub destination: [u64; 2],
    /// Source port; ICMP: the type.
    pub source_port: u16,
    /// Destination port; ICMP: the code.
    pub destination_port: u16,
    /// EtherType.
    pub ether_type: u16,
    /// IP protocol.
    pub protocol: u8,
    /// Why it was sent: [`PacketRecord::SAMPLED`], [`PacketRecord::SLOW`] or both.
    pub causes: u8,
    /// Length of the frame at the last hook, in bytes.
    pub len_bytes: u32,
    /// Zero.
    pub padding: [u32; 5],
}

impl PacketRecord {
    /// The identity was below the threshold of the sample.
    pub const SAMPLED: u8 = 1;
    /// The whole way took longer than user space asked for.
    pub const SLOW: u8 = 1 << 1;
}

const _: () = assert!(size_of::<PacketRecord>() == 128);
