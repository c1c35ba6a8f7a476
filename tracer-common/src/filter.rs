//! The packet filter: protocol, hosts and ports.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::packet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_RARP, PROTOCOL_ICMP, PROTOCOL_ICMPV6,
    PROTOCOL_IGMP, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_VRRP, Packet, Reader, Window,
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

/// That a protocol is one of IP, whose number is in the lowest byte.
const IP: u32 = 0x100;

/// The part of a filter's protocol that says which IP protocol it is.
const fn ip(protocol: u8) -> u32 {
    IP | protocol as u32
}

/// The part that says which EtherType packets have.
const fn of(ether_type: u16) -> u32 {
    (ether_type as u32) << 16
}

impl Filter {
    /// Any protocol.
    pub const PROTOCOL_ANY: u32 = 0;
    /// ICMP, which is of IPv4, as with tcpdump.
    pub const PROTOCOL_ICMP: u32 = of(ETHERTYPE_IPV4) | ip(PROTOCOL_ICMP);
    /// ICMP over IPv6, neighbour discovery included.
    pub const PROTOCOL_ICMP6: u32 = of(ETHERTYPE_IPV6) | ip(PROTOCOL_ICMPV6);
    /// IGMP, which is of IPv4.
    pub const PROTOCOL_IGMP: u32 = of(ETHERTYPE_IPV4) | ip(PROTOCOL_IGMP);
    /// TCP.
    pub const PROTOCOL_TCP: u32 = ip(PROTOCOL_TCP);
    /// UDP.
    pub const PROTOCOL_UDP: u32 = ip(PROTOCOL_UDP);
    /// SCTP.
    pub const PROTOCOL_SCTP: u32 = ip(PROTOCOL_SCTP);
    /// VRRP.
    pub const PROTOCOL_VRRP: u32 = ip(PROTOCOL_VRRP);
    /// ARP.
    pub const PROTOCOL_ARP: u32 = of(ETHERTYPE_ARP);
    /// RARP.
    pub const PROTOCOL_RARP: u32 = of(ETHERTYPE_RARP);

    /// Another protocol of IP, in both families.
    #[must_use]
    pub const fn protocol_of_ip(protocol: u8) -> u32 {
        ip(protocol)
    }

    /// Whether it asks for packets that go to groups: it names a group's address, or that of all (an IPv4 one from 224.0.0.0 on that is not reserved, or
    /// an IPv6 one that begins with ff), or a protocol whose packets go there.
    #[must_use]
    pub fn asks_for_group(&self) -> bool {
        const EIGRP: u32 = ip(88);
        const OSPF: u32 = ip(89);
        const PIM: u32 = ip(103);
        if matches!(self.protocol, Self::PROTOCOL_IGMP | Self::PROTOCOL_VRRP | EIGRP | OSPF | PIM) {
            return true;
        }
        let is_group = |host: &Host| {
            let first = host.address[0] & 0xff;
            if host.ether_type == ETHERTYPE_IPV4 {
                first & 0xf0 == 0xe0 || host.address[0] == 0xffff_ffff
            } else {
                first == 0xff
            }
        };
        self.hosts.iter().take(self.host_count as usize).any(is_group)
    }

    /// Whether `packet` is to be traced. As with tcpdump, a fragment without the transport header has no ports.
    #[inline(always)]
    pub fn matches<R: Reader>(&self, reader: &R, packet: &Packet) -> bool {
        self.protocol_matches(packet) && self.hosts_match(reader, packet) && self.ports_match(reader, packet)
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the parts of the number")]
    const fn protocol_matches(&self, packet: &Packet) -> bool {
        let ether_type = (self.protocol >> 16) as u16;
        (ether_type == 0 || ether_type == packet.ether_type)
            && (self.protocol & IP == 0 || (packet.is_ip() && packet.protocol == self.protocol as u8))
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
        let has_ports =
            packet.has_transport() && matches!(packet.protocol, PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP);
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

/// Source and destination address (of ARP and RARP: the sender's and the target's protocol address).
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
