//! A packet that nobody has sent, and the frame that it would be. Pure.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hoptrace_common::packet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_IGMP,
    PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_VRRP,
};

use crate::model::{FilterProtocol, MacAddr, PacketHead};

/// Of hosts' first packets.
const TTL: u8 = 64;
/// Any but 0, which is none.
const IP_ID: u16 = 1;
const DONT_FRAGMENT: u16 = 0x4000;
/// That the sender is in a group (version 2), of which a rule looks at the first byte at most.
const IGMP_REPORT: [u8; 8] = [0x16, 0, 0, 0, 0, 0, 0, 0];
/// Of version 2, virtual router 1.
const VRRP_ADVERTISEMENT: [u8; 8] = [0x21, 1, 100, 0, 0, 1, 0, 0];
/// An echo request: type, code, checksum, id and sequence number.
const ICMP_ECHO: [u8; 8] = [8, 0, 0, 0, 0, 1, 0, 1];
const ICMPV6_ECHO: [u8; 8] = [128, 0, 0, 0, 0, 1, 0, 1];
/// ARP over Ethernet and IPv4: types and lengths of addresses, and the operation, a request.
const ARP_REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
/// Where a question of ARP goes, too.
pub(super) const BROADCAST: MacAddr = MacAddr([0xff; 6]);

/// From where to where, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Addresses {
    /// `None`: they are of different families.
    pub(super) const fn of(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::V4(source, destination)),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::V6(source, destination)),
            _ => None,
        }
    }

    pub(super) const fn destination(self) -> IpAddr {
        match self {
            Self::V4(_, destination) => IpAddr::V4(destination),
            Self::V6(_, destination) => IpAddr::V6(destination),
        }
    }

    const fn source(self) -> IpAddr {
        match self {
            Self::V4(source, _) => IpAddr::V4(source),
            Self::V6(source, _) => IpAddr::V6(source),
        }
    }
}

/// The packet. An ICMP packet is an echo request, a TCP segment a SYN, ARP a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) source_mac: MacAddr,
    pub(super) destination_mac: MacAddr,
    /// The VLAN whose tag it has.
    pub(super) vlan: Option<u16>,
    pub(super) protocol: FilterProtocol,
    pub(super) addresses: Addresses,
    /// Source and destination port, where the protocol has ports.
    pub(super) ports: (u16, u16),
}

impl Packet {
    /// Its head, as a hook would have kept it.
    pub(super) fn head(&self) -> PacketHead {
        PacketHead { hook: String::new(), vlan_tci: self.vlan, bytes: self.frame() }
    }

    fn frame(&self) -> Vec<u8> {
        let mut frame = [self.destination_mac.0, self.source_mac.0].concat();
        match (self.protocol, self.addresses) {
            (FilterProtocol::Arp, Addresses::V4(source, destination)) => {
                frame.extend(ETHERTYPE_ARP.to_be_bytes());
                frame.extend(ARP_REQUEST);
                frame.extend(self.source_mac.0);
                frame.extend(source.octets());
                frame.extend([0; 6]);
                frame.extend(destination.octets());
            }
            (_, Addresses::V4(source, destination)) => {
                let payload = self.transport();
                frame.extend(ETHERTYPE_IPV4.to_be_bytes());
                frame.extend([0x45, 0]);
                frame.extend(length(20 + payload.len()));
                frame.extend(IP_ID.to_be_bytes());
                frame.extend(DONT_FRAGMENT.to_be_bytes());
                frame.extend([TTL, self.protocol_number(), 0, 0]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
                frame.extend(payload);
            }
            (_, Addresses::V6(source, destination)) => {
                let payload = self.transport();
                frame.extend(ETHERTYPE_IPV6.to_be_bytes());
                frame.extend([0x60, 0, 0, 0]);
                frame.extend(length(payload.len()));
                frame.extend([self.protocol_number(), TTL]);
                frame.extend(source.octets());
                frame.extend(destination.octets());
                frame.extend(payload);
            }
        }
        frame
    }

    const fn protocol_number(&self) -> u8 {
        match self.protocol {
            FilterProtocol::Icmp | FilterProtocol::Arp | FilterProtocol::Rarp => PROTOCOL_ICMP,
            FilterProtocol::Icmp6 => PROTOCOL_ICMPV6,
            FilterProtocol::Tcp => PROTOCOL_TCP,
            FilterProtocol::Udp => PROTOCOL_UDP,
            FilterProtocol::Sctp => PROTOCOL_SCTP,
            FilterProtocol::Igmp => PROTOCOL_IGMP,
            FilterProtocol::Vrrp => PROTOCOL_VRRP,
            FilterProtocol::Ip(number) => number,
        }
    }

    fn transport(&self) -> Vec<u8> {
        let ports = [self.ports.0.to_be_bytes(), self.ports.1.to_be_bytes()].concat();
        match self.protocol {
            FilterProtocol::Udp => [ports.as_slice(), &[0, 8, 0, 0]].concat(),
            // Sequence numbers, 20 bytes of header, SYN, a window.
            FilterProtocol::Tcp => {
                [ports.as_slice(), &[0; 8], &[0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]].concat()
            }
            // A verification tag and a checksum.
            FilterProtocol::Sctp => [ports.as_slice(), &[0; 8]].concat(),
            FilterProtocol::Igmp => IGMP_REPORT.to_vec(),
            FilterProtocol::Vrrp => VRRP_ADVERTISEMENT.to_vec(),
            FilterProtocol::Icmp | FilterProtocol::Arp | FilterProtocol::Rarp => ICMP_ECHO.to_vec(),
            FilterProtocol::Icmp6 => ICMPV6_ECHO.to_vec(),
            // No rule of the switch looks into it.
            FilterProtocol::Ip(_) => vec![0; 8],
        }
    }
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

/// `udp from 10.0.0.1 port 40000 to 10.0.0.2 port 53, from fa:… to 52:…, VLAN 101`
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = (self.addresses.source(), self.addresses.destination());
        match self.protocol {
            FilterProtocol::Arp => write!(f, "arp from {source}, a question for {destination}")?,
            FilterProtocol::Icmp | FilterProtocol::Icmp6 => {
                write!(f, "{} echo request from {source} to {destination}", self.protocol)?;
            }
            FilterProtocol::Igmp | FilterProtocol::Vrrp | FilterProtocol::Rarp | FilterProtocol::Ip(_) => {
                write!(f, "{} from {source} to {destination}", self.protocol)?;
            }
            FilterProtocol::Tcp | FilterProtocol::Udp | FilterProtocol::Sctp => {
                let (from, to) = self.ports;
                let protocol = self.protocol;
                write!(f, "{protocol} from {source} port {from} to {destination} port {to}")?;
            }
        }
        write!(f, "; MAC {} to {}", self.source_mac, self.destination_mac)?;
        self.vlan.map_or(Ok(()), |vlan| write!(f, "; VLAN {vlan}"))
    }
}

/// The MAC address that goes with an address of many: broadcast (the limited one), multicast (RFC 1112, RFC 2464).
pub(super) fn group_mac(address: IpAddr) -> Option<MacAddr> {
    match address {
        IpAddr::V4(address) if address.is_broadcast() => Some(BROADCAST),
        IpAddr::V4(address) if address.is_multicast() => {
            let [_, two, three, four] = address.octets();
            Some(MacAddr([0x01, 0x00, 0x5e, two & 0x7f, three, four]))
        }
        IpAddr::V6(address) if address.is_multicast() => {
            let [.., one, two, three, four] = address.octets();
            Some(MacAddr([0x33, 0x33, one, two, three, four]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::flow;

    fn packet(protocol: FilterProtocol, source: &str, destination: &str) -> Packet {
        let addresses = Addresses::of(source.parse().unwrap(), destination.parse().unwrap()).unwrap();
        Packet {
            source_mac: "fa:16:3e:21:1b:4b".parse().unwrap(),
            destination_mac: "52:54:00:99:99:01".parse().unwrap(),
            vlan: None,
            protocol,
            addresses,
            ports: (40_000, 53),
        }
    }

    fn said(packet: &Packet) -> String {
        flow("qvo1", &packet.head()).unwrap()
    }

    const V4: [&str; 2] = ["10.99.99.111", "10.99.99.1"];
    const V6: [&str; 2] = ["fd00::6f", "fd00::1"];

    #[test]
    fn the_frame_reads_as_what_it_was_made_of() {
        let macs = "in_port=qvo1,dl_src=fa:16:3e:21:1b:4b,dl_dst=52:54:00:99:99:01";
        let v4 = "nw_src=10.99.99.111,nw_dst=10.99.99.1,nw_tos=0,nw_ttl=64";
        let v6 = "ipv6_src=fd00::6f,ipv6_dst=fd00::1,nw_tos=0,nw_ttl=64";
        for (protocol, [source, destination], expected) in [
            (FilterProtocol::Udp, V4, format!("udp,{macs},{v4},udp_src=40000,udp_dst=53")),
            (FilterProtocol::Tcp, V4, format!("tcp,{macs},{v4},tcp_src=40000,tcp_dst=53")),
            (FilterProtocol::Icmp, V4, format!("icmp,{macs},{v4},icmp_type=8,icmp_code=0")),
            (FilterProtocol::Sctp, V4, format!("sctp,{macs},{v4},sctp_src=40000,sctp_dst=53")),
            (FilterProtocol::Igmp, V4, format!("ip,nw_proto=2,{macs},{v4}")),
            (FilterProtocol::Vrrp, V4, format!("ip,nw_proto=112,{macs},{v4}")),
            (FilterProtocol::Udp, V6, format!("udp6,{macs},{v6},udp_src=40000,udp_dst=53")),
            (FilterProtocol::Tcp, V6, format!("tcp6,{macs},{v6},tcp_src=40000,tcp_dst=53")),
            (FilterProtocol::Icmp6, V6, format!("icmp6,{macs},{v6},icmpv6_type=128,icmpv6_code=0")),
        ] {
            assert_eq!(said(&packet(protocol, source, destination)), expected);
        }
        let arp = Packet { destination_mac: BROADCAST, ..packet(FilterProtocol::Arp, V4[0], V4[1]) };
        assert_eq!(
            said(&arp),
            "arp,in_port=qvo1,dl_src=fa:16:3e:21:1b:4b,dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,arp_spa=10.99.99.111,\
             arp_tpa=10.99.99.1,arp_sha=fa:16:3e:21:1b:4b,arp_tha=00:00:00:00:00:00"
        );
        let tagged = Packet { vlan: Some(101), ..packet(FilterProtocol::Udp, V4[0], V4[1]) };
        assert!(said(&tagged).contains(",dl_vlan=101,dl_vlan_pcp=0,nw_src="), "{}", said(&tagged));
    }

    #[test]
    fn in_words() {
        let udp = Packet { vlan: Some(101), ..packet(FilterProtocol::Udp, V6[0], V6[1]) };
        assert_eq!(
            udp.to_string(),
            "udp from fd00::6f port 40000 to fd00::1 port 53; MAC fa:16:3e:21:1b:4b to 52:54:00:99:99:01; VLAN 101"
        );
        let arp = packet(FilterProtocol::Arp, V4[0], V4[1]).to_string();
        assert!(arp.starts_with("arp from 10.99.99.111, a question for 10.99.99.1; MAC "), "{arp}");
        let icmp = packet(FilterProtocol::Icmp, V4[0], V4[1]).to_string();
        assert!(icmp.starts_with("icmp echo request from 10.99.99.111 to 10.99.99.1; "), "{icmp}");
    }

    #[test]
    fn addresses_of_many_have_a_mac_address_of_their_own() {
        let mac = |address: &str| group_mac(address.parse().unwrap()).map(|mac| mac.to_string());
        assert_eq!(mac("255.255.255.255").as_deref(), Some("ff:ff:ff:ff:ff:ff"));
        assert_eq!(mac("224.129.1.2").as_deref(), Some("01:00:5e:01:01:02"));
        assert_eq!(mac("ff02::1:ff00:6f").as_deref(), Some("33:33:ff:00:00:6f"));
        assert_eq!((mac("10.0.0.1"), mac("fd00::1")), (None, None));
        assert_eq!(Addresses::of("10.0.0.1".parse().unwrap(), "::1".parse().unwrap()), None);
    }
}
