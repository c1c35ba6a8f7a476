//! The identities of segments follow from the packet they were merged into.

use hoptrace_common::packet::{Body, IpIds, Merged};
use proptest::{collection::vec, prelude::*};

use crate::{
    frames::{ACK, FIN, Ipv4, Ipv6, PSH, TIMESTAMP, Tcp, echo, payload, sack, udp, untagged},
    strict::{StrictReader, identity_of, parsed},
};

const MSS: u8 = 100;

fn merged(bytes: &[u8]) -> Merged {
    Merged::of(&StrictReader(bytes), &parsed(bytes).unwrap()).unwrap()
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

/// The identity of datagram `number` of the packet `bytes`, which is made of datagrams of `size` bytes, as the program
/// computes it: from the larger packet alone.
fn datagram(bytes: &[u8], number: u16, size: usize, ip_ids: IpIds) -> u64 {
    let whole = merged(bytes);
    assert!(whole.is_datagrams());
    let body = &bytes[whole.payload_offset as usize..][usize::from(number) * size..];
    let body = &body[..body.len().min(size).min(Body::LEN as usize)];
    let mut read = [0xaa; (Body::BEHIND + Body::LEN) as usize];
    read[Body::BEHIND as usize..][..body.len()].copy_from_slice(body);
    let body = Body::read(&StrictReader(&read), u32::try_from(body.len()).unwrap()).unwrap();
    assert_eq!(Body::from_numbers(body.numbers()), body);
    whole.datagram(number.into(), body, ip_ids)
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
        for (number, segment) in (0_u16..).zip(&segments) {
            let alone = untagged(&Ipv6::default().packet(&segment.segment()));
            let offset = u32::from(number) * u32::from(MSS);
            for ip_ids in [IpIds::Counting, IpIds::Fixed] {
                prop_assert_eq!(Ok(whole.segment(u32::from(number), offset, ip_ids)), identity_of(&alone.bytes));
            }
        }
    }

    #[test]
    fn every_datagram(
        count in 2_u16..24, size in 1_usize..200, last in 1_usize..200, bytes in vec(any::<u8>(), 24 * 200),
        id in prop_oneof![Just(0), Just(0xfffe), any::<u16>()], fixed in any::<bool>(), v6 in any::<bool>(),
    ) {
        let last = last.min(size);
        let bytes = &bytes[..usize::from(count - 1) * size + last];
        let packet = |id: u16, payload: &[u8]| {
            let datagram = udp(5000, 53, payload);
            let v4 = || Ipv4 { id, ..Ipv4::default() }.packet(&datagram);
            untagged(&if v6 { Ipv6::default().packet(&datagram) } else { v4() }).bytes
        };
        let whole = packet(id, bytes);
        let ip_ids = if fixed { IpIds::Fixed } else { IpIds::Counting };
        for (number, payload) in (0_u16..).zip(bytes.chunks(size)) {
            let id = if fixed { id } else { id.wrapping_add(number) };
            prop_assert_eq!(Ok(datagram(&whole, number, size, ip_ids)), identity_of(&packet(id, payload)));
        }
        // The first is the packet itself, if no more than its own bytes are part of the identity.
        if size >= Body::LEN as usize {
            prop_assert_eq!(Ok(datagram(&whole, 0, size, ip_ids)), identity_of(&whole));
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
fn only_tcp_and_udp_are_merged_and_no_fragments() {
    let of = |bytes: &[u8]| Merged::of(&StrictReader(bytes), &parsed(bytes).unwrap());
    assert_eq!(of(&untagged(&Ipv4::default().packet(&echo(1, 8, 5, 6))).bytes), None);
    let tail = Ipv4 { fragment_offset: 0x10, ..Ipv4::default() };
    for segment in [Tcp::default().segment(), udp(5000, 53, &payload(64))] {
        assert_eq!(of(&untagged(&tail.packet(&segment)).bytes), None);
    }
}
