//! Questions and their answers at the guest's tap: what the guest's own response time is measured on, and who is silent.
//!
//! A question to the guest is an ICMP echo request, a TCP SYN, TCP data, or an ARP request; its answer is the echo reply with
//! the same id and sequence number, the segment that acknowledges the SYN or the data, or the ARP reply. An ICMP error of the guest that
//! is about a SYN or an echo request answers it, too. The guest's own
//! questions are its ARP requests. All of these the guest's kernel answers by itself; what its programs say to TCP data is
//! [`crate::conversation`]'s.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    conversation::Segment,
    filter::addresses,
    packet::{ETHERTYPE_ARP, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Packet, Reader, Window},
};

/// Questions that can be open at a time (a power of two): one for each TCP flow or echo.
pub const OPEN_QUESTIONS: u32 = 4096;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const UNREACHABLE: u8 = 3;
const UNREACHABLE_V6: u8 = 1;
const ECHO_REPLY_V6: u8 = 129;

const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

/// Kinds of questions: places in [`ExchangeCounters`].
pub mod kind {
    /// An echo request to the guest.
    pub const ECHO: u32 = 0;
    /// A SYN to the guest.
    pub const CONNECTION: u32 = 1;
    /// TCP data to the guest.
    pub const DATA: u32 = 2;
    /// An ARP request to the guest.
    pub const ARP: u32 = 3;
    /// An ARP request of the guest.
    pub const ARP_OF_GUEST: u32 = 4;
    /// What a program in the guest says to TCP data.
    pub const ANSWER: u32 = 5;
    /// Places there are.
    pub const PLACES: usize = 8;
}

/// What came of questions, on one CPU, by [`kind`]. A question that was asked several times before it was answered counts
/// as often. `asked = answered + unanswered +` what is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExchangeCounters {
    /// Remembered: where nothing else waited in their place.
    pub asked: [u64; kind::PLACES],
    /// Answered, however late.
    pub answered: [u64; kind::PLACES],
    /// Not answered in time, and forgotten for another one.
    pub unanswered: [u64; kind::PLACES],
    /// Not remembered: something else waited in their place.
    pub no_room: [u64; kind::PLACES],
    /// Answered, and it is not clear after how long, or whether at all because another CPU had the conversation; beside those answered.
    pub unclear: [u64; kind::PLACES],
}

/// An open question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Question {
    /// [`Question::FREE`], [`Question::BUSY`], else open: see [`Question::open`].
    pub state: u64,
    /// Of the flow, of the echo, or of the two addresses of ARP.
    pub key: u64,
    /// When the question passed the tap first, in nanoseconds of `CLOCK_MONOTONIC`.
    pub asked_ns: u64,
    /// TCP: the acknowledgement number that answers it. ARP: the address asked for, in network byte order. ICMP: 0.
    pub expected: u32,
    /// One of [`kind`].
    pub kind: u32,
}

impl Question {
    /// There is none.
    pub const FREE: u64 = 0;
    /// It is being written.
    pub const BUSY: u64 = 1;
    /// What asking once more adds to an open state.
    pub const ONCE_MORE: u64 = 2;
    const TIMES: u64 = 0xfe;

    /// The state of a question that was asked once, at `now_ns`: one of its own, so that an old one is not mistaken for it.
    #[inline(always)]
    #[must_use]
    pub const fn open(now_ns: u64) -> u64 {
        (now_ns << 8) | Self::ONCE_MORE
    }

    /// How often a question in this state was asked; 0 unless it is open.
    #[inline(always)]
    #[must_use]
    pub const fn times(state: u64) -> u64 {
        (state & Self::TIMES) >> 1
    }

    /// Whether it can count once more.
    #[inline(always)]
    #[must_use]
    pub const fn counts_on(state: u64) -> bool {
        state & Self::TIMES != Self::TIMES
    }
}

/// A packet's part in an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Equal for a question and its answers.
    pub key: u64,
    /// TCP: the question's first sequence number. ICMP: 0.
    pub start: u32,
    /// TCP: the acknowledgement number that answers the question, or the one that the answer carries. ARP: the address asked
    /// for, in network byte order. ICMP: 0.
    pub number: u32,
    /// One of [`kind`]; of an answer by TCP always [`kind::DATA`].
    pub kind: u32,
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
    if packet.ether_type == ETHERTYPE_ARP {
        return arp(reader, packet, ARP_REQUEST, kind::ARP);
    }
    if packet.fragment_tail != 0 {
        return None;
    }
    match packet.protocol {
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => echo(reader, packet, ECHO_REQUEST, ECHO_REQUEST_V6, false),
        PROTOCOL_TCP => tcp_question(&segment(reader, packet, false)?),
        _ => None,
    }
}

/// The answer that `packet`, on its way from the guest, gives.
#[inline(always)]
pub fn answer<R: Reader>(reader: &R, packet: &Packet) -> Option<Part> {
    if packet.ether_type == ETHERTYPE_ARP {
        return arp(reader, packet, ARP_REPLY, kind::ARP);
    }
    if packet.fragment_tail != 0 {
        return None;
    }
    match packet.protocol {
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
            echo(reader, packet, ECHO_REPLY, ECHO_REPLY_V6, true).or_else(|| refusal(reader, packet))
        }
        PROTOCOL_TCP => tcp_answer(&segment(reader, packet, true)?),
        _ => None,
    }
}

/// The TCP segment that `packet` is.
#[inline(always)]
pub fn segment<R: Reader>(reader: &R, packet: &Packet, from_guest: bool) -> Option<Segment> {
    if packet.protocol != PROTOCOL_TCP || packet.fragment_tail != 0 {
        return None;
    }
    let window = reader.window(packet.l4_offset, 20)?;
    let header_bytes = u32::from(window.u8(12) >> 4) * 4;
    let len_bytes = packet.l3_end.checked_sub(packet.l4_offset)?.checked_sub(header_bytes)?;
    let flags = u32::from(window.u8(13));
    let (source, destination) = addresses(reader, packet)?;
    let (source_port, destination_port) = (window.u16(0), window.u16(2));
    let (host, guest, host_port, guest_port) = if from_guest {
        (destination, source, destination_port, source_port)
    } else {
        (source, destination, source_port, destination_port)
    };
    let lower = guest_port.swap_bytes() < host_port.swap_bytes();
    Some(Segment {
        key: tcp_key(host, guest, u32::from(host_port), u32::from(guest_port)),
        seq: window.u32_be(4),
        ack: window.u32_be(8),
        // Larger than the field can say: not known.
        len_bytes: if len_bytes > u32::from(u16::MAX) { 0 } else { len_bytes },
        flags: flags
            | if lower { Segment::GUEST_IS_LOWER } else { 0 }
            | if from_guest { Segment::FROM_GUEST } else { 0 },
    })
}

/// What a segment to the guest asks the guest's kernel: to acknowledge it.
#[inline(always)]
#[must_use]
pub fn tcp_question(segment: &Segment) -> Option<Part> {
    // Data that comes with a SYN may be left for later.
    let covered = if segment.has(Segment::SYN) { 1 } else { segment.len_bytes };
    if covered == 0 || segment.has(Segment::RST) {
        return None;
    }
    let kind = if segment.has(Segment::SYN) { kind::CONNECTION } else { kind::DATA };
    Some(Part { key: segment.key, start: segment.seq, number: segment.seq.wrapping_add(covered), kind })
}

/// What a segment of the guest acknowledges.
#[inline(always)]
#[must_use]
pub fn tcp_answer(segment: &Segment) -> Option<Part> {
    if !segment.has(Segment::ACK) {
        return None;
    }
    Some(Part { key: segment.key, start: 0, number: segment.ack, kind: kind::DATA })
}

/// The question that `packet`, on its way from the guest, asks.
#[inline(always)]
pub fn question_of_guest<R: Reader>(reader: &R, packet: &Packet) -> Option<Part> {
    if packet.ether_type != ETHERTYPE_ARP {
        return None;
    }
    arp(reader, packet, ARP_REQUEST, kind::ARP_OF_GUEST)
}

/// The answer that `packet`, on its way to the guest, gives.
#[inline(always)]
pub fn answer_to_guest<R: Reader>(reader: &R, packet: &Packet) -> Option<Part> {
    if packet.ether_type != ETHERTYPE_ARP {
        return None;
    }
    arp(reader, packet, ARP_REPLY, kind::ARP_OF_GUEST)
}

/// ARP's part, if it is of that operation. Who tells others its own address, or probes whether it is free, asks nothing.
#[inline(always)]
fn arp<R: Reader>(reader: &R, packet: &Packet, operation: u16, kind: u32) -> Option<Part> {
    let window = reader.window(packet.l3_offset, 28)?;
    let (sender, target) = (window.u32(14), window.u32(24));
    if window.u16_be(6) != operation || sender == 0 || sender == target {
        return None;
    }
    let (asks, asked) = if operation == ARP_REQUEST { (sender, target) } else { (target, sender) };
    Some(Part {
        key: key([u64::from(asks), 0], [u64::from(asked), 0], u64::from(kind) << 40),
        start: asked.wrapping_sub(1),
        number: asked,
        kind,
    })
}

#[inline(always)]
fn echo<R: Reader>(reader: &R, packet: &Packet, kind: u8, kind_v6: u8, answer: bool) -> Option<Part> {
    let window = reader.window(packet.l4_offset, 8)?;
    let wanted = if packet.protocol == PROTOCOL_ICMP { kind } else { kind_v6 };
    if window.u8(0) != wanted {
        return None;
    }
    let (source, destination) = addresses(reader, packet)?;
    let host = if answer { destination } else { source };
    Some(Part { key: echo_key(host, window.u32(4)), start: 0, number: 0, kind: kind::ECHO })
}

/// That the guest refuses a SYN or an echo request, as firewalls do: "destination unreachable", with the head of the packet that it is
/// about, which has no options.
#[inline(always)]
fn refusal<R: Reader>(reader: &R, packet: &Packet) -> Option<Part> {
    if packet.protocol == PROTOCOL_ICMP {
        let window = reader.window(packet.l4_offset, 36)?;
        let is_whole = window.u8(8) == 0x45 && window.u16_be(14) << 3 == 0;
        if window.u8(0) != UNREACHABLE || !is_whole {
            return None;
        }
        let ends = ([u64::from(window.u32(20)), 0], [u64::from(window.u32(24)), 0]);
        refused(ends, u32::from(window.u8(17)), window.u32(28), window.u32(32))
    } else {
        let window = reader.window(packet.l4_offset, 56)?;
        if window.u8(0) != UNREACHABLE_V6 {
            return None;
        }
        let ends = ([window.u64(16), window.u64(24)], [window.u64(32), window.u64(40)]);
        refused(ends, u32::from(window.u8(14)), window.u32(48), window.u32(52))
    }
}

/// The question of a packet of `protocol` from the first of the two ends to the second, by the first two words behind its IP header.
#[inline(always)]
fn refused((host, guest): ([u64; 2], [u64; 2]), protocol: u32, first: u32, second: u32) -> Option<Part> {
    if protocol == u32::from(PROTOCOL_TCP) {
        let (host_port, guest_port) = (first & 0xffff, first >> 16);
        let key = tcp_key(host, guest, host_port, guest_port);
        return Some(Part { key, start: 0, number: second.swap_bytes().wrapping_add(1), kind: kind::DATA });
    }
    let asks = match first & 0xff {
        request if protocol == u32::from(PROTOCOL_ICMP) => request == u32::from(ECHO_REQUEST),
        request if protocol == u32::from(PROTOCOL_ICMPV6) => request == u32::from(ECHO_REQUEST_V6),
        _ => false,
    };
    if asks {
        Some(Part { key: echo_key(host, second), start: 0, number: 0, kind: kind::ECHO })
    } else {
        None
    }
}

/// Of a TCP flow; the ports as they are in memory.
#[inline(always)]
const fn tcp_key(host: [u64; 2], guest: [u64; 2], host_port: u32, guest_port: u32) -> u64 {
    key(host, guest, host_port as u64 | ((guest_port as u64) << 16) | (6 << 32))
}

/// Of an echo, by its id and sequence number. Who is asked at an anycast or a group's address answers from another one.
#[inline(always)]
const fn echo_key(host: [u64; 2], numbers: u32) -> u64 {
    key(host, [0; 2], numbers as u64 | (1 << 32))
}

const _: () = assert!(size_of::<Question>() == 32 && size_of::<ExchangeCounters>() == 320);
