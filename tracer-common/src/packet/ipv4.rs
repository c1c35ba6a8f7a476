//! IPv4 (RFC 791).

use super::{
    ETHERTYPE_IPV4, Packet, ParseError, Reader, Window,
    identity::{Identity, position},
    transport,
};

pub(super) const IPV4_MIN_LEN: u32 = 20;
/// Where the IP-ID stands in [`head_word`].
pub(super) const ID_SHIFT: u32 = 32;
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
    let mut identity = Identity::new();
    add_header(&window, &mut identity);
    let mut packet = Packet {
        identity: 0,
        ether_type: ETHERTYPE_IPV4,
        protocol: window.u8(9),
        fragment_tail: u8::from(fragment_offset(&window) != 0),
        l3_offset,
        l4_offset: reader.opaque(l3_offset + header_len),
        l3_end: end(&window, l3_offset),
    };
    if packet.fragment_tail == 0 {
        transport::add(reader, &packet, is_weak(&window), &mut identity)?;
    }
    packet.identity = identity.finish();
    Ok(packet)
}

/// Whether the header has no number that tells packets apart: the IP-ID is 0.
#[inline(always)]
pub(super) fn is_weak<W: Window>(window: &W) -> bool {
    window.u16(4) == 0
}

#[inline(always)]
fn fragment_offset<W: Window>(window: &W) -> u16 {
    window.u16_be(6) & FRAGMENT_OFFSET
}

/// What of the header no hop changes.
#[inline(always)]
pub(super) fn add_header<W: Window>(window: &W, identity: &mut Identity) {
    identity.add(position::HEAD, head_word(window));
    identity.add(position::ADDRESS, window.u64(12));
}

/// Protocol, IP-ID and fragment offset, as the identity takes them.
#[inline(always)]
pub(super) fn head_word<W: Window>(window: &W) -> u64 {
    u64::from(ETHERTYPE_IPV4)
        | (u64::from(window.u8(9)) << 16)
        | (u64::from(window.u16(4)) << ID_SHIFT)
        | (u64::from(fragment_offset(window)) << 48)
}

/// Where the packet ends whose header is at `l3_offset`.
#[inline(always)]
pub(super) fn end<W: Window>(window: &W, l3_offset: u32) -> u32 {
    let total_len = u32::from(window.u16_be(2));
    // 0: a packet larger than the field (BIG TCP).
    if total_len == 0 { u32::MAX } else { l3_offset + total_len }
}
