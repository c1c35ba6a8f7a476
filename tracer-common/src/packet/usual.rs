//! The shapes that almost every packet has, read in few steps.
//!
//! At most one VLAN tag in the packet, no IPv4 options or IPv6 extension headers, UDP or TCP, no fragment's tail. Then every header
//! stands at a place known beforehand, and nothing has to be followed from header to header.

use super::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame, PROTOCOL_TCP, PROTOCOL_UDP, Packet, Reader, Window,
    ethernet::{ETHERNET_LEN, ETHERTYPE_VLAN, VLAN_LEN},
    identity::{Identity, position},
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

/// Parses the packet behind `frame`, which [`Frame::read_untagged`] gave, as [`super::parse`] does, if it is of a usual
/// shape and `reader` shows its headers.
#[inline(always)]
pub fn parse_usual<R: Reader>(reader: &R, frame: &Frame) -> Option<Packet> {
    if frame.ether_type == ETHERTYPE_VLAN {
        let tag = reader.window(ETHERNET_LEN, VLAN_LEN)?;
        parse_at(reader, tag.u16_be(2), ETHERNET_LEN + VLAN_LEN)
    } else {
        parse_at(reader, frame.ether_type, ETHERNET_LEN)
    }
}

/// In line, for each place of the network header by itself.
#[inline(always)]
fn parse_at<R: Reader>(reader: &R, ether_type: u16, l3: u32) -> Option<Packet> {
    let mut identity = Identity::new();
    let mut is_weak = true;
    let mut packet = if ether_type == ETHERTYPE_IPV4 {
        let window = reader.window(l3, IPV4_MIN_LEN)?;
        if window.u8(0) != IPV4_PLAIN || window.u16(6) & FRAGMENT_OFFSET_LE != 0 {
            return None;
        }
        ipv4::add_header(&window, &mut identity);
        is_weak = ipv4::is_weak(&window);
        Packet {
            identity: 0,
            ether_type: ETHERTYPE_IPV4,
            protocol: window.u8(9),
            fragment_tail: 0,
            l3_offset: l3,
            l4_offset: l3 + IPV4_MIN_LEN,
            l3_end: ipv4::end(&window, l3),
        }
    } else if ether_type == ETHERTYPE_IPV6 {
        let window = reader.window(l3, IPV6_LEN)?;
        if window.u8(0) >> 4 != 6 {
            return None;
        }
        let protocol = window.u8(6);
        ipv6::add_header(&window, protocol, &mut identity);
        Packet {
            identity: 0,
            ether_type: ETHERTYPE_IPV6,
            protocol,
            fragment_tail: 0,
            l3_offset: l3,
            l4_offset: l3 + IPV6_LEN,
            l3_end: ipv6::end(&window, l3),
        }
    } else {
        return None;
    };
    match packet.protocol {
        PROTOCOL_UDP => udp(reader, &packet, is_weak, &mut identity)?,
        PROTOCOL_TCP => tcp(reader, &packet, &mut identity)?,
        _ => return None,
    }
    packet.identity = identity.finish();
    Some(packet)
}

#[inline(always)]
fn udp<R: Reader>(reader: &R, packet: &Packet, is_weak: bool, identity: &mut Identity) -> Option<()> {
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
    if is_weak {
        identity.extend(reader.deep_sum(packet.l4_offset + UDP_LEN, packet.l3_end)?);
    }
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
