//! Flows as the programs write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hoptrace_common::packet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV6, ETHERTYPE_RARP, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_IGMP,
    PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_VRRP,
};

use crate::model::Flow;

// Protocols that are followed as they are and only named, by their IP protocol numbers.
const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;
const ESP: u8 = 50;
const AH: u8 = 51;
const OSPF: u8 = 89;

/// The fields that records of packets have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowFields {
    pub(crate) ether_type: u16,
    pub(crate) protocol: u8,
    /// IPv4 in the first four bytes, or IPv6.
    pub(crate) source: [u64; 2],
    pub(crate) destination: [u64; 2],
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
}

impl FlowFields {
    /// The flow they describe.
    pub(crate) fn flow(&self) -> Flow {
        // That of ARP and RARP is 0.
        let has_ports = matches!(self.protocol, PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP);
        Flow {
            protocol: match self.protocol {
                _ if self.ether_type == ETHERTYPE_ARP => "arp".into(),
                _ if self.ether_type == ETHERTYPE_RARP => "rarp".into(),
                PROTOCOL_ICMP => "icmp".into(),
                PROTOCOL_ICMPV6 => "icmpv6".into(),
                PROTOCOL_TCP => "tcp".into(),
                PROTOCOL_UDP => "udp".into(),
                PROTOCOL_IGMP => "igmp".into(),
                PROTOCOL_VRRP => "vrrp".into(),
                PROTOCOL_SCTP => "sctp".into(),
                IP_IN_IP => "ip-in-ip".into(),
                IPV6_IN_IP => "ipv6-in-ip".into(),
                GRE => "gre".into(),
                ESP => "esp".into(),
                AH => "ah".into(),
                OSPF => "ospf".into(),
                other => other.to_string().into(),
            },
            source: self.address(self.source),
            destination: self.address(self.destination),
            source_port: has_ports.then_some(self.source_port),
            destination_port: has_ports.then_some(self.destination_port),
        }
    }

    fn address(&self, halves: [u64; 2]) -> IpAddr {
        let [low, high] = halves;
        if self.ether_type == ETHERTYPE_IPV6 {
            let bytes = u128::from(low) | (u128::from(high) << 64);
            IpAddr::from(Ipv6Addr::from(bytes.to_le_bytes()))
        } else {
            let [a, b, c, d, ..] = low.to_le_bytes();
            IpAddr::from(Ipv4Addr::new(a, b, c, d))
        }
    }
}
