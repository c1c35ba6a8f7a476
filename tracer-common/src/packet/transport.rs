//! The transport header's share of the identity.

use super::{
    PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP, Packet, ParseError, Reader,
    Window,
    identity::{Identity, position},
};

pub(super) const UDP_LEN: u32 = 8;
pub(super) const TCP_MIN_LEN: u32 = 20;
pub(super) const ICMP_LEN: u32 = 8;
pub(super) const SCTP_LEN: u32 = 12;
/// Bytes behind a header that belong to the identity.
pub(super) const BODY_LEN: u32 = 16;

pub(super) const TCP_SYN: u8 = 0x02;
/// Of the second eight bytes of a TCP header, as the CPU reads them: what no hop changes of a segment with data. The
/// acknowledgement number, and the flags but for CWR, PSH and FIN, which come and go as segments are merged and cut.
const TCP_WITH_DATA: u64 = 0xffff_ffff | 0x76 << 40;
/// The same of a SYN: ECE is not in it.
const TCP_SYN_STAYS: u64 = TCP_WITH_DATA & !(1 << 46);
/// The same of a segment without data, which is never merged: all flags, and the window.
const TCP_WITHOUT_DATA: u64 = 0xffff_ffff | 0xff << 40 | 0xffff << 48;
/// Says that there is no data; among the bits that are left out.
const TCP_EMPTY: u64 = 1 << 32;
/// `NOP NOP TIMESTAMP`.
pub(super) const TIMESTAMP_LEN: u32 = 12;
/// The header length field leaves 40 bytes for options.
const MAX_OPTION_WORDS: u32 = 5;

/// Adds the fields of the transport header that no hop changes, and some of the payload: more of it where the network header
/// `is_weak`, because it has no number that tells packets apart.
#[inline(always)]
pub(super) fn add<R: Reader>(
    reader: &R,
    packet: &Packet,
    is_weak: bool,
    identity: &mut Identity,
) -> Result<(), ParseError> {
    if packet.protocol == PROTOCOL_TCP {
        return tcp(reader, packet, identity);
    }
    let header_len = match packet.protocol {
        PROTOCOL_UDP => udp(reader, packet, identity)?,
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => icmp(reader, packet, identity)?,
        PROTOCOL_SCTP => sctp(reader, packet, identity)?,
        _ => 0,
    };
    payload(reader, packet.l4_offset + header_len, packet.l3_end, is_weak, identity)
}

/// Adds what counts of the payload from `start` to `end`.
#[inline(always)]
pub(super) fn payload<R: Reader>(
    reader: &R,
    start: u32,
    end: u32,
    is_weak: bool,
    identity: &mut Identity,
) -> Result<(), ParseError> {
    // All protocols meet here.
    let (start, end) = (reader.opaque(start), reader.opaque(end));
    body(reader, start, end, identity)?;
    if is_weak {
        identity.extend(reader.deep_sum(start, end).ok_or(ParseError::Truncated)?);
    }
    Ok(())
}

/// Ports. Not the length: the first piece of a datagram that segmentation cuts has another one. Gives the header's length.
#[inline(always)]
fn udp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<u32, ParseError> {
    let window = reader.window(packet.l4_offset, UDP_LEN).ok_or(ParseError::Truncated)?;
    identity.add(position::L4, u64::from(window.u32(0)));
    Ok(UDP_LEN)
}

/// Type, code, id and sequence number: everything but the checksum. Behind them are the target of neighbour discovery, or the
/// packet that an error is about.
#[inline(always)]
fn icmp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<u32, ParseError> {
    let window = reader.window(packet.l4_offset, ICMP_LEN).ok_or(ParseError::Truncated)?;
    identity.add(position::L4, window.u64(0) & !0xffff_0000);
    Ok(ICMP_LEN)
}

/// Ports and verification tag; not the CRC at offset 8, which offload leaves open. Behind it is the first chunk's head.
#[inline(always)]
fn sctp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<u32, ParseError> {
    let window = reader.window(packet.l4_offset, SCTP_LEN).ok_or(ParseError::Truncated)?;
    identity.add(position::L4, window.u64(0));
    Ok(SCTP_LEN)
}

/// The second eight bytes of the TCP header at `l4`, which has `words` words and belongs to a packet that ends at `l3_end`, as
/// far as no hop changes them. A handshake's last acknowledgement, the first data behind it and a reset have the same numbers:
/// flags and the lack of data tell them apart; the window tells repeated acknowledgements apart.
#[inline(always)]
pub(super) fn tcp_next<W: Window>(window: &W, l4: u32, words: u32, l3_end: u32) -> u64 {
    let next = window.u64(8);
    let is_empty = l4 + words * 4 >= l3_end;
    // One short way to each: they are in every packet's path.
    if window.u8(13) & TCP_SYN != 0 {
        // Firewalls take ECN out of a handshake.
        (next & TCP_SYN_STAYS) | (u64::from(is_empty) * TCP_EMPTY)
    } else if is_empty {
        (next & TCP_WITHOUT_DATA) | TCP_EMPTY
    } else {
        next & TCP_WITH_DATA
    }
}

/// Ports, sequence and acknowledgement numbers, flags as far as they stay (see [`tcp_next`]), and the options as they stand
/// (`TSval`, SACK blocks), but of a SYN neither options, whose MSS firewalls clamp, nor ECN.
#[inline(always)]
fn tcp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Result<(), ParseError> {
    let window = reader.window(packet.l4_offset, TCP_MIN_LEN).ok_or(ParseError::Truncated)?;
    let words = u32::from(window.u8(12) >> 4);
    let header_len = words * 4;
    if header_len < TCP_MIN_LEN {
        return Err(ParseError::Malformed);
    }
    identity.add(position::L4, window.u64(0));
    identity.add(position::L4_NEXT, tcp_next(&window, packet.l4_offset, words, packet.l3_end));
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
