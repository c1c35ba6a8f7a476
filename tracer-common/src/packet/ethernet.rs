//! Ethernet and VLAN tags: the entry of the parser.

use super::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_RARP, Packet, ParseError, Reader, Window, arp,
    ipv4, ipv6,
};

pub(super) const ETHERNET_LEN: u32 = 14;
pub(super) const VLAN_LEN: u32 = 4;
pub(super) const ETHERTYPE_VLAN: u16 = 0x8100;
pub(super) const ETHERTYPE_QINQ: u16 = 0x88a8;

/// The Ethernet header: addresses for the filter, and where the next header starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Destination address, the six bytes read as a little-endian number.
    pub destination: u64,
    /// Source address, likewise.
    pub source: u64,
    /// EtherType behind any VLAN tags.
    pub ether_type: u16,
    /// Where the network header starts, in bytes.
    pub l3_offset: u32,
}

impl Frame {
    /// Reads the Ethernet header and skips up to two VLAN tags (802.1Q, 802.1ad) that stand in the packet itself.
    #[inline(always)]
    pub fn read<R: Reader>(reader: &R) -> Option<Self> {
        let window = reader.window(0, ETHERNET_LEN)?;
        let destination = window.u64(0) & 0xffff_ffff_ffff;
        let source = window.u64(6) & 0xffff_ffff_ffff;
        let mut ether_type = window.u16_be(12);
        let mut l3_offset = ETHERNET_LEN;
        if ether_type == ETHERTYPE_VLAN || ether_type == ETHERTYPE_QINQ {
            ether_type = reader.window(l3_offset, VLAN_LEN)?.u16_be(2);
            l3_offset += VLAN_LEN;
            if ether_type == ETHERTYPE_VLAN {
                ether_type = reader.window(l3_offset, VLAN_LEN)?.u16_be(2);
                l3_offset += VLAN_LEN;
            }
        }
        Some(Self { destination, source, ether_type, l3_offset })
    }

    /// Reads the Ethernet header alone: with a VLAN tag in the packet, `ether_type` is the tag's.
    #[inline(always)]
    pub fn read_untagged<R: Reader>(reader: &R) -> Option<Self> {
        let window = reader.window(0, ETHERNET_LEN)?;
        let destination = window.u64(0) & 0xffff_ffff_ffff;
        let source = window.u64(6) & 0xffff_ffff_ffff;
        Some(Self { destination, source, ether_type: window.u16_be(12), l3_offset: ETHERNET_LEN })
    }

    /// Whether the frame goes to a group (multicast or broadcast).
    #[inline(always)]
    #[must_use]
    pub const fn is_group(&self) -> bool {
        self.destination & 1 == 1
    }
}

/// Parses the packet behind `frame` and computes its identity.
///
/// # Errors
/// [`ParseError::Foreign`] for anything but IPv4, IPv6, ARP and RARP; [`ParseError::Truncated`] when `reader` ends before
/// the hashed headers do; [`ParseError::Malformed`] when a header contradicts itself.
#[inline(always)]
pub fn parse<R: Reader>(reader: &R, frame: &Frame) -> Result<Packet, ParseError> {
    let l3_offset = reader.opaque(frame.l3_offset);
    match frame.ether_type {
        ETHERTYPE_IPV4 => ipv4::parse(reader, l3_offset),
        ETHERTYPE_IPV6 => ipv6::parse(reader, l3_offset),
        ETHERTYPE_ARP | ETHERTYPE_RARP => arp::parse(reader, l3_offset, frame.ether_type),
        _ => Err(ParseError::Foreign),
    }
}
