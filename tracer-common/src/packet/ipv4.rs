//! IPv4 (RFC 791).

use super::{
    ETHERTYPE_IPV4, Packet, ParseError, Reader, Window,
    identity::{Identity, position},
    transport,
};

const IPV4_MIN_LEN: u32 = 20;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Identity: addresses, protocol, IP-ID, fragment offset, and the transport header unless this is a fragment's tail.
#[inline(always)]
pub(super) fn parse<R: Reader>(reader: &R, l3_offset: u32) -> Result<Packet, ParseError> {
    let window = reader.window(l3_offset, IPV4_MIN_LEN).ok_or(ParseError::Truncated)?;
    let version_and_len = window.u8(0);
    let header_len = u32::from(version_and_len & 0x0f) * 4;
    if version_and_len >> 4 != 4 || header_len < IPV4_MIN_LEN {
        return Err(ParseError::Malformed);
    }
    let fragment_offset = window.u16_be(6) & FRAGMENT_OFFSET;
    let protocol = window.u8(9);
    let total_len = u32::from(window.u16_be(2));
    // 0: a packet larger than the field (BIG TCP).
    let l3_end = if total_len == 0 { u32::MAX } else { l3_offset + total_len };

    let mut identity = Identity::new();
    identity.add(
        position::HEAD,
        u64::from(ETHERTYPE_IPV4)
            | (u64::from(protocol) << 16)
            | (u64::from(window.u16(4)) << 32)
            | (u64::from(fragment_offset) << 48),
    );
    identity.add(position::ADDRESS, window.u64(12));

    let mut packet = Packet {
        identity: 0,
        ether_type: ETHERTYPE_IPV4,
        protocol,
        fragment_tail: u8::from(fragment_offset != 0),
        l3_offset,
        l4_offset: reader.opaque(l3_offset + header_len),
        l3_end,
    };
    if packet.fragment_tail == 0 {
        transport::add(reader, &packet, &mut identity)?;
    }
    packet.identity = identity.finish();
    Ok(packet)
}
