//! What a switch may answer by itself.

use hoptrace_common::{
    answer::exchange,
    packet::{Frame, parse},
};

use crate::{
    frames::{
        GUEST_V4, GUEST_V6, HOST_V4, HOST_V6, ICMP, ICMPV6, Ipv4, Ipv6, L3, Segment, arp, echo, neighbour,
        udp, untagged,
    },
    strict::StrictReader,
};

fn key(l3: &L3, answers: bool) -> Option<u64> {
    let frame = untagged(l3).bytes;
    let reader = StrictReader(&frame);
    let packet = parse(&reader, &Frame::read(&reader).unwrap()).unwrap();
    exchange(&reader, &packet, answers)
}

fn out(segment: &Segment) -> L3 {
    Ipv4 { source: GUEST_V4, destination: HOST_V4, ..Ipv4::default() }.packet(segment)
}

fn back(segment: &Segment) -> L3 {
    Ipv4 { source: HOST_V4, destination: GUEST_V4, ..Ipv4::default() }.packet(segment)
}

fn out_v6(segment: &Segment) -> L3 {
    Ipv6 { source: GUEST_V6, destination: HOST_V6, ..Ipv6::default() }.packet(segment)
}

fn back_v6(segment: &Segment) -> L3 {
    Ipv6 { source: HOST_V6, destination: GUEST_V6, ..Ipv6::default() }.packet(segment)
}

/// A message of DHCP with that transaction in bytes 4 to 7, or of its version 6 in bytes 1 to 3.
fn dhcp(ports: (u16, u16), head: [u8; 8]) -> Segment {
    let mut payload = head.to_vec();
    payload.extend([0; 40]);
    udp(ports.0, ports.1, &payload)
}

#[test]
fn each_question_has_the_key_of_its_answer_and_no_other() {
    const TARGET: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let router = |kind| Segment { protocol: ICMPV6, ..echo(ICMPV6, kind, 0, 0) };
    let pairs = [
        (arp(1, GUEST_V4, HOST_V4), arp(2, HOST_V4, GUEST_V4)),
        (out(&echo(ICMP, 8, 7, 9)), back(&echo(ICMP, 0, 7, 9))),
        (out(&echo(ICMP, 8, 7, 10)), back(&echo(ICMP, 0, 7, 10))),
        (out_v6(&echo(ICMPV6, 128, 7, 9)), back_v6(&echo(ICMPV6, 129, 7, 9))),
        (out_v6(&neighbour(135, TARGET)), back_v6(&neighbour(136, TARGET))),
        (out_v6(&router(133)), back_v6(&router(134))),
        (out(&dhcp((68, 67), [1, 1, 6, 0, 1, 2, 3, 4])), back(&dhcp((67, 68), [2, 1, 6, 0, 1, 2, 3, 4]))),
        (
            out_v6(&dhcp((546, 547), [1, 1, 2, 3, 0, 0, 0, 0])),
            back_v6(&dhcp((547, 546), [7, 1, 2, 3, 0, 0, 0, 0])),
        ),
    ];
    let mut keys = Vec::new();
    for (place, (question, answer)) in pairs.iter().enumerate() {
        let asked = key(question, false);
        assert!(asked.is_some() && asked == key(answer, true), "{place}");
        assert_eq!((key(question, true), key(answer, false)), (None, None), "{place}");
        keys.extend(asked);
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), pairs.len());
}

#[test]
fn what_asks_nothing_has_no_key() {
    // Its own address, told to all.
    assert_eq!(key(&arp(1, GUEST_V4, GUEST_V4), false), None);
    assert_eq!(key(&out(&udp(40_000, 53, &[0; 40])), false), None);
    assert_eq!(key(&out(&udp(40_000, 67, &[0; 40])), false), None);
}
