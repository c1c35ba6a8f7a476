//! Headers, with their checksums.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Who sends to whom.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// MAC addresses of the sender and of the receiver.
    pub macs: [[u8; 6]; 2],
    /// Their IPv4 addresses.
    pub ipv4: [Ipv4Addr; 2],
    /// Their IPv6 addresses.
    pub ipv6: [Ipv6Addr; 2],
}

/// IP protocols.
pub(super) mod protocol {
    pub(in crate::frames) const ICMP: u8 = 1;
    pub(in crate::frames) const IPIP: u8 = 4;
    pub(in crate::frames) const TCP: u8 = 6;
    pub(in crate::frames) const UDP: u8 = 17;
    pub(in crate::frames) const DCCP: u8 = 33;
    pub(in crate::frames) const IPV6: u8 = 41;
    pub(in crate::frames) const RSVP: u8 = 46;
    pub(in crate::frames) const GRE: u8 = 47;
    pub(in crate::frames) const ESP: u8 = 50;
    pub(in crate::frames) const AH: u8 = 51;
    pub(in crate::frames) const ICMPV6: u8 = 58;
    pub(in crate::frames) const DESTINATION_OPTIONS: u8 = 60;
    pub(in crate::frames) const OSPF: u8 = 89;
    pub(in crate::frames) const L2TP: u8 = 115;
    pub(in crate::frames) const SCTP: u8 = 132;
    pub(in crate::frames) const UDP_LITE: u8 = 136;
}

impl Ends {
    /// A frame.
    pub(super) fn ethernet(&self, ether_type: u16, payload: &[u8]) -> Vec<u8> {
        let [from, to] = self.macs;
        [&to[..], &from, &ether_type.to_be_bytes(), payload].concat()
    }

    /// A frame with an IPv4 packet without a number (IP-ID 0), which must not be fragmented.
    pub(super) fn ipv4(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        self.ethernet(0x0800, &self.bare_ipv4(protocol, 0, 0x4000, payload))
    }

    /// An IPv4 packet. `fragment` is its word of flags and offset.
    pub(super) fn bare_ipv4(&self, protocol: u8, id: u16, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut header = vec![0x45, 0];
        header.extend(length(20 + payload.len()));
        header.extend(id.to_be_bytes());
        header.extend(fragment.to_be_bytes());
        header.extend([64, protocol, 0, 0]);
        header.extend(self.ipv4.iter().flat_map(Ipv4Addr::octets));
        let sum = checksum(&[&header]).to_be_bytes();
        header.splice(10..12, sum);
        [header, payload.to_vec()].concat()
    }

    /// A frame with an IPv6 packet.
    pub(super) fn ipv6(&self, next: u8, payload: &[u8]) -> Vec<u8> {
        self.ethernet(0x86dd, &self.bare_ipv6(next, payload))
    }

    /// An IPv6 packet.
    pub(super) fn bare_ipv6(&self, next: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(length(payload.len()));
        header.extend([next, 64]);
        header.extend(self.ipv6.iter().flat_map(Ipv6Addr::octets));
        [header, payload.to_vec()].concat()
    }

    /// What transport checksums cover of the IP header.
    fn pseudo(&self, is_v6: bool, protocol: u8, payload: usize) -> Vec<u8> {
        let mut pseudo: Vec<u8> = if is_v6 {
            self.ipv6.iter().flat_map(Ipv6Addr::octets).collect()
        } else {
            self.ipv4.iter().flat_map(Ipv4Addr::octets).collect()
        };
        pseudo.extend([0, protocol]);
        pseudo.extend(length(payload));
        pseudo
    }

    /// `segment` with its checksum at byte `place`.
    fn summed(&self, is_v6: bool, protocol: u8, mut segment: Vec<u8>, place: usize) -> Vec<u8> {
        let pseudo = self.pseudo(is_v6, protocol, segment.len());
        let sum = checksum(&[&pseudo, &segment]).to_be_bytes();
        segment.splice(place..place + 2, sum);
        segment
    }

    /// A datagram, without a frame.
    pub(super) fn bare_udp(&self, is_v6: bool, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
        let mut datagram: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
        datagram.extend(length(8 + payload.len()));
        datagram.extend([0, 0]);
        datagram.extend(payload);
        self.summed(is_v6, protocol::UDP, datagram, 6)
    }

    /// A frame with a datagram.
    pub(super) fn udp(&self, is_v6: bool, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
        self.ip(is_v6, protocol::UDP, &self.bare_udp(is_v6, ports, payload))
    }

    /// A frame with a TCP segment without options.
    pub(super) fn tcp(
        &self,
        is_v6: bool,
        ports: [u16; 2],
        numbers: [u32; 2],
        flags: u8,
        data: &[u8],
    ) -> Vec<u8> {
        let mut segment: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
        segment.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        segment.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        segment.extend(data);
        self.ip(is_v6, protocol::TCP, &self.summed(is_v6, protocol::TCP, segment, 16))
    }

    /// A frame with an ICMP message, for IPv6 one of its own.
    pub(super) fn icmp(&self, is_v6: bool, kind: [u8; 2], rest: &[u8]) -> Vec<u8> {
        let message = [&kind[..], &[0, 0], rest].concat();
        if is_v6 {
            return self.ipv6(protocol::ICMPV6, &self.summed(true, protocol::ICMPV6, message, 2));
        }
        let sum = checksum(&[&message]).to_be_bytes();
        let mut message = message;
        message.splice(2..4, sum);
        self.ipv4(protocol::ICMP, &message)
    }

    /// A frame with an IP packet of either version.
    pub(super) fn ip(&self, is_v6: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
        if is_v6 { self.ipv6(protocol, payload) } else { self.ipv4(protocol, payload) }
    }

    /// The same the other way round.
    #[must_use]
    pub fn back(&self) -> Self {
        let swap = |[one, other]: [[u8; 6]; 2]| [other, one];
        let ([one, other], [six, seven]) = (self.ipv4, self.ipv6);
        Self { macs: swap(self.macs), ipv4: [other, one], ipv6: [seven, six] }
    }
}

/// A length of 16 bits; those here are small.
fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

/// The Internet checksum of some bytes, one part after the other; all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.iter().flat_map(|part| part.iter()).copied().map(u32::from);
    let sum: u32 = bytes.enumerate().map(|(place, byte)| if place % 2 == 0 { byte << 8 } else { byte }).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}
