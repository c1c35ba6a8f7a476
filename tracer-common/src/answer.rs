//! Questions of the guest that a switch answers by itself, and their answers.
//!
//! ARP and neighbour discovery have responders in many switches, and some answer echo requests, router solicitations and DHCP.
//! The question's packet ends there, and the answer's begins there. A key is equal for both and nothing else.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    filter::addresses,
    packet::{
        ETHERTYPE_ARP, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_UDP, Packet, Reader, Window,
        port::{DHCP_CLIENT, DHCP_SERVER, DHCPV6_CLIENT, DHCPV6_SERVER},
    },
};

/// Questions of one port that are remembered at a time.
pub const REMEMBERED: u32 = 1024;

/// What the programs have found, on one CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AnswerCounters {
    /// Questions that were answered by a packet which came from nowhere else, and their answers: as many.
    pub by_switch: u64,
}

/// A question, by its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Asked {
    /// The identity of the packet that asks.
    pub identity: u64,
    /// When it passed the tap, in nanoseconds of `CLOCK_MONOTONIC`.
    pub asked_ns: u64,
}

const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

/// The kinds, so that no key is that of another one.
mod kind {
    pub(super) const ARP: u64 = 1;
    pub(super) const ECHO: u64 = 2;
    pub(super) const NEIGHBOUR: u64 = 3;
    pub(super) const ROUTER: u64 = 4;
    pub(super) const DHCP: u64 = 5;
    pub(super) const DHCPV6: u64 = 6;
}

#[inline(always)]
const fn key(kind: u64, one: u64, two: u64, three: u64) -> u64 {
    mix(mix(mix(mix(0, kind), one), two), three)
}

#[inline(always)]
const fn mix(key: u64, word: u64) -> u64 {
    let mixed = (key ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// Whether `packet` can be one of either.
#[inline(always)]
#[must_use]
#[allow(
    clippy::needless_bitwise_bool,
    reason = "without a branch for each, all of which the verifier would follow"
)]
pub const fn is_possible(packet: &Packet) -> bool {
    // Of datagrams only DHCP's come as far as this often.
    (packet.ether_type == ETHERTYPE_ARP)
        | (packet.fragment_tail == 0)
            & ((packet.protocol == PROTOCOL_ICMP)
                | (packet.protocol == PROTOCOL_ICMPV6)
                | (packet.protocol == PROTOCOL_UDP))
}

/// The key of what `packet`, on its way from the guest, asks, or with `answers` of what it answers, on its way to the guest.
#[inline(always)]
pub fn exchange<R: Reader>(reader: &R, packet: &Packet, answers: bool) -> Option<u64> {
    if packet.ether_type == ETHERTYPE_ARP {
        return arp(reader, packet, answers);
    }
    match packet.protocol {
        PROTOCOL_ICMP => icmp(reader, packet, answers),
        PROTOCOL_ICMPV6 => icmpv6(reader, packet, answers),
        PROTOCOL_UDP => dhcp(reader, packet, answers),
        _ => None,
    }
}

/// Who tells others its own address asks nothing.
#[inline(always)]
fn arp<R: Reader>(reader: &R, packet: &Packet, answers: bool) -> Option<u64> {
    let window = reader.window(packet.l3_offset, 28)?;
    let (sender, target) = (window.u32(14), window.u32(24));
    let (operation, asked) = if answers { (ARP_REPLY, sender) } else { (ARP_REQUEST, target) };
    (window.u16_be(6) == operation && sender != target).then(|| key(kind::ARP, u64::from(asked), 0, 0))
}

#[inline(always)]
fn icmp<R: Reader>(reader: &R, packet: &Packet, answers: bool) -> Option<u64> {
    const REQUEST: u8 = 8;
    const REPLY: u8 = 0;
    let window = reader.window(packet.l4_offset, 8)?;
    (window.u8(0) == if answers { REPLY } else { REQUEST }).then_some(())?;
    let (source, destination) = addresses(reader, packet)?;
    let peer = if answers { source } else { destination };
    Some(key(kind::ECHO, peer[0], peer[1], u64::from(window.u32(4))))
}

#[inline(always)]
fn icmpv6<R: Reader>(reader: &R, packet: &Packet, answers: bool) -> Option<u64> {
    const ECHO: u8 = 128;
    const ROUTER: u8 = 133;
    const NEIGHBOUR: u8 = 135;
    let window = reader.window(packet.l4_offset, 8)?;
    // Each answer's number is the one behind its question's.
    let what = window.u8(0).wrapping_sub(u8::from(answers));
    if what == ROUTER {
        return Some(key(kind::ROUTER, 0, 0, 0));
    }
    if what == NEIGHBOUR {
        let target = reader.window(packet.l4_offset + 8, 16)?;
        return Some(key(kind::NEIGHBOUR, target.u64(0), target.u64(8), 0));
    }
    if what != ECHO {
        return None;
    }
    let (source, destination) = addresses(reader, packet)?;
    let peer = if answers { source } else { destination };
    Some(key(kind::ECHO, peer[0], peer[1], u64::from(window.u32(4)) | 1 << 32))
}

/// By the transaction: the answer comes from any address.
#[inline(always)]
fn dhcp<R: Reader>(reader: &R, packet: &Packet, answers: bool) -> Option<u64> {
    /// The message's kind is in the first byte.
    const TRANSACTION_V6: u32 = u32::from_le_bytes([0, 0xff, 0xff, 0xff]);
    let window = reader.window(packet.l4_offset, 16)?;
    let ports = (window.u16_be(0), window.u16_be(2));
    let (source, destination) = if answers { (ports.1, ports.0) } else { ports };
    if (source, destination) == (DHCP_CLIENT, DHCP_SERVER) {
        return Some(key(kind::DHCP, u64::from(window.u32(12)), 0, 0));
    }
    let is_v6 = (source, destination) == (DHCPV6_CLIENT, DHCPV6_SERVER);
    is_v6.then(|| key(kind::DHCPV6, u64::from(window.u32(8) & TRANSACTION_V6), 0, 0))
}

const _: () = assert!(size_of::<Asked>() == 16 && size_of::<AnswerCounters>() == 8);
