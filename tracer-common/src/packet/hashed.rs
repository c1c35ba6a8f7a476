//! How far into a packet its identity looks.

use super::{
    ETHERTYPE_IPV4, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP, Packet,
    Reader, Window,
    deep::DEEP_LEN,
    ipv4::{self, IPV4_MIN_LEN},
    transport::{BODY_LEN, ICMP_LEN, SCTP_LEN, TCP_MIN_LEN, UDP_LEN},
};

/// Where the last byte ends that makes up the identity, from the start of the Ethernet header on, or shortly behind.
#[inline(always)]
pub fn hashed_end<R: Reader>(reader: &R, packet: &Packet) -> u32 {
    if !packet.is_ip() {
        return packet.l3_end;
    }
    let is_weak = packet.ether_type != ETHERTYPE_IPV4
        || reader.window(packet.l3_offset, IPV4_MIN_LEN).is_some_and(|window| ipv4::is_weak(&window));
    let body_len = if is_weak { DEEP_LEN } else { BODY_LEN };
    let len = match packet.protocol {
        _ if packet.fragment_tail != 0 && packet.ether_type == ETHERTYPE_IPV4 => 0,
        _ if packet.fragment_tail != 0 => body_len,
        PROTOCOL_TCP => {
            reader.window(packet.l4_offset, TCP_MIN_LEN).map_or(0, |window| u32::from(window.u8(12) >> 4) * 4)
        }
        PROTOCOL_UDP => UDP_LEN + body_len,
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => ICMP_LEN + body_len,
        PROTOCOL_SCTP => SCTP_LEN + body_len,
        _ => body_len,
    };
    let end = packet.l4_offset + len;
    if end < packet.l3_end { end } else { packet.l3_end }
}
