//! Which packets the filter lets through.

use hoptrace_common::{
    filter::{Filter, Host, addresses},
    packet::{Frame, parse},
};

use crate::{
    frames::{
        FRAGMENT, GUEST_V4, GUEST_V6, HOST_V4, HOST_V6, ICMP, ICMPV6, Ipv4, Ipv6, L3, Tcp, arp, echo, other,
        payload, sctp, udp, untagged,
    },
    strict::StrictReader,
};

const ELSEWHERE_V4: [u8; 4] = [192, 0, 2, 1];

fn host_v4(address: [u8; 4]) -> Host {
    Host { address: [u64::from(u32::from_le_bytes(address)), 0], ether_type: 0x0800, ..Host::default() }
}

fn host_v6(address: [u8; 16]) -> Host {
    let (low, high) = address.split_at(8);
    let half = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    Host { address: [half(low), half(high)], ether_type: 0x86dd, ..Host::default() }
}

fn with_hosts(hosts: &[Host]) -> Filter {
    let mut filter = Filter { host_count: u32::try_from(hosts.len()).unwrap(), ..Filter::default() };
    filter.hosts[..hosts.len()].copy_from_slice(hosts);
    filter
}

fn with_ports(ports: &[u16]) -> Filter {
    let mut filter = Filter { port_count: u32::try_from(ports.len()).unwrap(), ..Filter::default() };
    filter.ports[..ports.len()].copy_from_slice(ports);
    filter
}

fn passes(filter: Filter, l3: &L3) -> bool {
    let frame = untagged(l3).bytes;
    let reader = StrictReader(&frame);
    let packet = parse(&reader, &Frame::read(&reader).unwrap()).unwrap();
    filter.matches(&reader, &packet)
}

fn v4(segment: &crate::frames::Segment) -> L3 {
    Ipv4::default().packet(segment)
}

fn v6(segment: &crate::frames::Segment) -> L3 {
    Ipv6::default().packet(segment)
}

#[test]
fn an_empty_filter_lets_everything_through() {
    for (name, l3) in crate::frames::every_kind() {
        assert!(passes(Filter::default(), &l3), "{name}");
    }
}

#[test]
fn protocols() {
    let tcp = Tcp::default().segment();
    let datagram = udp(1, 2, &[]);
    let packets = [
        (Filter::PROTOCOL_TCP, v4(&tcp)),
        (Filter::PROTOCOL_TCP, v6(&tcp)),
        (Filter::PROTOCOL_UDP, v4(&datagram)),
        (Filter::PROTOCOL_UDP, v6(&datagram)),
        (Filter::PROTOCOL_ICMP, v4(&echo(ICMP, 8, 1, 1))),
        (Filter::PROTOCOL_ICMP6, v6(&echo(ICMPV6, 128, 1, 1))),
        (Filter::PROTOCOL_ARP, arp(1, GUEST_V4, HOST_V4)),
    ];
    let all = [
        Filter::PROTOCOL_TCP,
        Filter::PROTOCOL_UDP,
        Filter::PROTOCOL_ICMP,
        Filter::PROTOCOL_ICMP6,
        Filter::PROTOCOL_ARP,
    ];
    for (own, l3) in &packets {
        for protocol in all {
            let filter = Filter { protocol, ..Filter::default() };
            assert_eq!(passes(filter, l3), protocol == *own, "filter {protocol}, packet {own}");
        }
    }
    for protocol in all {
        assert!(!passes(Filter { protocol, ..Filter::default() }, &v4(&other(&payload(20)))));
    }
}

#[test]
fn hosts_are_either_end() {
    let packet = v4(&udp(1, 2, &[]));
    assert!(passes(with_hosts(&[host_v4(HOST_V4)]), &packet));
    assert!(passes(with_hosts(&[host_v4(GUEST_V4)]), &packet));
    assert!(!passes(with_hosts(&[host_v4(ELSEWHERE_V4)]), &packet));
    assert!(passes(with_hosts(&[host_v4(GUEST_V4), host_v4(HOST_V4)]), &packet));
    assert!(!passes(with_hosts(&[host_v4(GUEST_V4), host_v4(ELSEWHERE_V4)]), &packet));
    assert!(!passes(with_hosts(&[host_v4(ELSEWHERE_V4), host_v4(GUEST_V4)]), &packet));

    let packet = v6(&udp(1, 2, &[]));
    assert!(passes(with_hosts(&[host_v6(HOST_V6)]), &packet));
    assert!(passes(with_hosts(&[host_v6(GUEST_V6), host_v6(HOST_V6)]), &packet));
    for at in 0..16 {
        let mut near = HOST_V6;
        near[at] ^= 1;
        assert!(!passes(with_hosts(&[host_v6(near)]), &packet), "byte {at}");
    }
}

#[test]
fn a_host_is_met_in_its_own_family_only() {
    // The IPv6 address begins with the bytes of the IPv4 one and is zero behind them.
    let mut mixed = [0; 16];
    mixed[..4].copy_from_slice(&HOST_V4);
    let packet = Ipv6 { source: mixed, ..Ipv6::default() }.packet(&udp(1, 2, &[]));
    assert!(!passes(with_hosts(&[host_v4(HOST_V4)]), &packet));
    assert!(passes(with_hosts(&[host_v6(mixed)]), &packet));
    assert!(!passes(with_hosts(&[host_v6(mixed)]), &v4(&udp(1, 2, &[]))));
    assert!(!passes(with_hosts(&[host_v6(mixed)]), &arp(1, HOST_V4, GUEST_V4)));
}

#[test]
fn arp_belongs_to_the_addresses_it_is_about() {
    let request = arp(1, GUEST_V4, HOST_V4);
    assert!(passes(with_hosts(&[host_v4(GUEST_V4)]), &request));
    assert!(passes(with_hosts(&[host_v4(HOST_V4), host_v4(GUEST_V4)]), &request));
    assert!(!passes(with_hosts(&[host_v4(ELSEWHERE_V4)]), &request));
    // It has no ports.
    assert!(!passes(with_ports(&[0]), &request));
}

#[test]
fn ports_are_either_end() {
    let tcp = Tcp { source: 40_000, destination: 443, ..Tcp::default() }.segment();
    for packet in [v4(&tcp), v6(&tcp), v4(&udp(40_000, 443, &[])), v6(&udp(40_000, 443, &[]))] {
        assert!(passes(with_ports(&[443]), &packet));
        assert!(passes(with_ports(&[40_000]), &packet));
        assert!(passes(with_ports(&[443, 40_000]), &packet));
        assert!(!passes(with_ports(&[444]), &packet));
        assert!(!passes(with_ports(&[443, 444]), &packet));
        assert!(!passes(with_ports(&[0xbb01]), &packet), "the other byte order");
    }
    assert!(passes(with_ports(&[0x0b59]), &v4(&sctp([0x0b, 0x59, 0x9c, 0x40], [9, 8, 7, 6], &payload(28)))));
    // Echo's type and code stand where ports would, and say nothing about them.
    assert!(!passes(with_ports(&[0x0800]), &v4(&echo(ICMP, 8, 1, 1))));
    assert!(!passes(with_ports(&[u16::from_be_bytes([11, 48])]), &v4(&other(&payload(20)))));
}

#[test]
fn fragment_tails_have_hosts_and_a_protocol_but_no_ports() {
    let datagram = udp(5000, 53, &payload(64));
    let first = Ipv4 { more_fragments: true, ..Ipv4::default() }.packet(&datagram);
    let tail = Ipv4 { fragment_offset: 4, ..Ipv4::default() }.packet(&datagram);
    let extensions = vec![(FRAGMENT, 8)];
    let first_v6 = Ipv6 { extensions: extensions.clone(), ..Ipv6::default() }.packet(&datagram);
    let tail_v6 = Ipv6 { extensions, fragment_offset: 4, ..Ipv6::default() }.packet(&datagram);
    let udp_only = Filter { protocol: Filter::PROTOCOL_UDP, ..Filter::default() };
    for (first, tail, host) in [(&first, &tail, host_v4(HOST_V4)), (&first_v6, &tail_v6, host_v6(HOST_V6))] {
        assert!(passes(with_ports(&[53]), first));
        assert!(!passes(with_ports(&[53]), tail));
        assert!(passes(udp_only, tail));
        assert!(passes(with_hosts(&[host]), tail));
    }
}

#[test]
fn parts_are_joined_with_and() {
    let filter = Filter {
        protocol: Filter::PROTOCOL_TCP,
        host_count: 1,
        port_count: 1,
        ports: [443, 0],
        hosts: [host_v4(GUEST_V4), Host::default()],
    };
    let tcp = Tcp::default();
    assert!(passes(filter, &v4(&tcp.segment())));
    assert!(!passes(filter, &v6(&tcp.segment())));
    assert!(!passes(filter, &v4(&udp(40_000, 443, &[]))));
    assert!(!passes(filter, &v4(&Tcp { destination: 80, ..tcp.clone() }.segment())));
    assert!(!passes(filter, &Ipv4 { destination: ELSEWHERE_V4, ..Ipv4::default() }.packet(&tcp.segment())));
}

#[test]
fn addresses_are_told_as_they_are_in_memory() {
    let tell = |l3: &L3| {
        let frame = untagged(l3).bytes;
        let reader = StrictReader(&frame);
        let packet = parse(&reader, &Frame::read(&reader).unwrap()).unwrap();
        addresses(&reader, &packet).unwrap()
    };
    let expected = (host_v4(HOST_V4).address, host_v4(GUEST_V4).address);
    assert_eq!(tell(&v4(&udp(1, 2, &[]))), expected);
    assert_eq!(tell(&arp(1, HOST_V4, GUEST_V4)), expected);
    assert_eq!(tell(&v6(&udp(1, 2, &[]))), (host_v6(HOST_V6).address, host_v6(GUEST_V6).address));
}
