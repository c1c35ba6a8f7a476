//! A packet in the words of Open vSwitch: `udp,in_port=qvo…,dl_src=…`. Pure.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use hoptrace_common::packet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_RARP, Frame, PROTOCOL_ICMP, PROTOCOL_ICMPV6,
    PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP, Packet, Reader as _, SliceReader, Window, parse,
};

use crate::model::{MacAddr, PacketHead};

/// Where the first tag would be in the frame.
const ETHER_TYPE_OFFSET: u32 = 12;
const VLAN_TYPES: [u16; 2] = [0x8100, 0x88a8];

/// Messages of neighbour discovery (RFC 4861 §4.3, §4.4), and the options that the switch looks at (§4.6.1).
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;
/// Options that are looked at, at most.
const MAX_OPTIONS: usize = 8;

/// The flow of a packet that comes in by `ifname`. `None`: its headers are not understood.
pub(crate) fn flow(ifname: &str, head: &PacketHead) -> Option<String> {
    let frame = SliceReader(&head.bytes);
    let packet = parse(&frame, &Frame::read(&frame)?).ok()?;
    let macs = frame.window(0, 14)?;
    let mac = |at| MacAddr(std::array::from_fn(|place| macs.u8(at + u32::try_from(place).unwrap_or(0))));
    let mut flow = format!("{},in_port={}", protocol(&packet), port(ifname));
    // Writing to a string does not fail.
    let _ = write!(flow, ",dl_src={},dl_dst={}", mac(6), mac(0));
    if let Some(tci) = head.vlan_tci.or_else(|| tag_in(&frame)) {
        let _ = write!(flow, ",dl_vlan={},dl_vlan_pcp={}", tci & 0xfff, tci >> 13);
    }
    match packet.ether_type {
        ETHERTYPE_IPV4 => ipv4(&mut flow, &frame, &packet)?,
        ETHERTYPE_IPV6 => ipv6(&mut flow, &frame, &packet)?,
        _ => arp(&mut flow, &frame, &packet)?,
    }
    if packet.has_transport() {
        transport(&mut flow, &frame, &packet);
    }
    Some(flow)
}

/// The name of an interface, in quotes where it could be taken for something else.
fn port(ifname: &str) -> String {
    let is_plain = ifname.starts_with(|first: char| first.is_ascii_alphabetic())
        && ifname.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    if is_plain { ifname.to_owned() } else { serde_json::Value::from(ifname).to_string() }
}

/// The keyword that says which headers there are.
fn protocol(packet: &Packet) -> String {
    let is_v6 = packet.ether_type == ETHERTYPE_IPV6;
    let name = match packet.protocol {
        _ if packet.ether_type == ETHERTYPE_ARP => "arp",
        _ if packet.ether_type == ETHERTYPE_RARP => "rarp",
        PROTOCOL_TCP => "tcp",
        PROTOCOL_UDP => "udp",
        PROTOCOL_SCTP => "sctp",
        PROTOCOL_ICMP if !is_v6 => "icmp",
        PROTOCOL_ICMPV6 if is_v6 => return "icmp6".to_owned(),
        other => return format!("{},nw_proto={other}", if is_v6 { "ipv6" } else { "ip" }),
    };
    if is_v6 { format!("{name}6") } else { name.to_owned() }
}

/// The tag in the frame, if it has one.
fn tag_in(frame: &SliceReader<'_>) -> Option<u16> {
    let window = frame.window(ETHER_TYPE_OFFSET, 4)?;
    VLAN_TYPES.contains(&window.u16_be(0)).then(|| window.u16_be(2))
}

fn ipv4(flow: &mut String, frame: &SliceReader<'_>, packet: &Packet) -> Option<()> {
    let header = frame.window(packet.l3_offset, 20)?;
    let address = |at| Ipv4Addr::from(header.u32_be(at));
    let _ = write!(flow, ",nw_src={},nw_dst={}", address(12), address(16));
    let _ = write!(flow, ",nw_tos={},nw_ttl={}", header.u8(1) & 0xfc, header.u8(8));
    // Whether there are more of the packet's fragments, and what is before this one.
    let (has_more, offset) = (header.u8(6) & 0x20 != 0, header.u16_be(6) & 0x1fff);
    if offset != 0 {
        flow.push_str(",nw_frag=later");
    } else if has_more {
        flow.push_str(",nw_frag=first");
    }
    Some(())
}

fn ipv6(flow: &mut String, frame: &SliceReader<'_>, packet: &Packet) -> Option<()> {
    let header = frame.window(packet.l3_offset, 40)?;
    let _ = write!(flow, ",ipv6_src={},ipv6_dst={}", address_v6(&header, 8), address_v6(&header, 24));
    let _ = write!(flow, ",nw_tos={},nw_ttl={}", (header.u16_be(0) >> 4) & 0xfc, header.u8(7));
    if packet.fragment_tail != 0 {
        flow.push_str(",nw_frag=later");
    }
    Some(())
}

fn address_v6(window: &impl Window, at: u32) -> Ipv6Addr {
    let byte = |place: usize| window.u8(at + u32::try_from(place).unwrap_or(0));
    Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(byte))
}

fn arp(flow: &mut String, frame: &SliceReader<'_>, packet: &Packet) -> Option<()> {
    let header = frame.window(packet.l3_offset, 28)?;
    let mac = |at| MacAddr(std::array::from_fn(|place| header.u8(at + u32::try_from(place).unwrap_or(0))));
    let address = |at| Ipv4Addr::from(header.u32_be(at));
    let _ = write!(flow, ",arp_op={},arp_spa={},arp_tpa={}", header.u16_be(6), address(14), address(24));
    let _ = write!(flow, ",arp_sha={},arp_tha={}", mac(8), mac(18));
    Some(())
}

/// Ports, or ICMP's type and code; nothing where they were not kept.
fn transport(flow: &mut String, frame: &SliceReader<'_>, packet: &Packet) {
    let Some(header) = frame.window(packet.l4_offset, 4) else { return };
    let mut ports = |name| write!(flow, ",{name}_src={},{name}_dst={}", header.u16_be(0), header.u16_be(2));
    let _ = match packet.protocol {
        PROTOCOL_TCP => ports("tcp"),
        PROTOCOL_UDP => ports("udp"),
        PROTOCOL_SCTP => ports("sctp"),
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
            let v6 = if packet.protocol == PROTOCOL_ICMPV6 { "v6" } else { "" };
            write!(flow, ",icmp{v6}_type={},icmp{v6}_code={}", header.u8(0), header.u8(1))
        }
        _ => Ok(()),
    };
    if packet.protocol == PROTOCOL_ICMPV6 && header.u8(1) == 0 {
        // A port's security looks at what neighbour discovery says.
        match header.u8(0) {
            NEIGHBOUR_SOLICITATION => neighbour(flow, frame, packet, ("nd_sll", SOURCE_ADDRESS)),
            NEIGHBOUR_ADVERTISEMENT => neighbour(flow, frame, packet, ("nd_tll", TARGET_ADDRESS)),
            _ => {}
        }
    }
}

/// Whom a message of neighbour discovery is about, and the link-layer address in its option of this type.
fn neighbour(flow: &mut String, frame: &SliceReader<'_>, packet: &Packet, (name, option): (&str, u8)) {
    let Some(target) = frame.window(packet.l4_offset + 8, 16) else { return };
    let _ = write!(flow, ",nd_target={}", address_v6(&target, 0));
    let mut at = packet.l4_offset + 24;
    for _ in 0..MAX_OPTIONS {
        let Some(found) = frame.window(at, 8).filter(|found| found.u8(1) > 0) else { return };
        if found.u8(0) == option {
            let mac = MacAddr(std::array::from_fn(|place| found.u8(2 + u32::try_from(place).unwrap_or(0))));
            let _ = write!(flow, ",{name}={mac}");
            return;
        }
        at += 8 * u32::from(found.u8(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(hex: &str, vlan_tci: Option<u16>) -> PacketHead {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        PacketHead { hook: "qvo".to_owned(), vlan_tci, bytes: digits.chunks(2).map(byte).collect() }
    }

    const ETHERNET: &str = "525400999901 fa163e211b4b";
    const UDP: &str = "4500 002e 1234 4000 40 11 0000 0a63636f 0a636301  d431 115c 001a 0000 000102030405060708090a0b0c0d0e0f";

    #[test]
    fn a_datagram_in_the_switch_s_words() {
        let said = flow("qvoc3d70d5c-a9", &head(&format!("{ETHERNET} 0800 {UDP}"), None)).unwrap();
        assert_eq!(
            said,
            "udp,in_port=qvoc3d70d5c-a9,dl_src=fa:16:3e:21:1b:4b,dl_dst=52:54:00:99:99:01,nw_src=10.99.99.111,\
             nw_dst=10.99.99.1,nw_tos=0,nw_ttl=64,udp_src=54321,udp_dst=4444"
        );
    }

    #[test]
    fn a_tag_is_told_wherever_it_is() {
        let beside = flow("ens3", &head(&format!("{ETHERNET} 0800 {UDP}"), Some(0x6065))).unwrap();
        let inside = flow("ens3", &head(&format!("{ETHERNET} 8100 6065 0800 {UDP}"), None)).unwrap();
        assert_eq!(beside, inside);
        assert!(inside.contains(",dl_vlan=101,dl_vlan_pcp=3,nw_src="), "{inside}");
    }

    #[test]
    fn other_protocols() {
        let arp = "0806 0001 0800 06 04 0001 fa163e211b4b 0a63636f 000000000000 0a636301";
        let said = flow("qvo1", &head(&format!("ffffffffffff fa163e211b4b {arp}"), None)).unwrap();
        assert!(
            said.starts_with("arp,in_port=qvo1,dl_src=fa:16:3e:21:1b:4b,dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,")
        );
        assert!(said.ends_with("arp_sha=fa:16:3e:21:1b:4b,arp_tha=00:00:00:00:00:00"), "{said}");
        let icmp = "0800 4500 001c 1234 0000 40 01 0000 0a63636f 0a636301 0800 0000 0001 0002";
        let said = flow("qvo1", &head(&format!("{ETHERNET} {icmp}"), None)).unwrap();
        assert!(said.starts_with("icmp,") && said.ends_with("icmp_type=8,icmp_code=0"), "{said}");
        let icmp6 = "86dd 60000000 0008 3a 40 fd00000000000000000000000000006f fd000000000000000000000000000001 8000 0000 0001 0002";
        let said = flow("qvo1", &head(&format!("{ETHERNET} {icmp6}"), None)).unwrap();
        assert!(said.starts_with("icmp6,") && said.contains("ipv6_src=fd00::6f,ipv6_dst=fd00::1,"), "{said}");
        assert!(said.ends_with("icmpv6_type=128,icmpv6_code=0"), "{said}");
        let to = "fd00000000000000000000000000006f fd000000000000000000000000000001";
        let advertisement = format!(
            "86dd 60b00000 0028 3a ff {to} 8800 0000 60000000 fd00000000000000000000000000006f 0e01 000000000000 0201 fa163e211b4b"
        );
        let said = flow("qvo1", &head(&format!("{ETHERNET} {advertisement}"), None)).unwrap();
        assert!(
            said.ends_with(
                ",nw_tos=8,nw_ttl=255,icmpv6_type=136,icmpv6_code=0,nd_target=fd00::6f,nd_tll=fa:16:3e:21:1b:4b"
            ),
            "{said}"
        );
        let cut = format!("86dd 60000000 0008 3a ff {to} 8700 0000 00000000");
        let said = flow("qvo1", &head(&format!("{ETHERNET} {cut}"), None)).unwrap();
        assert!(said.ends_with("icmpv6_type=135,icmpv6_code=0"), "{said}");
        let gre = "0800 4500 0024 1234 0000 40 2f 0000 0a63636f 0a636301 00000000000000000000000000000000";
        let said = flow("qvo1", &head(&format!("{ETHERNET} {gre}"), None)).unwrap();
        assert!(said.starts_with("ip,nw_proto=47,in_port="), "{said}");
    }

    #[test]
    fn what_is_no_packet_is_not_told_and_odd_names_are_quoted() {
        assert_eq!(flow("qvo1", &head("00 11", None)), None);
        assert_eq!(flow("qvo1", &head(&format!("{ETHERNET} 88cc 0000"), None)), None);
        let said = flow("a,b\"=1", &head(&format!("{ETHERNET} 0800 {UDP}"), None)).unwrap();
        assert!(said.starts_with("udp,in_port=\"a,b\\\"=1\",dl_src="), "{said}");
        assert!(
            flow("1x", &head(&format!("{ETHERNET} 0800 {UDP}"), None)).unwrap().contains("in_port=\"1x\",")
        );
    }
}
