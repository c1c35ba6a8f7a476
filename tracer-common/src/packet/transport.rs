//! The transport header's share of the identity.

use super::{
    PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP, Packet, ParseError, Reader, Window,
    identity::{Identity, position},
};

const UDP_LEN: u32 = 8;
const TCP_MIN_LEN: u32 = 20;
const ICMP_LEN: u32 = 8;
const SCTP_LEN: u32 = 12;
const ND_TARGET_LEN: u32 = 16;

const ICMPV6_ECHO_REQUEST: u8 = 128;
const ICMPV6_ECHO_REPLY: u8 = 129;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_SACK: u8 = 5;
const OPTION_TIMESTAMP: u8 = 8;
/// `NOP NOP TIMESTAMP 10`: how the timestamp option stands alone in almost every segment.
const ALIGNED_TIMESTAMP: u32 = u32::from_le_bytes([1, 1, 8, 10]);
/// Options walked, padding included: more than any stack sends. The identity ignores what follows.
const MAX_OPTIONS: u32 = 12;
/// The header length field leaves 40 bytes for options; rounded up to a power of two.
const MAX_OPTIONS_LEN: u32 = 64;
const MAX_SACK_BLOCKS: u32 = 4;

/// Adds the fields of the transport header that no hop changes.
#[inline(always)]
pub(super) fn add<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<(), ParseError> {
    match packet.protocol {
        PROTOCOL_UDP => udp(reader, packet, identity),
        PROTOCOL_TCP => tcp(reader, packet, identity),
        PROTOCOL_ICMP => icmp(reader, packet, identity),
        PROTOCOL_ICMPV6 => icmpv6(reader, packet, identity),
        PROTOCOL_SCTP => sctp(reader, packet, identity),
        _ => body(reader, packet.l4_offset, packet.l3_end, identity),
    }
}

/// Ports, length, first 16 bytes of the payload.
#[inline(always)]
fn udp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<(), ParseError> {
    let window = reader.window(packet.l4_offset, UDP_LEN).ok_or(ParseError::Truncated)?;
    // Everything but the checksum, which stands in the last two bytes.
    identity.add(position::L4, window.u64(0) & 0xffff_ffff_ffff);
    body(reader, packet.l4_offset + UDP_LEN, packet.l3_end, identity)
}

/// Type, code, id and sequence number: everything but the checksum.
#[inline(always)]
fn icmp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<(), ParseError> {
    let window = reader.window(packet.l4_offset, ICMP_LEN).ok_or(ParseError::Truncated)?;
    identity.add(position::L4, window.u64(0) & !0xffff_0000);
    Ok(())
}

/// As ICMP, and behind it the target address of neighbour discovery or the first group of MLD.
#[inline(always)]
fn icmpv6<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<(), ParseError> {
    let window = reader.window(packet.l4_offset, ICMP_LEN).ok_or(ParseError::Truncated)?;
    identity.add(position::L4, window.u64(0) & !0xffff_0000);
    let kind = window.u8(0);
    if kind != ICMPV6_ECHO_REQUEST
        && kind != ICMPV6_ECHO_REPLY
        && packet.l4_offset + ICMP_LEN + ND_TARGET_LEN <= packet.l3_end
    {
        body(reader, packet.l4_offset + ICMP_LEN, packet.l3_end, identity)?;
    }
    Ok(())
}

/// Ports, verification tag and the first chunk's head; not the CRC at offset 8, which offload leaves open.
#[inline(always)]
fn sctp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<(), ParseError> {
    let window = reader.window(packet.l4_offset, SCTP_LEN).ok_or(ParseError::Truncated)?;
    identity.add(position::L4, window.u64(0));
    body(reader, packet.l4_offset + SCTP_LEN, packet.l3_end, identity)
}

/// Ports, sequence and acknowledgement numbers, `TSval` and SACK blocks. Not the flags (GRO merges FIN and PSH in),
/// the window, or the MSS option (firewalls clamp it).
#[inline(always)]
fn tcp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<(), ParseError> {
    let window = reader.window(packet.l4_offset, TCP_MIN_LEN).ok_or(ParseError::Truncated)?;
    let header_len = u32::from(window.u8(12) >> 4) * 4;
    if header_len < TCP_MIN_LEN {
        return Err(ParseError::Malformed);
    }
    identity.add(position::L4, window.u64(0));
    let mut timestamp = 0;
    if header_len > TCP_MIN_LEN {
        let options = packet.l4_offset + TCP_MIN_LEN;
        let options_len = header_len - TCP_MIN_LEN;
        match reader.window(options, 12) {
            Some(first) if first.u32(0) == ALIGNED_TIMESTAMP => {
                timestamp = first.u32(4);
                // Anything behind the timestamp in a segment that is not a SYN is a SACK option.
                if options_len > 12 {
                    walk_options(reader, options + 12, options_len - 12, &mut timestamp, identity)?;
                }
            }
            _ => walk_options(reader, options, options_len, &mut timestamp, identity)?,
        }
    }
    identity.add(position::L4_NEXT, u64::from(window.u32(8)) | (u64::from(timestamp) << 32));
    Ok(())
}

/// Walks the options from `start` on, `len` bytes of them.
///
/// The position is opaque and masked: the eBPF verifier then sees the same range in every round, and does not follow
/// each combination of options apart.
#[inline(always)]
fn walk_options<R: Reader>(
    reader: &R,
    start: u32,
    len: u32,
    timestamp: &mut u32,
    identity: &mut Identity,
) -> Result<(), ParseError> {
    let mut at = 0;
    let mut walked = 0;
    while walked < MAX_OPTIONS {
        walked += 1;
        at = reader.opaque(at) & (MAX_OPTIONS_LEN - 1);
        if at >= len {
            break;
        }
        let kind = reader.window(start + at, 1).ok_or(ParseError::Truncated)?.u8(0);
        if kind == OPTION_END {
            break;
        }
        if kind == OPTION_NOP {
            at += 1;
            continue;
        }
        let option_len = u32::from(reader.window(start + at, 2).ok_or(ParseError::Truncated)?.u8(1));
        if option_len < 2 || at + option_len > len {
            // Endpoints ignore the rest of such options; so does the identity.
            break;
        }
        if kind == OPTION_TIMESTAMP && option_len == 10 {
            *timestamp = reader.window(start + at, 6).ok_or(ParseError::Truncated)?.u32(2);
        } else if kind == OPTION_SACK {
            sack_blocks(reader, start + at + 2, option_len - 2, identity)?;
        }
        at += option_len;
    }
    Ok(())
}

/// Mixes the edges of `len` bytes of SACK blocks.
#[inline(always)]
fn sack_blocks<R: Reader>(reader: &R, start: u32, len: u32, identity: &mut Identity) -> Result<(), ParseError> {
    let mut mixed = 0_u64;
    let mut block = 0;
    while block < MAX_SACK_BLOCKS && (block + 1) * 8 <= len {
        let edges = reader.window(start + block * 8, 8).ok_or(ParseError::Truncated)?.u64(0);
        mixed = mixed.rotate_left(17).wrapping_add(edges);
        block += 1;
    }
    identity.add(position::BODY, mixed);
    Ok(())
}

/// Up to 16 bytes from `start`, fewer when the IP packet ends before (what follows then is Ethernet padding).
#[inline(always)]
fn body<R: Reader>(reader: &R, start: u32, end: u32, identity: &mut Identity) -> Result<(), ParseError> {
    if start + 16 <= end {
        let window = reader.window(start, 16).ok_or(ParseError::Truncated)?;
        identity.add(position::BODY, window.u64(0));
        identity.add(position::BODY + 1, window.u64(8));
        return Ok(());
    }
    let mut at = start;
    let mut tail = 0_u64;
    if at + 8 <= end {
        identity.add(position::BODY, reader.window(at, 8).ok_or(ParseError::Truncated)?.u64(0));
        at += 8;
    }
    if at + 4 <= end {
        tail = u64::from(reader.window(at, 4).ok_or(ParseError::Truncated)?.u32(0));
        at += 4;
    }
    if at + 2 <= end {
        tail = (tail << 16) | u64::from(reader.window(at, 2).ok_or(ParseError::Truncated)?.u16(0));
        at += 2;
    }
    if at < end {
        tail = (tail << 8) | u64::from(reader.window(at, 1).ok_or(ParseError::Truncated)?.u8(0));
    }
    identity.add(position::BODY + 1, tail);
    Ok(())
}
