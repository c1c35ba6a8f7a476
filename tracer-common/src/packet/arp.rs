//! ARP and RARP over Ethernet and IPv4 (RFC 826, RFC 903), which have one header.

use super::{
    Packet, ParseError, Reader, Window,
    identity::{Identity, position},
};

const ARP_LEN: u32 = 28;
/// Ethernet (1), IPv4 (0x0800), address lengths 6 and 4, as the first six bytes of the header.
const ETHERNET_IPV4: u64 = 0x0406_0008_0100;

/// Identity: operation, sender's addresses, target's protocol address.
#[inline(always)]
pub(super) fn parse<R: Reader>(reader: &R, l3_offset: u32, ether_type: u16) -> Result<Packet, ParseError> {
    let window = reader.window(l3_offset, ARP_LEN).ok_or(ParseError::Truncated)?;
    if window.u64(0) & 0xffff_ffff_ffff != ETHERNET_IPV4 {
        return Err(ParseError::Foreign);
    }
    let operation_and_sha = window.u64(6);
    let spa = u64::from(window.u32(14));
    let tpa = u64::from(window.u32(24));
    let mut identity = Identity::new();
    identity.add(position::HEAD, u64::from(ether_type));
    identity.add(position::ADDRESS, spa | (tpa << 32));
    identity.add(position::L4, operation_and_sha);
    Ok(Packet {
        identity: identity.finish(),
        ether_type,
        protocol: 0,
        fragment_tail: 0,
        l3_offset,
        l4_offset: l3_offset,
        l3_end: l3_offset + ARP_LEN,
    })
}
