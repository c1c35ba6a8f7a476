//! Questions to the guest and its answers: what the guest's own response time is measured on.
//!
//! A question is an ICMP echo request, a TCP SYN or TCP data on its way to the guest; its answer is the echo reply
//! with the same id and sequence number, or the segment that acknowledges the SYN or the data.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    filter::addresses,
    packet::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Packet, Reader, Window},
};

/// Questions that can be open at a time (a power of two): one for each TCP flow or echo.
pub const OPEN_QUESTIONS: u32 = 4096;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

const FLAG_SYN: u8 = 0x02;
const FLAG_RST: u8 = 0x04;
const FLAG_ACK: u8 = 0x10;

/// An open question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Question {
    /// 0 free, 1 being written, else open.
    pub state: u64,
    /// Of the flow, or of the echo.
    pub key: u64,
    /// When the question passed the tap, in nanoseconds of `CLOCK_MONOTONIC`.
    pub asked_ns: u64,
    /// TCP: the acknowledgement number that answers it. ICMP: 0.
    pub expected: u32,
    /// Zero.
    pub reserved: u32,
}

/// A packet's part in an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Equal for a question and its answers.
    pub key: u64,
    /// TCP: the question's first sequence number. ICMP: 0.
    pub start: u32,
    /// TCP: the acknowledgement number that answers the question, or the one that the answer carries. ICMP: 0.
    pub number: u32,
}

impl Part {
    /// Whether this answer answers a question that expects `expected`: TCP sequence space wraps.
    #[inline(always)]
    #[must_use]
    pub const fn answers(&self, expected: u32) -> bool {
        self.number.wrapping_sub(expected) < 1 << 31
    }

    /// Whether this question repeats data that an open question expecting `expected` covers already: after that an
    /// answer says nothing about time (Karn's rule).
    #[inline(always)]
    #[must_use]
    pub const fn repeats(&self, expected: u32) -> bool {
        self.number == 0 && self.start == 0 && expected == 0
            || expected.wrapping_sub(self.start).wrapping_sub(1) < 1 << 31
    }
}

#[inline(always)]
const fn mix(key: u64, word: u64) -> u64 {
    let mixed = (key ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

#[inline(always)]
const fn key(host: [u64; 2], guest: [u64; 2], numbers: u64) -> u64 {
    mix(mix(mix(mix(mix(0, host[0]), host[1]), guest[0]), guest[1]), numbers)
}

/// The question that `packet`, on its way to the guest, asks.
#[inline(always)]
pub fn question<R: Reader>(reader: &R, packet: &Packet) -> Option<Part> {
    if packet.fragment_tail != 0 {
        return None;
    }
    match packet.protocol {
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => echo(reader, packet, ECHO_REQUEST, ECHO_REQUEST_V6, false),
        PROTOCOL_TCP => {
            let window = reader.window(packet.l4_offset, 20)?;
            let header_len = u32::from(window.u8(12) >> 4) * 4;
            let flags = window.u8(13);
            let data_len = packet.l3_end.checked_sub(packet.l4_offset)?.checked_sub(header_len)?;
            let covered = data_len + u32::from(flags & FLAG_SYN != 0);
            // Larger than the field can say, or nothing to acknowledge.
            if covered == 0 || data_len > u32::from(u16::MAX) || flags & FLAG_RST != 0 {
                return None;
            }
            let (source, destination) = addresses(reader, packet)?;
            let start = window.u32_be(4);
            Some(Part {
                key: key(source, destination, u64::from(window.u32(0)) | (6 << 32)),
                start,
                number: start.wrapping_add(covered),
            })
        }
        _ => None,
    }
}

/// The answer that `packet`, on its way from the guest, gives.
#[inline(always)]
pub fn answer<R: Reader>(reader: &R, packet: &Packet) -> Option<Part> {
    if packet.fragment_tail != 0 {
        return None;
    }
    match packet.protocol {
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => echo(reader, packet, ECHO_REPLY, ECHO_REPLY_V6, true),
        PROTOCOL_TCP => {
            let window = reader.window(packet.l4_offset, 20)?;
            if window.u8(13) & FLAG_ACK == 0 {
                return None;
            }
            let (source, destination) = addresses(reader, packet)?;
            let ports = u64::from(window.u16(2)) | (u64::from(window.u16(0)) << 16);
            Some(Part {
                key: key(destination, source, ports | (6 << 32)),
                start: 0,
                number: window.u32_be(8),
            })
        }
        _ => None,
    }
}

#[inline(always)]
fn echo<R: Reader>(reader: &R, packet: &Packet, kind: u8, kind_v6: u8, answer: bool) -> Option<Part> {
    let window = reader.window(packet.l4_offset, 8)?;
    let wanted = if packet.protocol == PROTOCOL_ICMP { kind } else { kind_v6 };
    if window.u8(0) != wanted {
        return None;
    }
    let (source, destination) = addresses(reader, packet)?;
    let (host, guest) = if answer { (destination, source) } else { (source, destination) };
    Some(Part { key: key(host, guest, u64::from(window.u32(4)) | (1 << 32)), start: 0, number: 0 })
}

const _: () = assert!(size_of::<Question>() == 32);
