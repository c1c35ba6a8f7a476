//! Frames of every kind the parser knows, built from the inside out.

use crate::bytes::{Bytes, Free, Hashed, Structure};

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const SCTP: u8 = 132;
/// GRE: a protocol the parser knows nothing about.
pub(crate) const GRE: u8 = 47;

pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const AUTHENTICATION: u8 = 51;
pub(crate) const DESTINATION: u8 = 60;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;
pub(crate) const ECE: u8 = 0x40;
pub(crate) const CWR: u8 = 0x80;

pub(crate) const HOST_V4: [u8; 4] = [198, 51, 100, 7];
pub(crate) const GUEST_V4: [u8; 4] = [10, 0, 0, 9];
pub(crate) const HOST_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
pub(crate) const GUEST_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0xf8, 0x16, 0x3e, 0xff, 0xfe, 1, 2, 3];

/// A transport segment, to be wrapped in IP.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) protocol: u8,
    pub(crate) bytes: Bytes,
}

/// Bytes that differ from each other.
pub(crate) fn payload(len: usize) -> Vec<u8> {
    (0_u8..=255).cycle().map(|byte| byte.wrapping_mul(37).wrapping_add(11)).take(len).collect()
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Segment {
    let mut bytes = Bytes::default();
    bytes.put(&source.to_be_bytes(), Hashed).put(&destination.to_be_bytes(), Hashed);
    // The length: that of the first piece of a datagram is another one.
    bytes.put(&u16::try_from(8 + payload.len()).unwrap().to_be_bytes(), Free);
    bytes.put(&[0xbe, 0xef], Free).put_payload(payload);
    Segment { protocol: UDP, bytes }
}

/// A TCP header.
#[derive(Debug, Clone)]
pub(crate) struct Tcp {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            source: 40_000,
            destination: 443,
            seq: 0x1020_3040,
            ack: 0x5060_7080,
            flags: ACK,
            options: Vec::new(),
            payload: payload(24),
        }
    }
}

impl Tcp {
    pub(crate) fn segment(&self) -> Segment {
        assert!(self.options.len() <= 40 && self.options.len().is_multiple_of(4));
        let mut bytes = Bytes::default();
        bytes.put(&self.source.to_be_bytes(), Hashed).put(&self.destination.to_be_bytes(), Hashed);
        bytes.put(&self.seq.to_be_bytes(), Hashed).put(&self.ack.to_be_bytes(), Hashed);
        bytes.put(&[u8::try_from(20 + self.options.len()).unwrap() << 2], Structure);
        // A SYN's options are not hashed, so its flag says how to read the rest.
        // Firewalls take ECN out of a handshake.
        let stay = RST | ACK | URG | if self.flags & SYN == 0 { ECE } else { 0 };
        let is_bare = self.payload.is_empty() && self.flags & SYN == 0;
        let (hashed, free) = if is_bare { (!SYN, 0) } else { (stay, FIN | PSH | CWR | (ECE & !stay)) };
        bytes.put_bits(self.flags, hashed, free);
        // Window, checksum, urgent pointer.
        bytes.put(&[0x72, 0x10], if is_bare { Hashed } else { Free });
        bytes.put(&[0xab, 0xcd], Free).put(&[0, 0], Structure);
        // Firewalls clamp the MSS of a SYN.
        bytes.put(&self.options, if self.flags & SYN == 0 { Hashed } else { Free });
        bytes.put(&self.payload, Structure);
        Segment { protocol: TCP, bytes }
    }
}

pub(crate) const MSS: [u8; 4] = [2, 4, 0x05, 0xb4];
pub(crate) const SACK_PERMITTED_AND_TIMESTAMP: [u8; 12] = [4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0];
pub(crate) const TIMESTAMP: [u8; 12] = [1, 1, 8, 10, 0x01, 0x22, 0x33, 0x44, 0x05, 0x66, 0x77, 0x88];

/// `NOP NOP SACK` with `blocks` blocks.
pub(crate) fn sack(blocks: u8) -> Vec<u8> {
    let mut options = vec![1, 1, 5, 2 + 8 * blocks];
    for edge in 0..u32::from(blocks) * 2 {
        options.extend((0x0bad_0000 + edge * 1448).to_be_bytes());
    }
    options
}

/// An ICMP or `ICMPv6` message with `rest` behind the checksum.
pub(crate) fn icmp(protocol: u8, kind: u8, code: u8, rest: &[u8]) -> Segment {
    let mut bytes = Bytes::default();
    let (head, payload) = rest.split_at(4);
    bytes.put(&[kind, code], Hashed).put(&[0x12, 0x34], Free).put(head, Hashed).put_payload(payload);
    Segment { protocol, bytes }
}

/// An echo message with id and sequence number.
pub(crate) fn echo(protocol: u8, kind: u8, id: u16, seq: u16) -> Segment {
    let mut rest = Vec::from(id.to_be_bytes());
    rest.extend(seq.to_be_bytes());
    rest.extend(payload(48));
    icmp(protocol, kind, 0, &rest)
}

/// A neighbour solicitation (135) or advertisement (136) with a link-layer address option.
pub(crate) fn neighbour(kind: u8, target: [u8; 16]) -> Segment {
    let mut rest = vec![0; 4];
    rest.extend(target);
    rest.extend([1, 1, 0xfa, 0x16, 0x3e, 1, 2, 3]);
    icmp(ICMPV6, kind, 0, &rest)
}

/// An SCTP packet: both ports, the verification tag, and chunks.
pub(crate) fn sctp(ports: [u8; 4], tag: [u8; 4], chunks: &[u8]) -> Segment {
    let mut bytes = Bytes::default();
    bytes.put(&ports, Hashed).put(&tag, Hashed).put(&[0xcc; 4], Free).put_payload(chunks);
    Segment { protocol: SCTP, bytes }
}

/// Something the parser has no name for.
pub(crate) fn other(payload: &[u8]) -> Segment {
    let mut bytes = Bytes::default();
    bytes.put_payload(payload);
    Segment { protocol: GRE, bytes }
}

/// An IPv4 header.
#[derive(Debug, Clone)]
pub(crate) struct Ipv4 {
    pub(crate) source: [u8; 4],
    pub(crate) destination: [u8; 4],
    pub(crate) id: u16,
    /// In units of eight bytes.
    pub(crate) fragment_offset: u16,
    pub(crate) more_fragments: bool,
    pub(crate) options: Vec<u8>,
}

impl Default for Ipv4 {
    fn default() -> Self {
        Self {
            source: HOST_V4,
            destination: GUEST_V4,
            id: 0x4321,
            fragment_offset: 0,
            more_fragments: false,
            options: Vec::new(),
        }
    }
}

impl Ipv4 {
    pub(crate) fn packet(&self, segment: &Segment) -> L3 {
        let header_len = 20 + self.options.len();
        let mut bytes = Bytes::default();
        bytes.put(&[0x40 | u8::try_from(header_len / 4).unwrap()], Structure).put(&[0x48], Free);
        bytes.put(&u16::try_from(header_len + segment.bytes.len()).unwrap().to_be_bytes(), Structure);
        bytes.put(&self.id.to_be_bytes(), Hashed);
        let [high, low] =
            (self.fragment_offset | if self.more_fragments { 0x2000 } else { 0x4000 }).to_be_bytes();
        bytes.put_bits(high, 0x1f, 0).put(&[low], Hashed);
        bytes.put(&[64], Free).put(&[segment.protocol], Hashed).put(&[0x11, 0x22], Free);
        bytes.put(&self.source, Hashed).put(&self.destination, Hashed).put(&self.options, Structure);
        if self.fragment_offset == 0 {
            let below = segment.bytes.clone();
            bytes.append(&if self.id == 0 { below.below_weak() } else { below });
        } else {
            bytes.append(&segment.bytes.clone().not_covered());
        }
        L3 { ether_type: 0x0800, bytes }
    }
}

/// An IPv6 header and what stands between it and the transport header.
#[derive(Debug, Clone)]
pub(crate) struct Ipv6 {
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    pub(crate) flow_label: u32,
    /// Kinds of the extension headers, and the length of each in bytes.
    pub(crate) extensions: Vec<(u8, usize)>,
    /// In units of eight bytes, in every fragment header of the chain.
    pub(crate) fragment_offset: u16,
}

impl Default for Ipv6 {
    fn default() -> Self {
        Self {
            source: HOST_V6,
            destination: GUEST_V6,
            flow_label: 0xa_bcde,
            extensions: Vec::new(),
            fragment_offset: 0,
        }
    }
}

impl Ipv6 {
    pub(crate) fn packet(&self, segment: &Segment) -> L3 {
        let mut behind = Bytes::default();
        let next_headers = self.extensions.iter().skip(1).map(|(kind, _)| *kind).chain([segment.protocol]);
        for ((kind, len), next) in self.extensions.iter().zip(next_headers) {
            self.put_extension(&mut behind, *kind, *len, next);
        }
        if self.fragment_offset == 0 {
            behind.append(&segment.bytes.clone().below_weak());
        } else {
            behind.put_head(&segment.bytes.bytes, 160);
        }

        let mut bytes = Bytes::default();
        let [_, label_high, label_middle, label_low] = self.flow_label.to_be_bytes();
        // Version, traffic class, flow label.
        bytes.put_bits(0x64, 0, 0x0f).put_bits(0x80 | label_high, 0x0f, 0xf0);
        bytes.put(&[label_middle, label_low], Hashed);
        bytes.put(&u16::try_from(behind.len()).unwrap().to_be_bytes(), Structure);
        let first = self.extensions.first().map_or(segment.protocol, |(kind, _)| *kind);
        bytes.put(&[first], if self.extensions.is_empty() { Hashed } else { Structure });
        bytes.put(&[64], Free).put(&self.source, Hashed).put(&self.destination, Hashed);
        bytes.append(&behind);
        L3 { ether_type: 0x86dd, bytes }
    }

    fn put_extension(&self, bytes: &mut Bytes, kind: u8, len: usize, next: u8) {
        // Which of the chain's next-header fields names the protocol depends on the chain.
        bytes.put(&[next], Structure);
        if kind == FRAGMENT {
            assert_eq!(len, 8);
            let [high, low] = (self.fragment_offset << 3 | 1).to_be_bytes();
            bytes.put(&[0], Structure).put(&[high], Hashed).put_bits(low, 0xf8, 0);
            bytes.put(&[0xde, 0xad, 0xbe, 0xa7], Free);
            return;
        }
        let words = if kind == AUTHENTICATION { len / 4 - 2 } else { len / 8 - 1 };
        bytes.put(&[u8::try_from(words).unwrap()], Structure).put(&vec![0; len - 2], Structure);
    }
}

/// A network packet, to be wrapped in Ethernet.
#[derive(Debug, Clone)]
pub(crate) struct L3 {
    pub(crate) ether_type: u16,
    pub(crate) bytes: Bytes,
}

pub(crate) fn arp(operation: u16, spa: [u8; 4], tpa: [u8; 4]) -> L3 {
    let mut bytes = Bytes::default();
    bytes.put(&[0, 1, 8, 0, 6, 4], Structure).put(&operation.to_be_bytes(), Hashed);
    bytes.put(&[0xfa, 0x16, 0x3e, 1, 2, 3], Hashed).put(&spa, Hashed);
    // The target's hardware address is not part of it.
    bytes.put(&[0; 6], Structure).put(&tpa, Hashed);
    L3 { ether_type: 0x0806, bytes }
}

/// Wraps a packet in Ethernet with VLAN tags (tag protocol, tag control information) and trailing padding.
pub(crate) fn frame(l3: &L3, tags: &[(u16, u16)], padding: &[u8]) -> Bytes {
    let mut bytes = Bytes::default();
    bytes.put(&[0xfa, 0x16, 0x3e, 1, 2, 3], Free).put(&[0x52, 0x54, 0, 4, 5, 6], Free);
    for (protocol, control) in tags {
        bytes.put(&protocol.to_be_bytes(), Structure).put(&control.to_be_bytes(), Free);
    }
    bytes.put(&l3.ether_type.to_be_bytes(), Hashed).append(&l3.bytes).put(padding, Free);
    bytes
}

pub(crate) fn untagged(l3: &L3) -> Bytes {
    frame(l3, &[], &[])
}

/// One packet of every kind, with its name.
pub(crate) fn every_kind() -> Vec<(String, L3)> {
    let mut kinds = Vec::new();
    let v4 = Ipv4::default();
    let v4_weak = Ipv4 { id: 0, ..Ipv4::default() };
    let v4_options = Ipv4 { options: vec![0x94, 4, 0, 0, 1, 1, 1, 0], ..Ipv4::default() };
    let v6 = Ipv6::default();
    let v6_extensions =
        Ipv6 { extensions: vec![(HOP_BY_HOP, 8), (ROUTING, 24), (AUTHENTICATION, 24)], ..Ipv6::default() };
    let v6_fragment = Ipv6 { extensions: vec![(DESTINATION, 16), (FRAGMENT, 8)], ..Ipv6::default() };
    for (name, segment) in segments() {
        for (version, l3) in [
            ("IPv4", v4.packet(&segment)),
            ("IPv4 without IP-ID", v4_weak.packet(&segment)),
            ("IPv4 with options", v4_options.packet(&segment)),
            ("IPv6", v6.packet(&segment)),
            ("IPv6 with extension headers", v6_extensions.packet(&segment)),
            ("IPv6 first fragment", v6_fragment.packet(&segment)),
        ] {
            // Without payload its length field says jumbogram (see `malformed`).
            if segment.bytes.len() > 0 || version != "IPv6" {
                kinds.push((format!("{name} over {version}"), l3));
            }
        }
    }
    let datagram = udp(5000, 53, &payload(64));
    let first = Ipv4 { more_fragments: true, ..Ipv4::default() };
    let tail = Ipv4 { fragment_offset: 0x0123, ..first.clone() };
    kinds.push(("IPv4 first fragment".to_owned(), first.packet(&datagram)));
    kinds.push(("IPv4 fragment tail".to_owned(), tail.packet(&datagram)));
    let tail = Ipv6 { extensions: vec![(FRAGMENT, 8)], fragment_offset: 0x0123, ..Ipv6::default() };
    kinds.push(("IPv6 fragment tail".to_owned(), tail.packet(&datagram)));
    kinds.push(("ARP request".to_owned(), arp(1, GUEST_V4, HOST_V4)));
    kinds.push(("ARP reply".to_owned(), arp(2, HOST_V4, GUEST_V4)));
    kinds
}

fn segments() -> Vec<(String, Segment)> {
    let mut segments: Vec<(String, Segment)> = (0..=40)
        .chain([144, 159, 160, 161, 200])
        .map(|len| (format!("UDP with {len} bytes"), udp(5000, 53, &payload(len))))
        .collect();
    segments.extend((0..=20).map(|len| (format!("GRE with {len} bytes"), other(&payload(len)))));
    let options = [
        ("no options", Vec::new()),
        ("timestamp", TIMESTAMP.to_vec()),
        ("one SACK block", sack(1)),
        ("two SACK blocks", sack(2)),
        ("four SACK blocks", sack(4)),
        ("timestamp and a SACK block", [TIMESTAMP.to_vec(), sack(1)].concat()),
        ("timestamp and three SACK blocks", [TIMESTAMP.to_vec(), sack(3)].concat()),
        ("four NOPs", vec![1; 4]),
    ];
    for (name, options) in options {
        segments.push((format!("TCP, {name}"), Tcp { options, ..Tcp::default() }.segment()));
    }
    let syn_options = [&MSS[..], &SACK_PERMITTED_AND_TIMESTAMP].concat();
    for (name, flags) in [("acknowledgement", ACK), ("FIN", ACK | FIN), ("reset", RST)] {
        let bare = Tcp { flags, payload: Vec::new(), ..Tcp::default() };
        segments.push((format!("TCP {name}"), bare.segment()));
    }
    for (name, flags) in [("SYN", SYN), ("SYN-ACK", SYN | ACK)] {
        let syn = Tcp { flags, options: syn_options.clone(), payload: Vec::new(), ..Tcp::default() };
        segments.push((format!("TCP {name}"), syn.segment()));
    }
    segments.push(("ICMP echo request".to_owned(), echo(ICMP, 8, 0x1122, 7)));
    segments.push(("ICMP echo reply".to_owned(), echo(ICMP, 0, 0x1122, 7)));
    segments.push(("ICMP unreachable".to_owned(), icmp(ICMP, 3, 4, &payload(32))));
    segments.push(("ICMPv6 echo request".to_owned(), echo(ICMPV6, 128, 0x1122, 7)));
    segments.push(("ICMPv6 echo reply".to_owned(), echo(ICMPV6, 129, 0x1122, 7)));
    segments.push(("neighbour solicitation".to_owned(), neighbour(135, GUEST_V6)));
    segments.push(("neighbour advertisement".to_owned(), neighbour(136, GUEST_V6)));
    segments.push(("router solicitation".to_owned(), icmp(ICMPV6, 133, 0, &payload(12))));
    segments.push(("SCTP".to_owned(), sctp([0x0b, 0x59, 0x9c, 0x40], [9, 8, 7, 6], &payload(28))));
    segments
}
