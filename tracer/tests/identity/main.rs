//! The identity is the same 64 bits on both sides of the kernel line: whatever frame comes, the programs in the kernel
//! find in it what the same parsers, built for the host, find.
//!
//! The frames go through `BPF_PROG_TEST_RUN`, past two programs of the bench object: one that reads the usual shapes in
//! place, as the programs at TC do, and one that reads every shape from a copy of the packet's head, as the
//! program that all hooks share does.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

#[path = "../../../tracer-common/tests/packet/bytes.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod bytes;
#[path = "../../../tracer-common/tests/packet/frames.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod frames;
mod kernel;
#[path = "../../benches/support/object.rs"]
mod object;

use anyhow::{Result, ensure};
use hoptrace_common::packet::{Frame, ParseError, SliceReader, parse, parse_usual};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::{
    frames::{every_kind, frame},
    kernel::{Found, Kernel},
};

const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;
/// No, one, two, and more tags than any parser follows.
const TAGS: [&[(u16, u16)]; 6] = [
    &[],
    &[(VLAN, 0x0064)],
    &[(QINQ, 0x2064)],
    &[(QINQ, 0x2064), (VLAN, 0x0065)],
    &[(VLAN, 1), (VLAN, 2)],
    &[(QINQ, 1), (VLAN, 2), (VLAN, 3)],
];
/// What the thorough program copies of a frame: `scratch::LEN` in `tracer-ebpf`.
const HEAD_BYTES: usize = 256;
/// The kernel takes no frame without anything behind the Ethernet header, nor one that ends within the IP header.
const SHORTEST_BYTES: usize = 15;
const SHORTEST_IPV4_BYTES: usize = 14 + 20;
const SHORTEST_IPV6_BYTES: usize = 14 + 40;
const CASES: u32 = 4_000;

/// What the host finds in a usual shape.
fn usual(frame: &[u8]) -> Found {
    let reader = SliceReader(frame);
    let found = Frame::read_untagged(&reader).and_then(|frame| parse_usual(&reader, &frame));
    found.map_or(Found::Truncated, |packet| Found::Identity(packet.identity))
}

/// What the host finds in any shape.
fn thorough(frame: &[u8]) -> Found {
    let reader = SliceReader(&frame[..frame.len().min(HEAD_BYTES)]);
    let Some(frame) = Frame::read(&reader) else { return Found::Truncated };
    match parse(&reader, &frame) {
        Ok(packet) => Found::Identity(packet.identity),
        Err(ParseError::Foreign) => Found::Foreign,
        Err(ParseError::Truncated) => Found::Truncated,
        Err(ParseError::Malformed) => Found::Malformed,
    }
}

/// Both programs agree with the host, and with each other where the shape is a usual one.
fn check(kernel: &mut Kernel, frame: &[u8]) -> Result<()> {
    let (by_usual, by_thorough) = (usual(frame), thorough(frame));
    let found = kernel.usual(frame)?;
    ensure!(found == by_usual, "usual shapes: kernel {found:?}, host {by_usual:?}: {frame:02x?}");
    let found = kernel.thorough(frame)?;
    ensure!(found == by_thorough, "all shapes: kernel {found:?}, host {by_thorough:?}: {frame:02x?}");
    if matches!(by_usual, Found::Identity(_)) {
        ensure!(
            by_usual == by_thorough,
            "the two parsers differ, {by_usual:?} {by_thorough:?}: {frame:02x?}"
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn every_kind_of_packet_has_the_same_identity_in_the_kernel() -> Result<()> {
    let mut kernel = Kernel::load()?;
    let (mut identities, mut usual_shapes) = (0, 0);
    for (name, l3) in every_kind() {
        for tags in TAGS {
            for padding in [&[][..], &[0xff; 3], &[0; 300]] {
                let frame = frame(&l3, tags, padding).bytes;
                check(&mut kernel, &frame).map_err(|error| error.context(name.clone()))?;
                identities += usize::from(matches!(thorough(&frame), Found::Identity(_)));
                usual_shapes += usize::from(matches!(usual(&frame), Found::Identity(_)));
            }
        }
    }
    // Otherwise two parsers that find nothing would agree, too.
    ensure!(identities > 5_000 && usual_shapes > 300, "{identities} identities, {usual_shapes} usual shapes");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn changed_and_cut_frames_have_the_same_identity_in_the_kernel() -> Result<()> {
    let kernel = std::cell::RefCell::new(Kernel::load()?);
    let kinds = every_kind();
    let frames = (0..kinds.len(), 0..TAGS.len(), vec((0_usize..128, any::<u8>()), 0..5), 0_usize..400);
    let frames = frames.prop_map(|(kind, tags, changes, length)| {
        let mut bytes = frame(&kinds[kind].1, TAGS[tags], &[]).bytes;
        for (place, value) in changes {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        // One of two is cut or filled up.
        if length % 2 == 1 {
            bytes.resize(length.max(SHORTEST_BYTES), 0x5a);
        }
        fill_up(bytes)
    });
    run(&kernel, &frames)
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn random_bytes_have_the_same_identity_in_the_kernel() -> Result<()> {
    let kernel = std::cell::RefCell::new(Kernel::load()?);
    let ether_types = prop::sample::select(vec![0x0800_u16, 0x86dd, 0x0806, VLAN, QINQ, 0x88cc]);
    let frames = (ether_types, vec(any::<u8>(), SHORTEST_BYTES..300), any::<u8>());
    let frames = frames.prop_map(|(ether_type, mut bytes, version)| {
        bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
        // Most of them shall come further than the first byte of the network header.
        bytes[14] = match (ether_type, version % 4) {
            (0x0800, 1..) => 0x45 + version % 3,
            (0x86dd, 1..) => 0x60,
            _ => bytes[14],
        };
        fill_up(bytes)
    });
    run(&kernel, &frames)
}

/// Makes a frame as long as the kernel wants it. Behind VLAN tags it does not look at the IP header.
fn fill_up(mut frame: Vec<u8>) -> Vec<u8> {
    let shortest = match &frame[12..14] {
        [0x08, 0x00] => SHORTEST_IPV4_BYTES,
        [0x86, 0xdd] => SHORTEST_IPV6_BYTES,
        _ => SHORTEST_BYTES,
    };
    frame.resize(frame.len().max(shortest), 0x5a);
    frame
}

fn run(kernel: &std::cell::RefCell<Kernel>, frames: &impl Strategy<Value = Vec<u8>>) -> Result<()> {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(frames, |frame| {
        check(&mut kernel.borrow_mut(), &frame).map_err(|error| TestCaseError::fail(format!("{error:#}")))
    })?;
    Ok(())
}
