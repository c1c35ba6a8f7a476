//! The identities of segments follow from the packet they were merged into.

use hoptrace_common::packet::{IpIds, Merged, SliceReader};
use proptest::{collection::vec, prelude::*};

use crate::{
    frames::{ACK, FIN, Ipv4, Ipv6, PSH, TIMESTAMP, Tcp, payload, sack, udp, untagged},
    strict::{identity_of, parsed},
};

const MSS: u8 = 100;

fn merged(bytes: &[u8]) -> Merged {
    Merged::of(&SliceReader(bytes), &parsed(bytes).unwrap()).unwrap()
}

/// As a NIC gets them: `count` segments of [`MSS`] bytes, the last one shorter; and the one packet that becomes of them.
fn train(count: u16, seq: u32, options: &[u8]) -> (Vec<Tcp>, Tcp) {
    let segment = |number: u16| {
        let last = number + 1 == count;
        Tcp {
            seq: seq.wrapping_add(u32::from(number) * u32::from(MSS)),
            flags: if last { ACK | PSH | FIN } else { ACK },
            options: options.to_vec(),
            payload: payload(usize::from(if last { MSS / 2 } else { MSS })),
            ..Tcp::default()
        }
    };
    let segments: Vec<Tcp> = (0..count).map(segment).collect();
    let body = segments.iter().flat_map(|segment| segment.payload.clone()).collect();
    let whole = Tcp { payload: body, flags: ACK | PSH | FIN, ..segments[0].clone() };
    (segments, whole)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_segment_over_ipv4(
        count in 2_u16..50, seq in any::<u32>(), id in any::<u16>(), blocks in 0_u8..3, fixed in any::<bool>(),
    ) {
        let options = if blocks == 0 { TIMESTAMP.to_vec() } else { sack(blocks) };
        let (segments, whole) = train(count, seq, &options);
        let whole = merged(&untagged(&Ipv4 { id, ..Ipv4::default() }.packet(&whole.segment())).bytes);
        prop_assert!(whole.has_ip_ids());
        let ip_ids = if fixed { IpIds::Fixed } else { IpIds::Counting };
        for (number, segment) in (0_u16..).zip(&segments) {
            let id = if fixed { id } else { id.wrapping_add(number) };
            let alone = untagged(&Ipv4 { id, ..Ipv4::default() }.packet(&segment.segment()));
            let offset = u32::from(number) * u32::from(MSS);
            prop_assert_eq!(Ok(whole.segment(u32::from(number), offset, ip_ids)), identity_of(&alone.bytes));
        }
    }

    #[test]
    fn every_segment_over_ipv6(count in 2_u16..50, seq in any::<u32>(), options in vec(any::<u8>(), 12)) {
        let (segments, whole) = train(count, seq, &options);
        let whole = merged(&untagged(&Ipv6::default().packet(&whole.segment())).bytes);
        prop_assert!(!whole.has_ip_ids());
        for (number, segment) in (0_u16..).zip(&segments) {
            let alone = untagged(&Ipv6::default().packet(&segment.segment()));
            let offset = u32::from(number) * u32::from(MSS);
            for ip_ids in [IpIds::Counting, IpIds::Fixed] {
                prop_assert_eq!(Ok(whole.segment(u32::from(number), offset, ip_ids)), identity_of(&alone.bytes));
            }
        }
    }
}

#[test]
fn the_first_segment_is_the_packet_itself() {
    let bytes = untagged(&Ipv4::default().packet(&Tcp::default().segment())).bytes;
    assert_eq!(Ok(merged(&bytes).segment(0, 0, IpIds::Counting)), identity_of(&bytes));
    assert_ne!(merged(&bytes).segment(1, 24, IpIds::Counting), merged(&bytes).segment(1, 24, IpIds::Fixed));
}

#[test]
fn only_tcp_is_merged() {
    let datagram = untagged(&Ipv4::default().packet(&udp(5000, 53, &payload(64)))).bytes;
    assert_eq!(Merged::of(&SliceReader(&datagram), &parsed(&datagram).unwrap()), None);
    let tail = Ipv4 { fragment_offset: 0x10, ..Ipv4::default() };
    let tail = untagged(&tail.packet(&Tcp::default().segment())).bytes;
    assert_eq!(Merged::of(&SliceReader(&tail), &parsed(&tail).unwrap()), None);
}
