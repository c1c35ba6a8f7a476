//! The packet filter: protocol, hosts and ports.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::packet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP,
    PROTOCOL_UDP, Packet, Reader, Window,
};

/// Hosts, and ports, one filter can name: a packet has two ends.
pub const MAX_ENDS: usize = 2;

/// A host's address: IPv4 in the first four bytes, or IPv6.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Host {
    /// The two halves of the address, its bytes read as little-endian numbers.
    pub address: [u64; 2],
    /// EtherType of its family.
    pub ether_type: u16,
    /// Zero.
    pub reserved: [u16; 3],
}

/// Which packets are traced; all zero lets every packet through. The parts are joined with *and*.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Filter {
    /// One of the `PROTOCOL_…` constants of this type, or 0 for any.
    pub protocol: u32,
    /// How many of `hosts` are set.
    pub host_count: u32,
    /// How many of `ports` are set.
    pub port_count: u32,
    /// Ports, each the packet's source or destination port.
    pub ports: [u16; MAX_ENDS],
    /// Hosts, each the packet's source or destination.
    pub hosts: [Host; MAX_ENDS],
}

impl Filter {
    /// Any protocol.
    pub const PROTOCOL_ANY: u32 = 0;
    /// ICMP, which is of IPv4, as with tcpdump.
    pub const PROTOCOL_ICMP: u32 = 1;
    /// TCP.
    pub const PROTOCOL_TCP: u32 = 2;
    /// UDP.
    pub const PROTOCOL_UDP: u32 = 3;
    /// ARP.
    pub const PROTOCOL_ARP: u32 = 4;
    /// ICMP over IPv6, neighbour discovery included.
    pub const PROTOCOL_ICMP6: u32 = 5;

    /// Whether `packet` is to be traced. As with tcpdump, a fragment without the transport header has no ports.
    #[inline(always)]
    pub fn matches<R: Reader>(&self, reader: &R, packet: &Packet) -> bool {
        self.protocol_matches(packet) && self.hosts_match(reader, packet) && self.ports_match(reader, packet)
    }

    #[inline(always)]
    const fn protocol_matches(&self, packet: &Packet) -> bool {
        let ip = packet.ether_type != ETHERTYPE_ARP;
        match self.protocol {
            Self::PROTOCOL_ANY => true,
            Self::PROTOCOL_ICMP => packet.ether_type == ETHERTYPE_IPV4 && packet.protocol == PROTOCOL_ICMP,
            Self::PROTOCOL_ICMP6 => packet.ether_type == ETHERTYPE_IPV6 && packet.protocol == PROTOCOL_ICMPV6,
            Self::PROTOCOL_TCP => ip && packet.protocol == PROTOCOL_TCP,
            Self::PROTOCOL_UDP => ip && packet.protocol == PROTOCOL_UDP,
            _ => !ip,
        }
    }

    #[inline(always)]
    fn hosts_match<R: Reader>(&self, reader: &R, packet: &Packet) -> bool {
        if self.host_count == 0 {
            return true;
        }
        let Some((source, destination)) = addresses(reader, packet) else { return false };
        let [first, second] = &self.hosts;
        let is = |host: &Host| {
            (host.ether_type == packet.ether_type
                || (host.ether_type == ETHERTYPE_IPV4 && packet.ether_type == ETHERTYPE_ARP))
                && (host.address == source || host.address == destination)
        };
        is(first) && (self.host_count < 2 || is(second))
    }

    #[inline(always)]
    fn ports_match<R: Reader>(&self, reader: &R, packet: &Packet) -> bool {
        if self.port_count == 0 {
            return true;
        }
        let has_ports = packet.ether_type != ETHERTYPE_ARP
            && packet.fragment_tail == 0
            && matches!(packet.protocol, PROTOCOL_TCP | PROTOCOL_UDP | crate::packet::PROTOCOL_SCTP);
        if !has_ports {
            return false;
        }
        let Some(window) = reader.window(packet.l4_offset, 4) else { return false };
        let (source, destination) = (window.u16_be(0), window.u16_be(2));
        let [first, second] = self.ports;
        let is = |port: u16| port == source || port == destination;
        is(first) && (self.port_count < 2 || is(second))
    }
}

/// Source and destination address (of ARP: the sender's and the target's protocol address).
#[inline(always)]
pub fn addresses<R: Reader>(reader: &R, packet: &Packet) -> Option<([u64; 2], [u64; 2])> {
    match packet.ether_type {
        ETHERTYPE_IPV4 => {
            let window = reader.window(packet.l3_offset, 20)?;
            Some(([u64::from(window.u32(12)), 0], [u64::from(window.u32(16)), 0]))
        }
        ETHERTYPE_IPV6 => {
            let window = reader.window(packet.l3_offset, 40)?;
            Some(([window.u64(8), window.u64(16)], [window.u64(24), window.u64(32)]))
        }
        _ => {
            let window = reader.window(packet.l3_offset, 28)?;
            Some(([u64::from(window.u32(14)), 0], [u64::from(window.u32(24)), 0]))
        }
    }
}

const _: () = assert!(size_of::<Filter>() == 64);
