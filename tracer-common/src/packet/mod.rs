//! Packet headers: where they are, and the identity they add up to.
//!
//! [`parse`] walks Ethernet, VLAN, IP and the transport header of one packet through a [`Reader`] and computes the
//! packet identity on the way: a 64-bit hash of header fields that no hop on the path may change, equal at every
//! hook and on every host.

mod arp;
mod deep;
mod ethernet;
mod hashed;
mod identity;
mod ipv4;
mod ipv6;
mod merged;
pub mod port;
mod reader;
mod slice;
mod transport;
mod usual;

pub use deep::deep_sum;
pub use ethernet::{Frame, parse};
pub use hashed::hashed_end;
pub use merged::{Body, IpIds, Merged};
pub use reader::{Reader, Window};
pub use slice::SliceReader;
pub use usual::{Places, Usual, parse_usual};

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of RARP: what QEMU says for a VM that has been migrated.
pub const ETHERTYPE_RARP: u16 = 0x8035;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// IP protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// IP protocol number of IGMP.
pub const PROTOCOL_IGMP: u8 = 2;
/// IP protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// IP protocol number of `ICMPv6`.
pub const PROTOCOL_ICMPV6: u8 = 58;
/// IP protocol number of VRRP.
pub const PROTOCOL_VRRP: u8 = 112;
/// IP protocol number of SCTP.
pub const PROTOCOL_SCTP: u8 = 132;

/// What [`parse`] found. Offsets are bytes from the start of the Ethernet header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Hash of the fields that no hop may change.
    pub identity: u64,
    /// EtherType behind any VLAN tags.
    pub ether_type: u16,
    /// IP protocol behind any IPv6 extension headers; 0 for ARP and RARP.
    pub protocol: u8,
    /// 1 for a fragment that does not start with the transport header.
    pub fragment_tail: u8,
    /// Where the ARP or IP header starts.
    pub l3_offset: u32,
    /// Where the transport header starts; meaningless for ARP, RARP and fragment tails.
    pub l4_offset: u32,
    /// Where the IP packet ends by its own length field (GSO packets may say 0 there: then the frame's end is meant).
    pub l3_end: u32,
}

impl Packet {
    /// Whether it is IPv4 or IPv6, not ARP or RARP.
    #[inline(always)]
    #[must_use]
    pub const fn is_ip(&self) -> bool {
        matches!(self.ether_type, ETHERTYPE_IPV4 | ETHERTYPE_IPV6)
    }

    /// Whether it has the header of its transport, if that is one.
    #[inline(always)]
    #[must_use]
    pub const fn has_transport(&self) -> bool {
        self.fragment_tail == 0 && self.is_ip()
    }
}

/// Why a packet has no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// Not IPv4, IPv6, ARP or RARP over Ethernet.
    Foreign,
    /// The reader ended before the headers did.
    Truncated,
    /// A length or version field contradicts itself.
    Malformed,
}
