//! What checksums cover, against a plain computation.

use hoptrace_common::{
    checksum::{Covered, PROTOCOLS, covered, is_right},
    packet::{Frame, parse},
};

use crate::{
    frames::{
        FRAGMENT, GUEST_V4, GUEST_V6, HOST_V4, HOST_V6, ICMP, ICMPV6, Ipv4, Ipv6, L3, Tcp, echo, payload,
        udp, untagged,
    },
    strict::StrictReader,
};

const ETHERNET_LEN: usize = 14;

/// RFC 1071, in network byte order.
fn rfc1071(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

fn covered_of(frame: &[u8]) -> Option<Covered> {
    let reader = StrictReader(frame);
    let packet = parse(&reader, &Frame::read(&reader).unwrap()).unwrap();
    covered(&reader, &packet)
}

/// As the programs find it: the sum of all words as they lie in memory.
fn looks_right(frame: &[u8]) -> bool {
    let covered = covered_of(frame).expect("a checksum");
    let start = usize::try_from(covered.start).unwrap();
    let bytes = &frame[start..start + usize::try_from(covered.len).unwrap()];
    let words =
        bytes.chunks(2).map(|pair| u32::from(u16::from_ne_bytes([pair[0], *pair.get(1).unwrap_or(&0)])));
    is_right(words.sum::<u32>() + covered.pseudo)
}

/// The frame with its right checksum, which is at `field` in the transport header.
fn summed(l3: &L3, header_len: usize, field: usize, pseudo: bool) -> Vec<u8> {
    let mut frame = untagged(l3).bytes;
    let l4 = ETHERNET_LEN + header_len;
    frame[l4 + field..l4 + field + 2].fill(0);
    let mut summed = Vec::new();
    if pseudo {
        let (addresses, protocol) = match header_len {
            20 => (ETHERNET_LEN + 12..ETHERNET_LEN + 20, frame[ETHERNET_LEN + 9]),
            _ => (ETHERNET_LEN + 8..ETHERNET_LEN + 40, frame[ETHERNET_LEN + 6]),
        };
        summed.extend(&frame[addresses]);
        summed.extend([0, protocol]);
        summed.extend(u16::try_from(frame.len() - l4).unwrap().to_be_bytes());
    }
    summed.extend(&frame[l4..]);
    let checksum = rfc1071(&summed).to_be_bytes();
    frame[l4 + field..l4 + field + 2].copy_from_slice(&checksum);
    frame
}

fn every_checksum() -> Vec<(&'static str, Vec<u8>)> {
    let v4 = |segment| Ipv4 { source: HOST_V4, destination: GUEST_V4, ..Ipv4::default() }.packet(segment);
    let v6 = |segment| Ipv6 { source: HOST_V6, destination: GUEST_V6, ..Ipv6::default() }.packet(segment);
    // An odd length, too.
    let tcp = Tcp { payload: payload(101), ..Tcp::default() }.segment();
    let datagram = udp(40_000, 53, &payload(33));
    vec![
        ("TCP", summed(&v4(&tcp), 20, 16, true)),
        ("TCP", summed(&v6(&tcp), 40, 16, true)),
        ("UDP", summed(&v4(&datagram), 20, 6, true)),
        ("UDP", summed(&v6(&datagram), 40, 6, true)),
        ("ICMP", summed(&v4(&echo(ICMP, 8, 7, 9)), 20, 2, false)),
        ("ICMPv6", summed(&v6(&echo(ICMPV6, 128, 7, 9)), 40, 2, true)),
    ]
}

#[test]
fn right_checksums_are_right_and_one_bit_makes_them_wrong() {
    for (protocol, frame) in every_checksum() {
        let covered = covered_of(&frame).unwrap();
        assert_eq!(PROTOCOLS[usize::try_from(covered.place).unwrap()], protocol);
        assert!(looks_right(&frame), "{protocol}: {covered:?}");
        let l4 = usize::try_from(covered.start).unwrap();
        for at in [l4 + 2, l4 + 7, frame.len() - 1] {
            let mut changed = frame.clone();
            changed[at] ^= 0x10;
            // A changed length of UDP's own contradicts that of IP, or covers less.
            assert!(covered_of(&changed).is_none() || !looks_right(&changed), "{protocol}: byte {at}");
        }
    }
}

#[test]
fn a_checksum_of_the_pseudo_header_alone_is_not_right() {
    // What is left for an offload to complete.
    let (_, mut frame) = every_checksum().swap_remove(2);
    let covered = covered_of(&frame).unwrap();
    let pseudo = (covered.pseudo & 0xffff) + (covered.pseudo >> 16);
    let field = usize::try_from(covered.start).unwrap() + 6;
    frame[field..field + 2].copy_from_slice(&u16::try_from(pseudo).unwrap().to_ne_bytes());
    assert!(!looks_right(&frame));
}

#[test]
fn what_has_no_checksum_of_its_own_is_left_alone() {
    let v4 = Ipv4 { source: HOST_V4, destination: GUEST_V4, ..Ipv4::default() };
    let mut without = untagged(&v4.packet(&udp(1, 2, &payload(8)))).bytes;
    without[ETHERNET_LEN + 26..ETHERNET_LEN + 28].fill(0);
    assert_eq!(covered_of(&without), None, "UDP without a checksum");
    let tail = Ipv4 { fragment_offset: 3, ..v4.clone() };
    assert_eq!(covered_of(&untagged(&tail.packet(&udp(1, 2, &payload(8)))).bytes), None, "a fragment's tail");
    let mut first = untagged(&v4.packet(&udp(1, 2, &payload(8)))).bytes;
    first[ETHERNET_LEN + 6] |= 0x20;
    assert_eq!(covered_of(&first), None, "a first fragment");
    let v6 = Ipv6 { extensions: vec![(FRAGMENT, 8)], ..Ipv6::default() };
    assert_eq!(covered_of(&untagged(&v6.packet(&echo(ICMPV6, 128, 1, 1))).bytes), None, "extension headers");
    let mut longer = untagged(&v4.packet(&udp(1, 2, &payload(8)))).bytes;
    longer[ETHERNET_LEN + 20 + 5] = 200;
    assert_eq!(covered_of(&longer), None, "longer than its packet");
}
