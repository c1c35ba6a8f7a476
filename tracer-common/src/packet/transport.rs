//! The transport header's share of the identity.

use super::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP,
    Packet, ParseError, Reader, Window,
    identity::{Identity, position},
};

pub(super) const UDP_LEN: u32 = 8;
pub(super) const TCP_MIN_LEN: u32 = 20;
const ICMP_LEN: u32 = 8;
const SCTP_LEN: u32 = 12;
const ND_TARGET_LEN: u32 = 16;
/// Bytes behind a header that belong to the identity.
pub(super) const BODY_LEN: u32 = 16;

const ICMPV6_ECHO_REQUEST: u8 = 128;
const ICMPV6_ECHO_REPLY: u8 = 129;

pub(super) const TCP_SYN: u8 = 0x02;
/// `NOP NOP TIMESTAMP`.
pub(super) const TIMESTAMP_LEN: u32 = 12;
/// The header length field leaves 40 bytes for options.
const MAX_OPTION_WORDS: u32 = 5;

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

/// Where the last byte ends that makes up the identity, from the start of the Ethernet header on, or shortly behind.
#[inline(always)]
pub fn hashed_end<R: Reader>(reader: &R, packet: &Packet) -> u32 {
    if packet.ether_type == ETHERTYPE_ARP {
        return packet.l3_end;
    }
    let len = match packet.protocol {
        _ if packet.fragment_tail != 0 && packet.ether_type == ETHERTYPE_IPV4 => 0,
        _ if packet.fragment_tail != 0 => BODY_LEN,
        PROTOCOL_TCP => {
            reader.window(packet.l4_offset, TCP_MIN_LEN).map_or(0, |window| u32::from(window.u8(12) >> 4) * 4)
        }
        PROTOCOL_UDP => UDP_LEN + BODY_LEN,
        PROTOCOL_ICMP => ICMP_LEN,
        PROTOCOL_ICMPV6 => ICMP_LEN + ND_TARGET_LEN,
        PROTOCOL_SCTP => SCTP_LEN + BODY_LEN,
        _ => BODY_LEN,
    };
    let end = packet.l4_offset + len;
    if end < packet.l3_end { end } else { packet.l3_end }
}

/// Ports, first 16 bytes of the payload. Not the length: the first piece of a datagram that segmentation cuts has another
/// one.
#[inline(always)]
fn udp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<(), ParseError> {
    let window = reader.window(packet.l4_offset, UDP_LEN).ok_or(ParseError::Truncated)?;
    identity.add(position::L4, u64::from(window.u32(0)));
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

/// Ports, sequence and acknowledgement numbers, and the options as they stand (`TSval`, SACK blocks), but none of a
/// SYN, whose MSS firewalls clamp. Not the flags (GRO merges FIN and PSH in) and not the window.
#[inline(always)]
fn tcp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<(), ParseError> {
    let window = reader.window(packet.l4_offset, TCP_MIN_LEN).ok_or(ParseError::Truncated)?;
    let header_len = u32::from(window.u8(12) >> 4) * 4;
    if header_len < TCP_MIN_LEN {
        return Err(ParseError::Malformed);
    }
    identity.add(position::L4, window.u64(0));
    identity.add(position::L4_NEXT, u64::from(window.u32(8)));
    if window.u8(13) & TCP_SYN != 0 {
        return Ok(());
    }
    let options = packet.l4_offset + TCP_MIN_LEN;
    let options_len = header_len - TCP_MIN_LEN;
    if options_len == TIMESTAMP_LEN {
        // The timestamp alone, as in almost every segment.
        let window = reader.window(options, TIMESTAMP_LEN).ok_or(ParseError::Truncated)?;
        identity.add(position::BODY, window.u64(0));
        identity.add(position::BODY + 1, u64::from(window.u32(8)));
        return Ok(());
    }
    let mut word = 0;
    while word < MAX_OPTION_WORDS && (word + 1) * 8 <= options_len {
        let window = reader.window(options + word * 8, 8).ok_or(ParseError::Truncated)?;
        identity.add(position::BODY + word as usize, window.u64(0));
        word += 1;
    }
    if options_len & 4 != 0 {
        let window = reader.window(options + options_len - 4, 4).ok_or(ParseError::Truncated)?;
        identity.add(position::OPTIONS_TAIL, u64::from(window.u32(0)));
    }
    Ok(())
}

/// Up to 16 bytes from `start`, fewer when the IP packet ends before (what follows then is Ethernet padding).
#[inline(always)]
pub(super) fn body<R: Reader>(
    reader: &R,
    start: u32,
    end: u32,
    identity: &mut Identity,
) -> Result<(), ParseError> {
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
        // With the byte before it: the verifier wants windows of two bytes at least.
        tail = (tail << 8) | u64::from(reader.window(at - 1, 2).ok_or(ParseError::Truncated)?.u8(1));
    }
    identity.add(position::BODY + 1, tail);
    Ok(())
}
