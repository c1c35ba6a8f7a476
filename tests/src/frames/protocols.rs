//! What is ordinary on a wire: protocols, with packets that differ where they really do.

use super::build::{Ends, protocol};

/// Frames of one protocol or situation.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// What it is.
    pub name: &'static str,
    /// The frames, in order.
    pub frames: Vec<Vec<u8>>,
}

/// Packets of each, sent at once.
const BURST: u16 = 32;

const ACK: u8 = 0x10;
const PUSH: u8 = 0x08;
const RESET: u8 = 0x04;
const SYN: u8 = 0x02;
const FIN: u8 = 0x01;

fn burst(name: &'static str, frame: impl Fn(u16) -> Vec<u8>) -> Traffic {
    Traffic { name, frames: (0..BURST).map(frame).collect() }
}

/// Bursts of packets that all differ.
#[must_use]
pub fn ordinary(ends: &Ends) -> Vec<Traffic> {
    [datagrams(ends), inside_others(ends), transports(ends), streams(ends), control(ends), headers(ends)]
        .concat()
}

/// UDP from sockets that are not connected, whose packets have no number.
fn datagrams(ends: &Ends) -> Vec<Traffic> {
    let udp = |is_v6, port, payload: Vec<u8>| ends.udp(is_v6, [5555, port], &payload);
    vec![
        burst("syslog", |n| {
            let text =
                format!("<134>1 2026-11-28T12:00:00Z host.example app 4711 - - request {n} was served");
            udp(false, 514, text.into_bytes())
        }),
        burst("SIP", |n| {
            let head =
                "OPTIONS sip:100@sip.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-";
            udp(false, 5060, format!("{head}{n:08}\r\nMax-Forwards: 70\r\n\r\n").into_bytes())
        }),
        burst("sFlow over IPv6", |n| udp(true, 6343, numbered(200, 28, n))),
        burst("NTP", |n| udp(false, 123, numbered(48, 44, n))),
        burst("DNS over IPv6", |n| udp(true, 53, numbered(40, 0, n))),
        burst("RTP", |n| udp(false, 5004, numbered(172, 2, n))),
        burst("QUIC", |n| udp(true, 443, numbered(1200, 10, n))),
        burst("WireGuard", |n| udp(false, 51_820, numbered(128, 8, n))),
        burst("RADIUS", |n| udp(false, 1812, numbered(60, 4, n))),
        burst("StatsD", |n| udp(true, 8125, format!("service.requests.count:{n}|c").into_bytes())),
        burst("datagrams without data from many ports", |n| ends.udp(false, [6000 + n, 7], &[])),
        burst("datagrams of different lengths", |n| udp(true, 7, vec![0; usize::from(n)])),
    ]
}

/// Packets in packets: only the inner ones differ.
fn inside_others(ends: &Ends) -> Vec<Traffic> {
    let inner = |n| {
        let text = format!("the inner packet's own data, number {n}");
        ends.bare_ipv4(protocol::UDP, 0, 0x4000, &ends.bare_udp(false, [5555, 7], text.as_bytes()))
    };
    let inner_frame = |n| ends.ethernet(0x0800, &inner(n));
    let inner_v6 = |n: u16| ends.bare_ipv6(protocol::UDP, &ends.bare_udp(true, [5555, 7], &n.to_be_bytes()));
    vec![
        burst("VXLAN", |n| {
            ends.udp(false, [5555, 4789], &[&[8, 0, 0, 0, 0, 0, 7, 0][..], &inner_frame(n)].concat())
        }),
        burst("Geneve over IPv6", |n| {
            ends.udp(true, [5555, 6081], &[&[0, 0, 0x65, 0x58, 0, 0, 7, 0][..], &inner_frame(n)].concat())
        }),
        burst("GRE", |n| ends.ipv4(protocol::GRE, &[&[0, 0, 8, 0][..], &inner(n)].concat())),
        burst("IP in IP", |n| ends.ipv4(protocol::IPIP, &inner(n))),
        burst("IPv6 in IPv4", |n| ends.ipv4(protocol::IPV6, &inner_v6(n))),
        burst("IPv4 in IPv6", |n| ends.ipv6(protocol::IPIP, &inner(n))),
        burst("L2TPv3", |n| ends.ipv4(protocol::L2TP, &[&[0, 0, 0, 9][..], &inner_frame(n)].concat())),
    ]
}

/// Transports other than TCP and UDP, and what routers say.
fn transports(ends: &Ends) -> Vec<Traffic> {
    vec![
        burst("ESP", |n| ends.ipv4(protocol::ESP, &numbered(96, 6, n))),
        burst("ESP over IPv6", |n| ends.ipv6(protocol::ESP, &numbered(96, 6, n))),
        burst("AH", |n| {
            let mut header = numbered(24, 10, n);
            header.splice(0..2, [protocol::UDP, 4]);
            ends.ipv4(protocol::AH, &[header, ends.bare_udp(false, [5555, 7], b"signed")].concat())
        }),
        burst("SCTP", |n| {
            let mut packet = numbered(44, 18, n);
            packet.splice(0..4, [0x15, 0xb3, 0x0b, 0x59]);
            ends.ipv6(protocol::SCTP, &packet)
        }),
        burst("DCCP", |n| ends.ipv4(protocol::DCCP, &numbered(32, 14, n))),
        burst("UDP-Lite", |n| {
            let mut packet = numbered(100, 60, n);
            packet.splice(4..6, [0, 8]);
            ends.ipv4(protocol::UDP_LITE, &packet)
        }),
        burst("OSPF", |n| ends.ipv4(protocol::OSPF, &numbered(64, 30, n))),
        burst("RSVP", |n| ends.ipv4(protocol::RSVP, &numbered(80, 50, n))),
    ]
}

fn streams(ends: &Ends) -> Vec<Traffic> {
    let ports = [5555, 4321];
    let at = |n: u16, step: u32| 1000 + u32::from(n) * step;
    vec![
        burst("bare acknowledgements", |n| ends.tcp(false, ports, [77, at(n, 1448)], ACK, &[])),
        burst("bare acknowledgements over IPv6", |n| ends.tcp(true, ports, [77, at(n, 1440)], ACK, &[])),
        burst("resets of many connections", |n| ends.tcp(false, [6000 + n, 80], [0, 1], RESET | ACK, &[])),
        burst("resets of one connection", |n| ends.tcp(true, ports, [at(n, 1), 0], RESET, &[])),
        burst("SYNs from many ports", |n| ends.tcp(false, [6000 + n, 80], [5, 0], SYN, &[])),
        burst("data over IPv6 without timestamps", |n| {
            ends.tcp(true, ports, [at(n, 1000), 9], ACK | PUSH, &vec![low(n); 1000])
        }),
        Traffic {
            name: "whole connections over IPv6, the ACK right before the first data",
            frames: (0..8_u16).flat_map(|n| connection(ends, [6000 + n, 80])).collect(),
        },
    ]
}

/// What one side sends: all of it may be on its way at once.
fn connection(ends: &Ends, ports: [u16; 2]) -> Vec<Vec<u8>> {
    vec![
        ends.tcp(true, ports, [100, 0], SYN, &[]),
        ends.tcp(true, ports, [101, 500], ACK, &[]),
        ends.tcp(true, ports, [101, 500], ACK | PUSH, b"GET / HTTP/1.1\r\n\r\n"),
        ends.tcp(true, ports, [119, 900], ACK, &[]),
        ends.tcp(true, ports, [119, 900], ACK | FIN, &[]),
        ends.tcp(true, ports, [120, 901], ACK, &[]),
    ]
}

fn control(ends: &Ends) -> Vec<Traffic> {
    let back = ends.back();
    // What a router or a host could not deliver: the beginning of the other side's packet.
    let quoted =
        |n: u16| back.bare_ipv4(protocol::UDP, 0, 0x4000, &back.bare_udp(false, [7, 6000 + n], b"data"));
    let quoted_v6 = |n: u16| back.bare_ipv6(protocol::UDP, &back.bare_udp(true, [7, 6000 + n], b"data"));
    vec![
        burst("ICMP port unreachable", |n| ends.icmp(false, [3, 3], &[&[0; 4][..], &quoted(n)].concat())),
        burst("ICMP fragmentation needed", |n| {
            ends.icmp(false, [3, 4], &[&[0, 0, 5, 0xdc][..], &quoted(n)].concat())
        }),
        burst("ICMPv6 port unreachable", |n| ends.icmp(true, [1, 4], &[&[0; 4][..], &quoted_v6(n)].concat())),
        burst("ICMPv6 packet too big", |n| {
            ends.icmp(true, [2, 0], &[&[0, 0, 5, 0xdc][..], &quoted_v6(n)].concat())
        }),
        burst("echo replies that nobody asked for", |n| ends.icmp(false, [0, 0], &numbered(60, 2, n))),
        burst("echo replies over IPv6", |n| ends.icmp(true, [129, 0], &numbered(60, 2, n))),
    ]
}

/// Headers before the transport, and fragments.
fn headers(ends: &Ends) -> Vec<Traffic> {
    // Options that say nothing, and are passed over.
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let text = |n: u16| format!("the data behind the headers, number {n}");
    let fragment_v6 = |n: u16, offset: u16, more: u16, data: &[u8]| {
        let mut header = vec![protocol::UDP, 0];
        header.extend((offset | more).to_be_bytes());
        header.extend([0, 0]);
        header.extend((1000 + n).to_be_bytes());
        ends.ipv6(44, &[&header, data].concat())
    };
    vec![
        burst("destination options", |n| {
            let udp = ends.bare_udp(true, [5555, 7], text(n).as_bytes());
            ends.ipv6(protocol::DESTINATION_OPTIONS, &[&options(protocol::UDP)[..], &udp].concat())
        }),
        Traffic {
            name: "fragments of IPv4",
            frames: (0..8_u16)
                .flat_map(|n| {
                    let udp = ends.bare_udp(false, [5555, 7], &vec![low(n); 1000]);
                    let (first, second) = udp.split_at(504);
                    [
                        ends.ethernet(0x0800, &ends.bare_ipv4(protocol::UDP, 1000 + n, 0x2000, first)),
                        ends.ethernet(0x0800, &ends.bare_ipv4(protocol::UDP, 1000 + n, 504 / 8, second)),
                    ]
                })
                .collect(),
        },
        Traffic {
            name: "fragments of IPv6",
            frames: (0..8_u16)
                .flat_map(|n| {
                    let udp = ends.bare_udp(true, [5555, 7], &vec![low(n); 1000]);
                    let (first, second) = udp.split_at(504);
                    [fragment_v6(n, 0, 1, first), fragment_v6(n, 504, 0, second)]
                })
                .collect(),
        },
    ]
}

/// Equal packets, each sent when the one before has long arrived: none looks like another one.
#[must_use]
pub fn periodic(ends: &Ends) -> Vec<Traffic> {
    let equal = |name, frame: Vec<u8>| Traffic { name, frames: vec![frame; 10] };
    let [from, to] = ends.macs;
    let [one, other] = ends.ipv4.map(|address| address.octets());
    let answer = [&[0, 1, 8, 0, 6, 4, 0, 2][..], &from, &one, &to, &other].concat();
    vec![
        equal(
            "BFD",
            ends.udp(false, [49_152, 3784], &[0x20, 0xc0, 3, 24, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xc3, 0x50]),
        ),
        equal("TCP keep-alives over IPv6", ends.tcp(true, [5555, 4321], [76, 1000], ACK, &[])),
        equal("heartbeats over IPv6", ends.udp(true, [5405, 5405], b"I am alive")),
        equal("ARP answers that nobody asked for", ends.ethernet(0x0806, &answer)),
        equal("zero window probes", ends.tcp(false, [5555, 4321], [76, 1000], ACK, &[0])),
    ]
}

/// Equal packets at once: nothing tells them apart, and all arrive.
#[must_use]
pub fn alike(ends: &Ends) -> Vec<Traffic> {
    let equal = |name, frame: Vec<u8>, count: usize| Traffic { name, frames: vec![frame; count] };
    vec![
        equal("duplicate acknowledgements", ends.tcp(true, [5555, 4321], [77, 1000], ACK, &[]), 5),
        equal("a metric sent 40 times", ends.udp(true, [5555, 8125], b"errors:1|c"), 40),
        equal("resets, again and again", ends.tcp(false, [5555, 4321], [77, 0], RESET, &[]), 20),
    ]
}

/// Frames that are no IP and no ARP.
#[must_use]
pub fn without_identity(ends: &Ends) -> Vec<Traffic> {
    vec![
        burst("MPLS", |n| ends.ethernet(0x8847, &numbered(60, 40, n))),
        burst("PPPoE", |n| ends.ethernet(0x8864, &numbered(60, 40, n))),
        burst("an EtherType for experiments", |n| ends.ethernet(0x88b5, &numbered(60, 0, n))),
    ]
}

/// The low byte of a number that is a small one.
fn low<N: TryInto<u8>>(number: N) -> u8 {
    number.try_into().unwrap_or_default()
}

/// `len` bytes which differ from those of another number only at `place`.
fn numbered(len: usize, place: usize, number: u16) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|byte| low(byte * 7 % 251)).collect();
    if let Some(room) = bytes.get_mut(place..place + 2) {
        room.copy_from_slice(&number.to_be_bytes());
    }
    bytes
}
