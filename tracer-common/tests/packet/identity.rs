//! The identity covers what no hop changes, all of it, and nothing else.

use proptest::{collection::vec, prelude::*};

use crate::{
    bytes::Bytes,
    frames::{
        ACK, FIN, Ipv4, Ipv6, L3, MSS, PSH, RST, SACK_PERMITTED_AND_TIMESTAMP, SYN, Segment, TIMESTAMP, Tcp,
        arp, echo, every_kind, frame, neighbour, other, payload, sack, sctp, udp, untagged,
    },
    strict::{identity_of, parsed},
};

const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

#[test]
fn every_hashed_bit_counts_and_no_free_bit_does() {
    for (name, l3) in every_kind() {
        let sample = frame(&l3, &[(QINQ, 0x2064), (VLAN, 0x0065)], &[0; 6]);
        let identity = identity_of(&sample.bytes).unwrap();
        for bit in Bytes::bits_of(&sample.hashed) {
            assert_ne!(identity_of(&sample.with_flipped(bit)), Ok(identity), "{name}: bit {bit} is hashed");
        }
        for bit in Bytes::bits_of(&sample.free) {
            assert_eq!(identity_of(&sample.with_flipped(bit)), Ok(identity), "{name}: bit {bit} is free");
        }
    }
}

#[test]
fn flips_of_two_hashed_bits_do_not_cancel_out() {
    for (name, l3) in every_kind() {
        let sample = untagged(&l3);
        let bits: Vec<usize> = Bytes::bits_of(&sample.hashed).collect();
        // Every pair takes too long; the distances that matter are those of fields and words.
        for distance in [1, 2, 8, 16, 31, 32, 33, 64, 96, 128, 256] {
            for pair in bits.windows(distance + 1) {
                let mut bytes = sample.with_flipped(pair[0]);
                bytes[pair[distance] / 8] ^= 1 << (pair[distance] % 8);
                assert_ne!(identity_of(&bytes), identity_of(&sample.bytes), "{name}: {pair:?}");
            }
        }
    }
}

#[test]
fn tags_and_padding_do_not_matter() {
    for (name, l3) in every_kind() {
        let identity = identity_of(&untagged(&l3).bytes).unwrap();
        for tags in [
            &[(VLAN, 0x0064)][..],
            &[(VLAN, 0xe065)],
            &[(QINQ, 0x0064)],
            &[(QINQ, 0x0064), (VLAN, 0x0fff)],
            &[(VLAN, 1), (VLAN, 2)],
        ] {
            for padding in [&[][..], &[0; 46], &[0xff; 3]] {
                let frame = frame(&l3, tags, padding);
                assert_eq!(identity_of(&frame.bytes), Ok(identity), "{name}: {tags:x?}, {padding:x?}");
            }
        }
    }
}

#[test]
fn every_kind_is_read_as_what_it_is() {
    for (name, l3) in every_kind() {
        let sample = frame(&l3, &[(VLAN, 5)], &[0; 4]);
        let packet = parsed(&sample.bytes).unwrap();
        assert_eq!(packet.ether_type, l3.ether_type, "{name}");
        assert_eq!(packet.l3_offset, 18, "{name}");
        assert_eq!(packet.l3_end as usize, sample.len() - 4, "{name}");
        assert_eq!(packet.fragment_tail == 1, name.contains("tail"), "{name}");
    }
}

#[test]
fn a_syn_keeps_its_identity_when_its_options_are_rewritten() {
    let options = [&MSS[..], &SACK_PERMITTED_AND_TIMESTAMP].concat();
    let syn = Tcp { flags: SYN, options, payload: Vec::new(), ..Tcp::default() };
    let mut clamped = syn.clone();
    clamped.options[2..4].copy_from_slice(&1360_u16.to_be_bytes());
    let without_timestamp = Tcp { options: MSS.to_vec(), ..syn.clone() };
    let ipv4 = Ipv4::default();
    let identity = |tcp: &Tcp| identity_of(&untagged(&ipv4.packet(&tcp.segment())).bytes).unwrap();
    assert_eq!(identity(&syn), identity(&clamped));
    assert_eq!(identity(&syn), identity(&without_timestamp));
    assert_ne!(identity(&syn), identity(&Tcp { seq: syn.seq + 1, ..syn.clone() }));
}

#[test]
fn a_first_fragment_is_known_by_the_whole_packet() {
    for segment in [udp(5000, 53, &payload(64)), Tcp::default().segment(), echo(58, 128, 7, 1)] {
        let whole = Ipv6::default().packet(&segment);
        let first = Ipv6 { extensions: vec![(44, 8)], ..Ipv6::default() }.packet(&segment);
        assert_eq!(identity_of(&untagged(&first).bytes), identity_of(&untagged(&whole).bytes));
        let whole = Ipv4::default().packet(&segment);
        let first = Ipv4 { more_fragments: true, ..Ipv4::default() }.packet(&segment);
        assert_eq!(identity_of(&untagged(&first).bytes), identity_of(&untagged(&whole).bytes));
    }
}

#[test]
fn segments_of_one_flow_differ() {
    let base = Tcp { options: [TIMESTAMP.to_vec(), sack(1)].concat(), ..Tcp::default() };
    let with_option = |at: usize| {
        let mut tcp = base.clone();
        tcp.options[at] ^= 0x40;
        tcp
    };
    let variants = [
        base.clone(),
        Tcp { seq: base.seq + 1, ..base.clone() },
        Tcp { ack: base.ack + 1, ..base.clone() },
        Tcp { seq: base.ack, ack: base.seq, ..base.clone() },
        Tcp { source: base.destination, destination: base.source, ..base.clone() },
        with_option(4),  // TSval
        with_option(8),  // TSecr
        with_option(16), // left edge
        with_option(20), // right edge
    ];
    let ipv4 = Ipv4::default();
    let identities: Vec<u64> = variants
        .iter()
        .map(|tcp| identity_of(&untagged(&ipv4.packet(&tcp.segment())).bytes).unwrap())
        .collect();
    for (at, identity) in identities.iter().enumerate() {
        assert!(!identities[..at].contains(identity), "variant {at}: {:?}", variants[at]);
    }
}

#[test]
fn a_handshake_s_end_the_first_data_and_a_reset_differ_though_their_numbers_do_not() {
    let data = Tcp::default();
    let bare = |flags| Tcp { flags, payload: Vec::new(), ..data.clone() };
    let ipv6 = Ipv6::default();
    let identity = |tcp: &Tcp| identity_of(&untagged(&ipv6.packet(&tcp.segment())).bytes).unwrap();
    let all =
        [data.clone(), bare(ACK), bare(RST), bare(ACK | RST), bare(ACK | FIN)].map(|tcp| identity(&tcp));
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "{at}");
    }
    // What is merged into data: its flags come and go.
    assert_eq!(identity(&Tcp { flags: ACK | PSH | FIN, ..data.clone() }), all[0]);
}

#[test]
fn payloads_that_begin_alike_differ_where_nothing_else_tells_packets_apart() {
    let syslog = b"<134>Nov 24 16:40:41 compute-17 app[1234]: request 0001 done in 17 ms";
    let sip =
        b"INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP a.example.org:5060;branch=z9hG4bK0001\r\n";
    let sflow = [&[0, 0, 0, 5, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0][..], &[0; 4]].concat();
    let vxlan = [0x5a; 8 + 14 + 20 + 20];
    for (name, message, at) in [
        ("syslog", &syslog[..], 54),
        ("SIP", &sip[..], sip.len() - 3),
        ("sFlow", &sflow[..], 19),
        ("TCP in VXLAN", &vxlan[..], 8 + 14 + 20 + 7),
    ] {
        let other = {
            let mut other = message.to_vec();
            other[at] ^= 1;
            other
        };
        for l3 in [
            Ipv4 { id: 0, ..Ipv4::default() }.packet(&udp(1, 2, message)),
            Ipv6::default().packet(&udp(1, 2, message)),
        ] {
            let is_v4 = l3.ether_type == 0x0800;
            let segment = udp(1, 2, &other);
            let changed = if is_v4 {
                Ipv4 { id: 0, ..Ipv4::default() }.packet(&segment)
            } else {
                Ipv6::default().packet(&segment)
            };
            assert_ne!(identity_of(&untagged(&l3).bytes), identity_of(&untagged(&changed).bytes), "{name}");
        }
    }
}

#[test]
fn zeros_of_different_lengths_differ() {
    let of = |len| identity_of(&untagged(&Ipv6::default().packet(&udp(1, 2, &vec![0; len]))).bytes).unwrap();
    let mut all: Vec<u64> = (0..=160).map(of).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 161);
    assert_eq!(of(160), of(1400), "as the first piece of a datagram that is cut");
}

#[test]
fn swapping_the_two_ends_is_another_packet() {
    let segment = udp(7, 7, &payload(20));
    let there = Ipv4::default();
    let back = Ipv4 { source: there.destination, destination: there.source, ..there.clone() };
    assert_ne!(
        identity_of(&untagged(&there.packet(&segment)).bytes),
        identity_of(&untagged(&back.packet(&segment)).bytes)
    );
    let there = Ipv6::default();
    let back = Ipv6 { source: there.destination, destination: there.source, ..there.clone() };
    assert_ne!(
        identity_of(&untagged(&there.packet(&segment)).bytes),
        identity_of(&untagged(&back.packet(&segment)).bytes)
    );
}

#[test]
fn the_identity_is_the_same_on_every_host_and_in_every_version() {
    // Recorded runs and other hosts depend on these values: change them only with the format's version.
    let udp = untagged(&Ipv4::default().packet(&udp(5000, 53, &payload(20))));
    let arp = untagged(&arp(1, [10, 0, 0, 9], [10, 0, 0, 1]));
    assert_eq!((identity_of(&udp.bytes), identity_of(&arp.bytes)), (Ok(UDP_IDENTITY), Ok(ARP_IDENTITY)));
}
const UDP_IDENTITY: u64 = 15_828_486_906_163_824_036;
const ARP_IDENTITY: u64 = 14_611_916_563_367_074_102;

fn segment() -> impl Strategy<Value = Segment> {
    let tcp_options = prop_oneof![
        Just(Vec::new()),
        Just(TIMESTAMP.to_vec()),
        (1_u8..=4).prop_map(sack),
        (0_usize..=10).prop_flat_map(|words| vec(any::<u8>(), words * 4)),
    ];
    let tcp = (any::<[u16; 2]>(), any::<[u32; 2]>(), any::<u8>(), tcp_options, vec(any::<u8>(), 0..64));
    prop_oneof![
        (any::<[u16; 2]>(), vec(any::<u8>(), 0..=40)).prop_map(|([source, to], body)| udp(source, to, &body)),
        tcp.prop_map(|([source, destination], [seq, ack], flags, options, payload)| {
            Tcp { source, destination, seq, ack, flags, options, payload }.segment()
        }),
        (prop_oneof![Just((1, 8)), Just((1, 0)), Just((58, 128)), Just((58, 129))], any::<[u16; 2]>())
            .prop_map(|((protocol, kind), [id, seq])| echo(protocol, kind, id, seq)),
        any::<[u8; 16]>().prop_map(|target| neighbour(135, target)),
        (any::<[[u8; 4]; 2]>(), vec(any::<u8>(), 0..40))
            .prop_map(|([ports, tag], chunks)| sctp(ports, tag, &chunks)),
        vec(any::<u8>(), 1..40).prop_map(|body| other(&body)),
    ]
}

fn network_packet() -> impl Strategy<Value = L3> {
    let ipv4 = (
        any::<[[u8; 4]; 2]>(),
        any::<u16>(),
        prop_oneof![4 => Just(0), 1 => 0_u16..0x2000],
        any::<bool>(),
        0_usize..=10,
    )
        .prop_map(|([source, destination], id, fragment_offset, more_fragments, words)| {
            let options = vec![1; words * 4];
            Ipv4 { source, destination, id, fragment_offset, more_fragments, options }
        });
    // The authentication header is the one whose length counts in fours.
    let extension = prop_oneof![Just(0_u8), Just(43), Just(51), Just(60), Just(135)].prop_flat_map(|kind| {
        let len = (1_usize..4).prop_map(move |words| if kind == 51 { 8 + words * 4 } else { words * 8 });
        (Just(kind), len)
    });
    let ipv6 = (any::<[[u8; 16]; 2]>(), 0_u32..1 << 20, vec(extension, 0..=4), any::<Option<u16>>())
        .prop_map(|([source, destination], flow_label, mut extensions, fragment)| {
            if fragment.is_some() {
                extensions.push((44, 8));
            }
            let fragment_offset = fragment.unwrap_or(0) & 0x1fff;
            Ipv6 { source, destination, flow_label, extensions, fragment_offset }
        });
    prop_oneof![
        (ipv4, segment()).prop_map(|(ip, segment)| ip.packet(&segment)),
        (ipv6, segment()).prop_map(|(ip, segment)| ip.packet(&segment)),
        (1_u16..3, any::<[[u8; 4]; 2]>()).prop_map(|(operation, [spa, tpa])| arp(operation, spa, tpa)),
    ]
}

fn tags() -> impl Strategy<Value = Vec<(u16, u16)>> {
    prop_oneof![
        Just(Vec::new()),
        any::<u16>().prop_map(|control| vec![(VLAN, control)]),
        any::<[u16; 2]>().prop_map(|[outer, inner]| vec![(QINQ, outer), (VLAN, inner)]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_hops_change_together_keeps_the_identity(
        l3 in network_packet(),
        before in tags(),
        after in tags(),
        padding in vec(any::<u8>(), 0..30),
        noise in vec(any::<u8>(), 512),
    ) {
        let sent = frame(&l3, &before, &[]);
        let mut received = frame(&l3, &after, &padding);
        for ((byte, free), noise) in received.bytes.iter_mut().zip(&received.free).zip(&noise) {
            *byte ^= free & noise;
        }
        prop_assert_eq!(identity_of(&sent.bytes), identity_of(&received.bytes));
        prop_assert!(identity_of(&sent.bytes).is_ok());
    }

    #[test]
    fn any_change_of_hashed_bits_is_another_packet(
        l3 in network_packet(),
        bits in vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let sample = untagged(&l3);
        let hashed: Vec<usize> = Bytes::bits_of(&sample.hashed).collect();
        let mut changed = sample.bytes.clone();
        for bit in bits.iter().map(|index| hashed[index.index(hashed.len())]) {
            changed[bit / 8] ^= 1 << (bit % 8);
        }
        prop_assume!(changed != sample.bytes);
        prop_assert_ne!(identity_of(&changed), identity_of(&sample.bytes));
    }
}
