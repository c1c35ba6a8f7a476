//! Words in, both ends of one packet out.

use super::*;

fn said(words: &str) -> PacketWords {
    PacketWords::from_words(&[words]).unwrap()
}

fn error(words: &str) -> String {
    let error = PacketWords::from_words(&[words]).unwrap_err().to_string();
    assert!(error.starts_with("filter: ") && !error.contains('\n') && !error.contains('\x1b'), "{error}");
    error
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn each_condition_is_about_the_end_that_it_names() {
    let words = said("udp and src host 10.0.0.1 and dst host 10.0.0.2 and dst port 53 and src port 40000");
    assert_eq!(words.protocol, Some(FilterProtocol::Udp));
    let (one, two) = (address("10.0.0.1"), address("10.0.0.2"));
    assert_eq!(
        words.addresses,
        Ends { source: Some(one), destination: Some(two), either: Vec::new() },
        "{words:?}"
    );
    assert_eq!(words.ports.both(|_| false), (Some(40_000), Some(53)));
    assert!(words.macs.is_empty());
    let words = said("ether dst 52:54:00:99:99:01 and ether src FA-16-3E-21-1B-4B and host fd00::1");
    let macs = words.macs.both(|_| false);
    assert_eq!(macs, ("fa:16:3e:21:1b:4b".parse().ok(), "52:54:00:99:99:01".parse().ok()));
    assert_eq!(words.addresses.either, [address("fd00::1")]);
}

#[test]
fn a_filter_s_words_are_of_the_language_too() {
    for words in ["tcp port 80", "tcp dst port 80", "tcp and dst port 80"] {
        let said = said(words);
        assert_eq!((said.protocol, said.ports.both(|_| false).1), (Some(FilterProtocol::Tcp), Some(80)));
    }
    assert_eq!(said("arp host 10.0.0.1"), said("host 10.0.0.1 and arp"));
    assert_eq!(said("arp dst host 10.0.0.1"), said("arp and dst host 10.0.0.1"));
    assert_eq!(said(""), PacketWords::default());
    let one_by_one = PacketWords::from_words(&["udp", "and", "dst host ::1"]).unwrap();
    assert_eq!(one_by_one, said("udp and dst host ::1"));
}

#[test]
fn what_is_of_either_end_is_the_destination_s_first() {
    let (own, other) = (address("10.0.0.1"), address("10.0.0.2"));
    let ends = |words: &str| said(words).addresses.both(|it| it == own);
    assert_eq!(ends("host 10.0.0.2"), (None, Some(other)));
    assert_eq!(ends("host 10.0.0.1"), (Some(own), None));
    for both in ["host 10.0.0.1 and host 10.0.0.2", "host 10.0.0.2 and host 10.0.0.1"] {
        assert_eq!(ends(both), (Some(own), Some(other)), "{both}");
    }
    assert_eq!(ends("src host 10.0.0.2 and host 10.0.0.1"), (Some(other), Some(own)));
    assert_eq!(ends("dst host 10.0.0.2 and host 10.0.0.1"), (Some(own), Some(other)));
    assert_eq!(ends("dst host 10.0.0.2 and host 10.0.0.2"), (None, Some(other)));
    assert_eq!(said("udp and port 1 and port 2").ports.both(|_| false), (Some(2), Some(1)));
}

#[test]
fn wrong_words_are_named_with_what_would_be_right() {
    assert!(error("dst 10.0.0.1").contains("`dst 10.0.0.1`: write `dst host 10.0.0.1`"));
    for word in ["src", "dst"] {
        for rest in ["", " and udp", " udp", " net 10.0.0.0/8", " \x1b[2J"] {
            let said = error(&format!("{word}{rest}"));
            assert!(said.contains(&format!("`{word}` needs `host ADDR` or `port N` behind it")), "{said}");
        }
    }
    assert!(error("dst host web-1").contains("`web-1` is not an IPv4"));
    for words in ["ether", "ether dst", "ether 52:54:00:99:99:01", "ether proto 0x0800", "ether dst and udp"]
    {
        assert!(error(words).contains("`ether` needs `src`, `dst` or `host` and a MAC address"), "{words}");
    }
    assert!(error("ether dst \x1b[2J").contains("is not a MAC address"));
    assert!(error("vlan 5").contains("not supported yet: `vlan`"));
    assert!(error("icpm").contains("`icpm` is not understood"));
    assert!(
        error("dst port 1 dst host 10.0.0.1")
            .contains("`and` is missing between `dst port 1` and `dst host 10.0.0.1`")
    );
    assert!(error("dst port 1 and").contains("nothing behind"));
}

#[test]
fn no_packet_has_one_end_twice() {
    for (words, why) in [
        ("dst host 10.0.0.1 and dst host 10.0.0.2", "one destination"),
        ("src port 1 and src port 2", "one source"),
        ("ether dst 02:00:00:00:00:01 and ether dst 02:00:00:00:00:02", "one destination"),
        ("src host 10.0.0.1 and dst host fd00::1", "same IP version"),
        ("icmp and dst port 80", "ICMP has no ports"),
        ("arp and dst host fd00::1", "ARP is of IPv4"),
    ] {
        let said = error(words);
        assert!(said.contains("no packet could match") && said.contains(why), "{words}: {said}");
    }
    let one_too_many = [
        "src host 10.0.0.1 and dst host 10.0.0.2 and host 10.0.0.3",
        "port 1 and dst port 2 and src port 3",
        "ether host 02:00:00:00:00:01 and ether host 02:00:00:00:00:02 and ether src 02:00:00:00:00:03",
    ];
    for words in one_too_many {
        assert!(error(words).contains("is one too many"), "{words}");
    }
    assert_eq!(said("dst host ::1 and dst host ::1"), said("dst host ::1"));
}
