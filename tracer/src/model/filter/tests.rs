//! Words in, decisions about real packet bytes out.

use hoptrace_common::packet::{
    Frame, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, SliceReader, parse,
};

use super::*;

const VM: [u8; 4] = [10, 99, 99, 111];
const PEER: [u8; 4] = [10, 99, 99, 1];
const VM6: &str = "fd00::1:6f";
const PEER6: &str = "fd00::1";

fn ethernet(ether_type: u16) -> Vec<u8> {
    let mut frame = vec![0xfa, 0x16, 0x3e, 0x21, 0x1b, 0x4b, 0xfa, 0x16, 0x3e, 0, 0, 1];
    frame.extend(ether_type.to_be_bytes());
    frame
}

fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(ETHERTYPE_IPV4);
    let len = u16::try_from(20 + payload.len()).unwrap();
    frame.extend([0x45, 0]);
    frame.extend(len.to_be_bytes());
    frame.extend([0x12, 0x34]);
    frame.extend(fragment.to_be_bytes());
    frame.extend([64, protocol, 0, 0]);
    frame.extend(VM);
    frame.extend(PEER);
    frame.extend(payload);
    frame
}

fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(ETHERTYPE_IPV6);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend([next_header, 64]);
    for address in [VM6, PEER6] {
        frame.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    frame.extend(payload);
    frame
}

fn arp() -> Vec<u8> {
    let mut frame = ethernet(0x0806);
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 0xfa, 0x16, 0x3e, 0, 0, 1]);
    frame.extend(VM);
    frame.extend([0; 6]);
    frame.extend(PEER);
    frame
}

/// Ports 40000 → 53, then what a TCP header has at least.
fn ports() -> Vec<u8> {
    let mut header = vec![0x9c, 0x40, 0, 53, 0, 20, 0, 0];
    header.extend([0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
    header
}

fn lets_through(filter: &str, frame: &[u8]) -> bool {
    let reader = SliceReader(frame);
    let packet = parse(&reader, &Frame::read(&reader).unwrap()).unwrap();
    filter.parse::<PacketFilter>().unwrap().to_kernel().matches(&reader, &packet)
}

fn error(filter: &str) -> String {
    let error = filter.parse::<PacketFilter>().unwrap_err().to_string();
    assert!(error.starts_with("filter: ") && !error.contains('\n'), "{error}");
    error
}

#[test]
fn protocols_match_their_packets_only() {
    let echo = [8, 0, 0, 0, 0, 1, 0, 1];
    let packets = [
        ("icmp", ipv4(PROTOCOL_ICMP, 0, &echo)),
        ("icmp6", ipv6(PROTOCOL_ICMPV6, &[128, 0, 0, 0, 0, 1, 0, 1])),
        ("tcp", ipv4(PROTOCOL_TCP, 0, &ports())),
        ("tcp", ipv6(PROTOCOL_TCP, &ports())),
        ("udp", ipv4(PROTOCOL_UDP, 0, &ports())),
        ("udp", ipv6(PROTOCOL_UDP, &ports())),
        ("arp", arp()),
    ];
    for (name, packet) in &packets {
        for filter in ["icmp", "icmp6", "tcp", "udp", "arp"] {
            assert_eq!(lets_through(filter, packet), filter == *name, "{filter} on {name}");
        }
        assert!(lets_through("", packet), "no filter on {name}");
    }
}

#[test]
fn any_protocol_of_ip_is_one_by_its_number_or_name() {
    let gre = [0, 0, 8, 0];
    for packet in [ipv4(47, 0, &gre), ipv6(47, &gre)] {
        for filter in ["proto 47", "proto gre", "proto 47 and proto gre"] {
            assert!(lets_through(filter, &packet), "{filter}");
        }
        assert!(!lets_through("proto 4", &packet) && !lets_through("udp", &packet));
    }
    let same = |words: &str, normal: &str| {
        assert_eq!(words.parse::<PacketFilter>().unwrap().to_string(), normal);
    };
    for names in ["ipip", "ip-in-ip", "ipencap", "4", "\\ipip"] {
        same(&format!("proto {names}"), "proto 4");
    }
    // What has a word of its own is that.
    same("port 53 and proto 17", "udp and port 53");
    same("proto icmp", "icmp");
    same("proto 58", "icmp6");
    assert_eq!(
        "proto 50 and host 10.0.0.1".parse::<PacketFilter>().unwrap().to_string(),
        "proto 50 and host 10.0.0.1"
    );
    for bad in ["256", "-1", "+4", "x", "arp", "0x2f"] {
        assert!(
            error(&format!("proto {bad}"))
                .contains(&format!("`{bad}` is not known here as a protocol of IP")),
            "{bad}"
        );
    }
    assert!(
        error("proto").contains("needs a number or a name")
            && error("proto and tcp").contains("needs a number")
    );
    assert!(error("proto 47 and port 1").contains("it has no ports"));
    assert!(error("proto ah and host ::1").contains("in IPv6 it is a header before"));
    same("proto GRE", "proto 47");
    assert!(error("proto 47 and tcp").contains("one protocol"));
    assert!(error("PROTO 4").contains("write `proto`"));
}

#[test]
fn hosts_match_either_end_in_both_families() {
    let udp = ipv4(PROTOCOL_UDP, 0, &ports());
    for packet in [&udp, &arp()] {
        assert!(lets_through("host 10.99.99.111", packet));
        assert!(lets_through("host 10.99.99.1", packet));
        assert!(lets_through("host 10.99.99.1 and host 10.99.99.111", packet));
        assert!(!lets_through("host 10.99.99.1 and host 10.99.99.112", packet));
        // The bytes backwards: byte order matters.
        assert!(!lets_through("host 111.99.99.10", packet) && !lets_through("host 1.99.99.10", packet));
        assert!(!lets_through("host fd00::1", packet));
    }
    let udp6 = ipv6(PROTOCOL_UDP, &ports());
    assert!(lets_through("host fd00::1", &udp6) && lets_through("host FD00:0::1:6f", &udp6));
    assert!(lets_through("udp and host fd00::1 and host fd00::1:6f and port 53", &udp6));
    assert!(!lets_through("host fd00::2", &udp6) && !lets_through("host 10.99.99.1", &udp6));
    assert!(!lets_through("host 100::fd", &udp6));
}

#[test]
fn ports_match_either_end_and_no_fragment_tails() {
    for packet in
        [ipv4(PROTOCOL_UDP, 0, &ports()), ipv4(PROTOCOL_TCP, 0, &ports()), ipv6(PROTOCOL_TCP, &ports())]
    {
        assert!(lets_through("port 53", &packet) && lets_through("port 40000", &packet));
        assert!(lets_through("port 53 and port 40000", &packet));
        assert!(!lets_through("port 53 and port 54", &packet));
        // 53 with its bytes swapped.
        assert!(!lets_through("port 13568", &packet));
    }
    let tail = ipv4(PROTOCOL_UDP, 1, &ports());
    assert!(lets_through("udp", &tail) && !lets_through("port 53", &tail));
    assert!(!lets_through("port 53", &arp()));
}

#[test]
fn the_text_is_normalised_however_the_words_arrive() {
    let filter =
        PacketFilter::from_words(&["port", "53", "and", "host", "FD00:0::01", "and", "udp"]).unwrap();
    assert_eq!(filter.to_string(), "udp and host fd00::1 and port 53");
    assert_eq!(PacketFilter::from_words(&["port 53 and host fd00::1", "and", "udp\t"]).unwrap(), filter);
    assert_eq!(filter.to_string().parse::<PacketFilter>().unwrap(), filter);
    let twice: PacketFilter = "tcp and tcp and port 1 and port 1 and host ::1 and host ::1".parse().unwrap();
    assert_eq!(twice.to_string(), "tcp and host ::1 and port 1");
    for nothing in [&[][..], &[""], &["  ", "\n"]] {
        let filter = PacketFilter::from_words(nothing).unwrap();
        assert_eq!((filter.to_kernel(), filter.to_string()), (Filter::default(), String::new()));
    }
    assert_eq!("port 0".parse::<PacketFilter>().unwrap().to_kernel().port_count, 1);
}

#[test]
fn tcpdumps_short_forms_need_no_and() {
    let parsed = |text: &str| text.parse::<PacketFilter>().unwrap();
    let same = |short: &str, long: &str| assert_eq!(parsed(short), parsed(long), "{short}");
    same("tcp port 80", "tcp and port 80");
    same("udp port 53 and host 10.0.0.1", "udp and port 53 and host 10.0.0.1");
    same("host 10.0.0.1 and arp host 10.0.0.2", "arp and host 10.0.0.1 and host 10.0.0.2");
}

#[test]
fn a_missing_and_is_named() {
    assert_eq!(
        error("icmp host 10.0.0.1"),
        "filter: `and` is missing between `icmp` and `host 10.0.0.1`: write `icmp and host 10.0.0.1`"
    );
    assert!(error("tcp port 80 port 81").contains("write `port 80 and port 81`"));
    assert!(error("tcp port ssh").contains("`ssh` is not a port number"));
    assert!(error("host 10.0.0.1 icmp").contains("between `host 10.0.0.1` and `icmp`"));
    assert!(error("icmp &&").contains("write `and`") && error("icmp AND tcp").contains("write `and`"));
    assert!(error("and icmp").contains("nothing before") && error("and").contains("nothing before"));
    assert!(
        error("icmp and").contains("nothing behind") && error("icmp and and tcp").contains("nothing behind")
    );
}

#[test]
fn wrong_words_are_named_with_what_would_be_right() {
    assert!(error("icpm").contains("`icpm` is not understood; use icmp, icmp6, tcp"));
    assert!(error("ICMP").contains("write `icmp`") && error("Host ::1").contains("write `host`"));
    assert!(error("10.0.0.1").contains("write `host 10.0.0.1`"));
    assert!(error("host 10.0.0.1 and fd00::1").contains("write `host fd00::1`"));
    assert!(error("udp and 53").contains("write `port 53`"));
    assert!(
        error("host").contains("needs an address") && error("host and icmp").contains("needs an address")
    );
    assert!(
        error("port").contains("needs a number") && error("tcp and port and icmp").contains("needs a number")
    );
    for bad in ["example.com", "10.0.0", "10.0.0.256", "fe80::1%eth0", "tcp", "010.0.0.1"] {
        assert!(error(&format!("host {bad}")).contains(&format!("`{bad}` is not an IPv4")), "{bad}");
    }
    for bad in ["http", "65536", "-1", "+53", "0x35", "5.3", "99999999999999999999"] {
        assert!(error(&format!("port {bad}")).contains(&format!("`{bad}` is not a port number")), "{bad}");
    }
    assert!(!error("\x1b[2J").contains('\x1b'));
    assert!(error(&"x".repeat(100_000)).len() < 500);
}

#[test]
fn words_of_tcpdump_are_not_supported_yet() {
    for (filter, word) in [
        ("icmp or arp", "or"),
        ("not arp", "not"),
        ("src host 10.0.0.1", "src"),
        ("tcp dst port 80", "dst"),
        ("net 10.0.0.0/8", "net"),
        ("host 10.0.0.0/8", "10.0.0.0/8"),
        ("tcp and portrange 1-2", "portrange"),
        ("(icmp and arp)", "(icmp"),
        ("icmp and !tcp", "!tcp"),
        ("ip6 and tcp", "ip6"),
        ("vlan", "vlan"),
    ] {
        assert!(error(filter).starts_with(&format!("filter: not supported yet: `{word}`; ")), "{filter}");
    }
}

#[test]
fn contradictions_say_why() {
    for (filter, why) in [
        ("arp and port 53", "ARP has no ports"),
        ("port 53 and arp", "ARP has no ports"),
        ("icmp and port 80", "ICMP has no ports"),
        ("icmp6 and port 80", "ICMP has no ports"),
        ("icmp and icmp6", "one protocol"),
        ("tcp and udp", "one protocol"),
        ("icmp and host ::1", "that of IPv6 is `icmp6`"),
        ("host ::1 and icmp", "that of IPv6 is `icmp6`"),
        ("icmp6 and host 10.0.0.1", "that of IPv4 is `icmp`"),
        ("host 10.0.0.1 and icmp6", "that of IPv4 is `icmp`"),
        ("arp and host ::1", "ARP is of IPv4"),
        ("host ::1 and arp", "ARP is of IPv4"),
        ("host ::1 and host 10.0.0.1", "same IP version"),
    ] {
        let error = error(filter);
        assert!(error.contains(filter) && error.contains(why), "{error}");
    }
    assert!(
        error("host 10.0.0.1 and host 10.0.0.2 and host 10.0.0.3")
            .contains("`host 10.0.0.3` is one too many")
    );
    assert!(error("port 1 and port 2 and port 3").contains("`port 3` is one too many"));
}

#[test]
fn a_group_s_address_is_one_of_either_family() {
    let names = |text: &str| text.parse::<PacketFilter>().unwrap().to_kernel().asks_for_group();
    for group in [
        "host 239.1.1.1",
        "udp and host 10.0.0.1 and host 224.0.0.18",
        "host 255.255.255.255",
        "host ff02::1",
        "vrrp",
        "igmp",
    ] {
        assert!(names(group), "{group}");
    }
    for other in ["", "udp", "host 10.224.1.255", "host 240.0.0.1", "host fe80::ff02"] {
        assert!(!names(other), "{other}");
    }
}

#[test]
fn every_protocol_matches_its_own_packets_and_no_other_s() {
    let ip = |protocol: u8| {
        let mut frame = vec![0; 14 + 20 + 24];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14..34]
            .copy_from_slice(&[0x45, 0, 0, 44, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 224, 0, 0, 18]);
        frame
    };
    let address = |ether_type: [u8; 2]| {
        let mut frame = vec![0; 14 + 28];
        frame[12..14].copy_from_slice(&ether_type);
        frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 3]);
        frame
    };
    let frames = [
        ("icmp", ip(1)),
        ("tcp", ip(6)),
        ("udp", ip(17)),
        ("sctp", ip(132)),
        ("igmp", ip(2)),
        ("vrrp", ip(112)),
        ("arp", address([8, 6])),
        ("rarp", address([0x80, 0x35])),
    ];
    for (name, frame) in &frames {
        let mut frame = frame.clone();
        if *name == "tcp" {
            frame[14 + 20 + 12] = 0x50;
        }
        let reader = SliceReader(&frame);
        let packet = parse(&reader, &Frame::read(&reader).unwrap()).unwrap();
        for (word, _) in &frames {
            let matches = word.parse::<PacketFilter>().unwrap().to_kernel().matches(&reader, &packet);
            assert_eq!(matches, word == name, "{word} of {name}");
        }
        assert!(!"icmp6".parse::<PacketFilter>().unwrap().to_kernel().matches(&reader, &packet));
    }
}
