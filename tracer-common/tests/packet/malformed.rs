//! Input that is cut short, lies about its lengths, or is no packet at all.

use hoptrace_common::packet::{ParseError, SliceReader, hashed_end};
use proptest::{collection::vec, prelude::*};

use crate::{
    bytes::{Bytes, Structure},
    frames::{
        AUTHENTICATION, DESTINATION, FRAGMENT, GRE, HOP_BY_HOP, Ipv4, Ipv6, ROUTING, Segment, Tcp, echo,
        every_kind, frame, other, payload, udp, untagged,
    },
    strict::{identity_of, parsed},
};

/// Byte offsets in an untagged frame.
const IPV4: usize = 14;
const IPV4_L4: usize = 34;
const IPV6_L4: usize = 54;

#[test]
fn a_packet_cut_short_is_truncated_or_the_same() {
    for (name, l3) in every_kind() {
        let sample = frame(&l3, &[(0x8100, 7)], &[0; 8]);
        let whole = identity_of(&sample.bytes).unwrap();
        for len in 0..sample.len() {
            let cut = identity_of(&sample.bytes[..len]);
            if len < sample.hashed_end() {
                assert_eq!(cut, Err(ParseError::Truncated), "{name} cut to {len} bytes");
            } else {
                assert!(
                    cut == Err(ParseError::Truncated) || cut == Ok(whole),
                    "{name} cut to {len}: {cut:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_hashed_ends_where_the_parser_says() {
    for (name, l3) in every_kind() {
        let sample = frame(&l3, &[(0x8100, 7)], &[0; 8]);
        let end = hashed_end(&SliceReader(&sample.bytes), &parsed(&sample.bytes).unwrap()) as usize;
        let whole = identity_of(&sample.bytes);
        assert!(end >= sample.hashed_end(), "{name}: {end} is inside, {} is not", sample.hashed_end());
        assert_eq!(identity_of(&sample.bytes[..end]), whole, "{name} cut to {end} bytes");
    }
}

#[test]
fn ipv4_header_lengths() {
    let sample = untagged(&Ipv4::default().packet(&udp(1, 2, &payload(40)))).bytes;
    for words in 0..5 {
        let mut bytes = sample.clone();
        bytes[IPV4] = 0x40 | words;
        assert_eq!(identity_of(&bytes), Err(ParseError::Malformed), "{words} words");
    }
    for version in [0, 5, 6, 15] {
        let mut bytes = sample.clone();
        bytes[IPV4] = version << 4 | 5;
        assert_eq!(identity_of(&bytes), Err(ParseError::Malformed), "version {version}");
    }
    // The longest header there can be leaves the UDP header inside the frame, but its payload's end is the packet's.
    let mut bytes = sample.clone();
    bytes[IPV4] = 0x4f;
    assert_eq!(parsed(&bytes).unwrap().l4_offset, 14 + 60);
    assert_eq!(identity_of(&bytes[..14 + 60 + 7]), Err(ParseError::Truncated));
}

#[test]
fn the_total_length_says_where_the_payload_ends() {
    let sample = untagged(&Ipv4::default().packet(&udp(1, 2, &payload(40)))).bytes;
    let with_total = |total: u16| {
        let mut bytes = sample.clone();
        bytes[IPV4 + 2..IPV4 + 4].copy_from_slice(&total.to_be_bytes());
        bytes
    };
    // Larger than the frame: what is hashed is there all the same.
    assert_eq!(identity_of(&with_total(u16::MAX)), identity_of(&sample));
    // BIG TCP.
    assert_eq!(identity_of(&with_total(0)), identity_of(&sample));
    assert_eq!(parsed(&with_total(0)).unwrap().l3_end, u32::MAX);
    // Every shorter one covers other bytes.
    let mut identities: Vec<u64> = (28..=44).map(|total| identity_of(&with_total(total)).unwrap()).collect();
    assert_eq!(identity_of(&with_total(45)), Ok(identities[16]));
    identities.sort_unstable();
    identities.dedup();
    assert_eq!(identities.len(), 17);
    for total in 1..28 {
        assert!(identity_of(&with_total(total)).is_ok(), "shorter than its headers: {total}");
    }
}

#[test]
fn tcp_data_offsets() {
    let tcp = Tcp { payload: payload(20), ..Tcp::default() };
    let sample = untagged(&Ipv4::default().packet(&tcp.segment())).bytes;
    for words in 0..5_u8 {
        let mut bytes = sample.clone();
        bytes[IPV4_L4 + 12] = words << 4;
        assert_eq!(identity_of(&bytes), Err(ParseError::Malformed), "{words} words");
    }
    // Sixty bytes of header in a segment of forty.
    let mut bytes = sample.clone();
    bytes[IPV4_L4 + 12] = 0xf0;
    assert_eq!(identity_of(&bytes), Err(ParseError::Truncated));
}

#[test]
fn options_that_make_no_sense_are_hashed_as_they_stand() {
    let options = [[8, 0, 0, 0], [5, 255, 1, 1], [0, 0, 0, 0], [254, 1, 2, 3]];
    let mut identities = Vec::new();
    for option in options {
        let tcp = Tcp { options: option.to_vec(), ..Tcp::default() };
        identities.push(identity_of(&untagged(&Ipv4::default().packet(&tcp.segment())).bytes).unwrap());
    }
    identities.sort_unstable();
    identities.dedup();
    assert_eq!(identities.len(), options.len());
}

#[test]
fn the_udp_length_is_neither_hashed_nor_trusted() {
    let sample = untagged(&Ipv4::default().packet(&udp(1, 2, &payload(12)))).bytes;
    for claimed in [0, 7, 8, 9, 21, 1500, u16::MAX] {
        let mut bytes = sample.clone();
        bytes[IPV4_L4 + 4..IPV4_L4 + 6].copy_from_slice(&claimed.to_be_bytes());
        assert_eq!(identity_of(&bytes), identity_of(&sample), "{claimed}");
    }
}

#[test]
fn extension_headers_are_followed_as_far_as_promised() {
    let chains: [&[(u8, usize)]; 4] = [
        &[(HOP_BY_HOP, 8)],
        &[(HOP_BY_HOP, 2048), (ROUTING, 2048), (AUTHENTICATION, 1028)],
        &[(HOP_BY_HOP, 8), (DESTINATION, 8), (ROUTING, 8), (AUTHENTICATION, 16), (DESTINATION, 8)],
        &[(DESTINATION, 8), (FRAGMENT, 8), (FRAGMENT, 8), (DESTINATION, 24)],
    ];
    for chain in chains {
        let ipv6 = Ipv6 { extensions: chain.to_vec(), ..Ipv6::default() };
        let bytes = untagged(&ipv6.packet(&echo(58, 128, 1, 2))).bytes;
        let packet = parsed(&bytes).unwrap();
        assert_eq!(packet.protocol, 58, "{chain:?}");
        let chain_len: usize = chain.iter().map(|(_, len)| len).sum();
        assert_eq!(packet.l4_offset as usize, IPV6_L4 + chain_len, "{chain:?}");
    }
    for len in 6..9 {
        let ipv6 = Ipv6 { extensions: vec![(DESTINATION, 8); len], ..Ipv6::default() };
        let bytes = untagged(&ipv6.packet(&echo(58, 128, 1, 2))).bytes;
        assert_eq!(identity_of(&bytes), Err(ParseError::Malformed), "{len} headers");
    }
}

#[test]
fn a_chain_without_an_end_stops() {
    // Every byte says: a hop-by-hop header follows.
    let mut endless = Bytes::default();
    endless.put(&[0; 400], Structure);
    let segment = Segment { protocol: HOP_BY_HOP, bytes: endless };
    let bytes = untagged(&Ipv6::default().packet(&segment)).bytes;
    assert_eq!(identity_of(&bytes), Err(ParseError::Malformed));
    assert_eq!(identity_of(&bytes[..IPV6_L4 + 20]), Err(ParseError::Truncated));
}

#[test]
fn foreign_frames() {
    let sample = untagged(&Ipv4::default().packet(&other(&payload(20)))).bytes;
    for ether_type in [0x88cc_u16, 0x8847, 0x0027, 0x9100] {
        let mut bytes = sample.clone();
        bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
        assert_eq!(identity_of(&bytes), Err(ParseError::Foreign), "{ether_type:x}");
    }
    let mut three_tags = vec![0; 12];
    three_tags.extend([0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0]);
    three_tags.extend(&sample[14..]);
    assert_eq!(identity_of(&three_tags), Err(ParseError::Foreign));
    // ARP over anything but Ethernet and IPv4.
    let arp = untagged(&crate::frames::arp(1, [1; 4], [2; 4])).bytes;
    for at in 14..20 {
        let mut bytes = arp.clone();
        bytes[at] ^= 1;
        assert_eq!(identity_of(&bytes), Err(ParseError::Foreign), "byte {at}");
    }
}

#[test]
fn a_protocol_without_payload_ends_at_the_header() {
    let bytes = untagged(&Ipv4::default().packet(&other(&[]))).bytes;
    let padded = [&bytes[..], &[0xff; 26]].concat();
    assert!(identity_of(&bytes).is_ok());
    assert_eq!(identity_of(&padded), identity_of(&bytes));
    assert_eq!(parsed(&bytes).unwrap().protocol, GRE);
}

#[test]
fn ipv6_without_payload_is_taken_for_a_jumbogram() {
    let bytes = untagged(&Ipv6::default().packet(&other(&[]))).bytes;
    assert_eq!(identity_of(&bytes), Err(ParseError::Truncated));
    let jumbogram = [&bytes[..], &payload(160)].concat();
    assert_eq!(parsed(&jumbogram).unwrap().l3_end, u32::MAX);
}

/// The one who reads less may learn less, but never something else.
fn no_prefix_is_another_packet(bytes: &[u8]) -> Result<(), TestCaseError> {
    let whole = identity_of(bytes);
    for len in 0..bytes.len() {
        match identity_of(&bytes[..len]) {
            Err(ParseError::Truncated) => {}
            cut => prop_assert_eq!(cut, whole, "cut to {} bytes", len),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(
        ether_type in prop_oneof![Just(0x0800_u16), Just(0x0806), Just(0x86dd), Just(0x8100), any::<u16>()],
        version in prop_oneof![Just(0x45_u8), Just(0x60), any::<u8>()],
        mut bytes in vec(any::<u8>(), 15..160),
    ) {
        bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
        bytes[14] = version;
        no_prefix_is_another_packet(&bytes)?;
    }

    #[test]
    fn packets_with_wrong_bytes(
        kind in any::<prop::sample::Index>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let kinds = EVERY_KIND.with(Clone::clone);
        let mut bytes = untagged(&kinds[kind.index(kinds.len())].1).bytes;
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        no_prefix_is_another_packet(&bytes)?;
    }
}

thread_local! {
    static EVERY_KIND: std::rc::Rc<Vec<(String, crate::frames::L3)>> = std::rc::Rc::new(every_kind());
}
