//! The shapes that almost every packet has, read in few steps.
//!
//! At most two VLAN tags in the packet, no IPv4 options or IPv6 extension headers, UDP or TCP, no fragment's tail. Then every header
//! stands at a place known beforehand, and nothing has to be followed from header to header.

use super::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame, PROTOCOL_TCP, PROTOCOL_UDP, Packet, Reader, Window,
    ethernet::{ETHERNET_LEN, ETHERTYPE_QINQ, ETHERTYPE_VLAN, VLAN_LEN},
    identity::{self, Identity, position},
    ipv4::{self, IPV4_MIN_LEN},
    ipv6::{self, IPV6_LEN},
    port::is_of_dhcp,
    transport::{self, TCP_MIN_LEN, TCP_SYN, TIMESTAMP_LEN, UDP_LEN},
};

/// Version 4, five words of header.
const IPV4_PLAIN: u8 = 0x45;
/// The fragment offset, as the CPU reads its two bytes.
const FRAGMENT_OFFSET_LE: u16 = 0x1fff_u16.swap_bytes();
/// Payload of a datagram that the identity covers.
const UDP_BODY: u32 = 16;

const TCP_WORDS_PLAIN: u8 = 5;
const TCP_WORDS_TIMESTAMP: u8 = 8;

/// A packet of a usual shape, its identity not finished: what of the payload makes it up was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    /// What the identity is mixed from, but for the payload.
    pub sum: u64,
    /// Where its headers are.
    pub places: Places,
}

/// The places of a packet's headers in one word: few need them.
///
/// Bits: 0..32 where the packet ends · 32..40 the network header · 48..56 the protocol · 56 IPv6 · 57 whether [`super::deep_sum`] of
/// the payload belongs to the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places(pub u64);

const L3_SHIFT: u32 = 32;
const PROTOCOL_SHIFT: u32 = 48;
const IS_V6: u64 = 1 << 56;
const IS_DEEP: u64 = 1 << 57;

impl Places {
    #[inline(always)]
    const fn new(packet: &Packet, is_deep: bool) -> Self {
        Self(
            packet.l3_end as u64
                | (packet.l3_offset as u64) << L3_SHIFT
                | (packet.protocol as u64) << PROTOCOL_SHIFT
                | if packet.ether_type == ETHERTYPE_IPV6 { IS_V6 } else { 0 }
                | if is_deep { IS_DEEP } else { 0 },
        )
    }

    /// As [`Packet::protocol`].
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "eight bits are meant")]
    pub const fn protocol(self) -> u8 {
        (self.0 >> PROTOCOL_SHIFT) as u8
    }

    /// Where the payload begins and ends whose [`super::deep_sum`] belongs to the identity; `None`: no payload's does.
    #[inline(always)]
    #[must_use]
    pub const fn deep(self) -> Option<(u32, u32)> {
        if self.0 & IS_DEEP == 0 {
            return None;
        }
        let packet = self.packet(0);
        Some((packet.l4_offset + UDP_LEN, packet.l3_end))
    }

    /// The packet.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the lower half, and eight bits")]
    pub const fn packet(self, identity: u64) -> Packet {
        let is_v4 = self.0 & IS_V6 == 0;
        let l3_offset = (self.0 >> L3_SHIFT) as u32 & 0xff;
        Packet {
            identity,
            ether_type: if is_v4 { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 },
            protocol: self.protocol(),
            fragment_tail: 0,
            l3_offset,
            l4_offset: l3_offset + if is_v4 { IPV4_MIN_LEN } else { IPV6_LEN },
            l3_end: self.0 as u32,
        }
    }
}

impl Usual {
    /// Parses the packet behind `frame`, which [`Frame::read_untagged`] gave, as [`super::parse`] does, if it is of a usual
    /// shape and `reader` shows its headers.
    #[inline(always)]
    pub fn parse<R: Reader>(reader: &R, frame: &Frame) -> Option<Self> {
        let (mut ether_type, mut l3) = (frame.ether_type, ETHERNET_LEN);
        if ether_type == ETHERTYPE_VLAN || ether_type == ETHERTYPE_QINQ {
            ether_type = reader.window(ETHERNET_LEN, VLAN_LEN)?.u16_be(2);
            l3 = ETHERNET_LEN + VLAN_LEN;
            if ether_type == ETHERTYPE_VLAN {
                ether_type = reader.window(ETHERNET_LEN + VLAN_LEN, VLAN_LEN)?.u16_be(2);
                l3 = ETHERNET_LEN + VLAN_LEN * 2;
            }
        }
        parse_at(reader, ether_type, l3)
    }

    /// The identity, with what [`super::deep_sum`] gave where that belongs to it, else 0.
    #[inline(always)]
    #[must_use]
    pub const fn identity(self, deep: u64) -> u64 {
        identity::mixed(self.sum.wrapping_add(deep))
    }
}

/// [`Usual::parse`], and the identity.
#[inline(always)]
pub fn parse_usual<R: Reader>(reader: &R, frame: &Frame) -> Option<Packet> {
    let usual = Usual::parse(reader, frame)?;
    let deep = if let Some((start, end)) = usual.places.deep() { reader.deep_sum(start, end)? } else { 0 };
    Some(usual.places.packet(usual.identity(deep)))
}

/// The network header at `l3`. The transport header is read for each kind of it by itself, at a place known from `l3`: that is fewer
/// numbers to keep.
#[inline(always)]
fn parse_at<R: Reader>(reader: &R, ether_type: u16, l3: u32) -> Option<Usual> {
    let mut identity = Identity::new();
    if ether_type == ETHERTYPE_IPV4 {
        let window = reader.window(l3, IPV4_MIN_LEN)?;
        if window.u8(0) != IPV4_PLAIN || window.u16(6) & FRAGMENT_OFFSET_LE != 0 {
            return None;
        }
        ipv4::add_header(&window, &mut identity);
        let packet = Packet {
            identity: 0,
            ether_type: ETHERTYPE_IPV4,
            protocol: window.u8(9),
            fragment_tail: 0,
            l3_offset: l3,
            l4_offset: l3 + IPV4_MIN_LEN,
            l3_end: ipv4::end(&window, l3),
        };
        transport(reader, packet, ipv4::is_weak(&window), identity)
    } else if ether_type == ETHERTYPE_IPV6 {
        let window = reader.window(l3, IPV6_LEN)?;
        if window.u8(0) >> 4 != 6 {
            return None;
        }
        let protocol = window.u8(6);
        ipv6::add_header(&window, protocol, &mut identity);
        let packet = Packet {
            identity: 0,
            ether_type: ETHERTYPE_IPV6,
            protocol,
            fragment_tail: 0,
            l3_offset: l3,
            l4_offset: l3 + IPV6_LEN,
            l3_end: ipv6::end(&window, l3),
        };
        transport(reader, packet, true, identity)
    } else {
        None
    }
}

#[inline(always)]
fn transport<R: Reader>(reader: &R, packet: Packet, is_weak: bool, mut identity: Identity) -> Option<Usual> {
    match packet.protocol {
        PROTOCOL_UDP => {
            udp(reader, &packet, &mut identity)?;
            let packet = Packet { protocol: PROTOCOL_UDP, ..packet };
            Some(Usual { sum: identity.sum(), places: Places::new(&packet, is_weak) })
        }
        PROTOCOL_TCP => {
            tcp(reader, &packet, &mut identity)?;
            let packet = Packet { protocol: PROTOCOL_TCP, ..packet };
            Some(Usual { sum: identity.sum(), places: Places::new(&packet, false) })
        }
        _ => None,
    }
}

#[inline(always)]
fn udp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Option<()> {
    if packet.l4_offset + UDP_LEN + UDP_BODY > packet.l3_end {
        return None;
    }
    let window = reader.window(packet.l4_offset, UDP_LEN + UDP_BODY)?;
    // The switch may answer it.
    if is_of_dhcp(window.u16_be(2)) {
        return None;
    }
    identity.add(position::L4, u64::from(window.u32(0)));
    identity.add(position::BODY, window.u64(UDP_LEN));
    identity.add(position::BODY + 1, window.u64(UDP_LEN + 8));
    Some(())
}

#[inline(always)]
fn tcp<R: Reader>(reader: &R, packet: &Packet, identity: &mut Identity) -> Option<()> {
    let window = reader.window(packet.l4_offset, TCP_MIN_LEN)?;
    identity.add(position::L4, window.u64(0));
    let words = window.u8(12) >> 4;
    let next = transport::tcp_next(&window, packet.l4_offset, u32::from(words), packet.l3_end);
    identity.add(position::L4_NEXT, next);
    if window.u8(13) & TCP_SYN != 0 || words == TCP_WORDS_PLAIN {
        return if words < TCP_WORDS_PLAIN { None } else { Some(()) };
    }
    if words != TCP_WORDS_TIMESTAMP {
        return None;
    }
    let window = reader.window(packet.l4_offset + TCP_MIN_LEN, TIMESTAMP_LEN)?;
    identity.add(position::BODY, window.u64(0));
    identity.add(position::BODY + 1, u64::from(window.u32(8)));
    Some(())
}
