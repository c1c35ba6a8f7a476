//! Packets of usual shapes: what is found in few steps is what all steps find.

use hoptrace_common::packet::{Frame, parse_usual};

use crate::{
    frames::{Ipv4, Ipv6, L3, SYN, TIMESTAMP, Tcp, frame, payload, sack, udp},
    strict::{StrictReader, parsed},
};

const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

const TAGS: [&[(u16, u16)]; 5] =
    [&[], &[(VLAN, 0x0064)], &[(QINQ, 0x0064)], &[(QINQ, 0x0064), (VLAN, 0x0fff)], &[(VLAN, 1), (VLAN, 2)]];

fn over_both(id: u16, segment: &crate::frames::Segment) -> [L3; 2] {
    [Ipv4 { id, ..Ipv4::default() }.packet(segment), Ipv6::default().packet(segment)]
}

#[test]
fn usual_shapes_are_read_alike_behind_any_tags() {
    let segments = [
        udp(40_000, 5_001, &payload(16)),
        udp(40_000, 5_001, &payload(17)),
        udp(40_000, 5_001, &payload(1_400)),
        Tcp::default().segment(),
        Tcp { options: TIMESTAMP.to_vec(), ..Tcp::default() }.segment(),
        Tcp { options: TIMESTAMP.to_vec(), payload: Vec::new(), ..Tcp::default() }.segment(),
        Tcp { flags: SYN, payload: Vec::new(), ..Tcp::default() }.segment(),
    ];
    for (segment, id) in segments.iter().flat_map(|segment| [(segment, 0), (segment, 0x4321)]) {
        for (l3, tags) in over_both(id, segment).iter().flat_map(|l3| TAGS.map(|tags| (l3, tags))) {
            let sample = frame(l3, tags, &[0; 6]);
            let reader = StrictReader(&sample.bytes);
            let header = Frame::read_untagged(&reader).unwrap();
            assert_eq!(parse_usual(&reader, &header), parsed(&sample.bytes).ok(), "{tags:x?} {l3:?}");
        }
    }
}

#[test]
fn other_shapes_are_not_usual() {
    let segments = [
        udp(40_000, 5_001, &payload(15)),
        udp(40_000, 67, &payload(64)),
        udp(40_000, 68, &payload(64)),
        udp(40_000, 546, &payload(64)),
        udp(40_000, 547, &payload(64)),
        Tcp { options: sack(2), ..Tcp::default() }.segment(),
    ];
    for l3 in segments.iter().flat_map(|segment| over_both(7, segment)) {
        let sample = frame(&l3, &[(VLAN, 5)], &[0; 6]);
        let reader = StrictReader(&sample.bytes);
        let header = Frame::read_untagged(&reader).unwrap();
        assert_eq!(parse_usual(&reader, &header), None, "{l3:?}");
    }
}
