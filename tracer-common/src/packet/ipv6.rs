//! IPv6 (RFC 8200) and its extension headers.

use super::{
    ETHERTYPE_IPV6, Packet, ParseError, Reader, Window,
    identity::{Identity, position},
    transport,
};

pub(super) const IPV6_LEN: u32 = 40;
const EXTENSION_MIN_LEN: u32 = 8;
/// Headers of the chain looked at, the transport header among them: a chain of more than five extension headers is
/// malformed to us, as it is to most routers.
const MAX_HEADERS: u32 = 6;

/// Nothing comes behind the header.
const NO_NEXT_HEADER: u8 = 59;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;

/// Identity: addresses, flow label, the protocol behind the extension headers, and the transport header; of a fragment's
/// tail its offset and first bytes instead. Not the fragment's id: a bridge whose firewall tracks connections puts
/// fragments together, and when it takes them apart again at its other end it gives them a new one. So a first fragment
/// has the identity of the whole packet.
#[inline(always)]
pub(super) fn parse<R: Reader>(reader: &R, l3_offset: u32) -> Result<Packet, ParseError> {
    let window = reader.window(l3_offset, IPV6_LEN).ok_or(ParseError::Truncated)?;
    if window.u8(0) >> 4 != 6 {
        return Err(ParseError::Malformed);
    }
    let chain = walk_extensions(reader, window.u8(6), l3_offset + IPV6_LEN)?;
    #[allow(clippy::cast_possible_truncation, reason = "bytes before, bytes behind")]
    let (protocol, fragment_tail) =
        (reader.opaque(u32::from(chain.protocol)) as u8, reader.opaque(u32::from(chain.fragment_tail)) as u8);
    let mut identity = Identity::new();
    add_header(&window, protocol, &mut identity);
    let mut packet = Packet {
        identity: 0,
        ether_type: ETHERTYPE_IPV6,
        protocol,
        fragment_tail,
        l3_offset,
        l4_offset: reader.opaque(chain.l4_offset),
        l3_end: end(&window, l3_offset),
    };
    // Nothing for what is no fragment's tail.
    identity.add(position::FRAGMENT, chain.fragment);
    if packet.fragment_tail == 0 {
        transport::add(reader, &packet, true, &mut identity)?;
    } else {
        transport::payload(reader, packet.l4_offset, packet.l3_end, true, &mut identity)?;
    }
    packet.identity = identity.finish();
    Ok(packet)
}

/// What of the header no hop changes; `protocol` is the one behind the extension headers.
#[inline(always)]
pub(super) fn add_header<W: Window>(window: &W, protocol: u8, identity: &mut Identity) {
    let flow_label = window.u32_be(0) & 0x000f_ffff;
    identity.add(
        position::HEAD,
        u64::from(ETHERTYPE_IPV6) | (u64::from(protocol) << 16) | (u64::from(flow_label) << 32),
    );
    identity.add(position::ADDRESS, window.u64(8));
    identity.add(position::ADDRESS + 1, window.u64(16));
    identity.add(position::ADDRESS + 2, window.u64(24));
    identity.add(position::ADDRESS + 3, window.u64(32));
}

/// Where the packet ends whose header is at `l3_offset`.
#[inline(always)]
pub(super) fn end<W: Window>(window: &W, l3_offset: u32) -> u32 {
    let payload_len = u32::from(window.u16_be(4));
    // 0: a packet larger than the field (jumbogram, BIG TCP), unless there is no payload.
    let is_large = payload_len == 0 && window.u8(6) != NO_NEXT_HEADER;
    if is_large { u32::MAX } else { l3_offset + IPV6_LEN + payload_len }
}

struct Chain {
    protocol: u8,
    fragment_tail: u8,
    l4_offset: u32,
    /// The offset of a fragment's tail; 0 for anything else.
    fragment: u64,
}

#[inline(always)]
fn walk_extensions<R: Reader>(reader: &R, first: u8, offset: u32) -> Result<Chain, ParseError> {
    let mut chain = Chain { protocol: first, fragment_tail: 0, l4_offset: offset, fragment: 0 };
    let mut walked = 0;
    while walked < MAX_HEADERS {
        let len = match chain.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | FRAGMENT | AUTHENTICATION => {
                let window =
                    reader.window(chain.l4_offset, EXTENSION_MIN_LEN).ok_or(ParseError::Truncated)?;
                let kind = chain.protocol;
                chain.protocol = window.u8(0);
                if kind == FRAGMENT {
                    let offset = window.u16_be(2) >> 3;
                    chain.fragment = u64::from(offset);
                    chain.fragment_tail = u8::from(offset != 0);
                    EXTENSION_MIN_LEN
                } else if kind == AUTHENTICATION {
                    (u32::from(window.u8(1)) + 2) * 4
                } else {
                    (u32::from(window.u8(1)) + 1) * 8
                }
            }
            _ => return Ok(chain),
        };
        chain.l4_offset = reader.opaque(chain.l4_offset + len);
        if chain.fragment_tail == 1 {
            return Ok(chain);
        }
        walked += 1;
    }
    Err(ParseError::Malformed)
}
