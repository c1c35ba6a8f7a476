//! Identities of traffic as it is, where packets differ in a counter or two: none is met twice, and they spread
//! evenly over the table.

use hoptrace_common::packet::{Frame, parse};
use hoptrace_common::{
    inflight::{WAYS, home_of, set_of},
    packet::SliceReader,
};

use crate::frames::{Ipv4, Ipv6, TIMESTAMP, Tcp, echo, payload, udp, untagged};

/// The identities of `count` frames, each made from the one before.
fn identities(mut frame: Vec<u8>, count: u32, mut next: impl FnMut(&mut [u8], u32)) -> Vec<u64> {
    (0..count)
        .map(|number| {
            next(&mut frame, number);
            let reader = SliceReader(&frame);
            parse(&reader, &Frame::read(&reader).unwrap()).unwrap().identity
        })
        .collect()
}

fn set_u16(frame: &mut [u8], at: usize, value: u32) {
    frame[at..at + 2].copy_from_slice(&value.to_be_bytes()[2..]);
}

fn set_u32(frame: &mut [u8], at: usize, value: u32) {
    frame[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// Chi-square of the counts, as standard deviations from what is expected.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn deviation(counts: &[u32]) -> f64 {
    let total: u32 = counts.iter().sum();
    let expected = f64::from(total) / counts.len() as f64;
    let chi_square: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
    let freedom = counts.len() as f64 - 1.0;
    (chi_square - freedom) / (2.0 * freedom).sqrt()
}

const IPV4_ID: usize = 18;
const L4: usize = 34;
const IPV6_L4: usize = 54;

/// Streams that differ from each other in their kind, packets of a stream in one or two counters.
fn streams() -> Vec<(&'static str, Vec<u64>)> {
    const EACH: u32 = 256 * 1024;
    let udp_v4 = untagged(&Ipv4::default().packet(&udp(5000, 53, &payload(40)))).bytes;
    let udp_v6 = untagged(&Ipv6::default().packet(&udp(5000, 53, &payload(40)))).bytes;
    let tcp = Tcp { options: TIMESTAMP.to_vec(), ..Tcp::default() };
    let tcp_v4 = untagged(&Ipv4::default().packet(&tcp.segment())).bytes;
    let tcp_v6 = untagged(&Ipv6::default().packet(&tcp.segment())).bytes;
    let echo_v4 = untagged(&Ipv4::default().packet(&echo(1, 8, 1, 1))).bytes;
    vec![
        (
            "UDP: counter in the payload, IP-ID",
            identities(udp_v4.clone(), EACH, |frame, number| {
                set_u16(frame, IPV4_ID, number & 0xffff);
                set_u32(frame, L4 + 8, number);
            }),
        ),
        (
            "UDP: one datagram per port pair, the IP-ID always 1",
            identities(udp_v4, EACH, |frame, number| {
                set_u16(frame, IPV4_ID, 1);
                set_u16(frame, L4, 1024 + (number >> 9));
                set_u16(frame, L4 + 2, number & 0x1ff);
            }),
        ),
        (
            "UDP over IPv6: counter at the end of what is hashed",
            identities(udp_v6, EACH, |frame, number| set_u32(frame, IPV6_L4 + 20, number)),
        ),
        (
            "TCP bulk: sequence number and IP-ID",
            identities(tcp_v4.clone(), EACH, |frame, number| {
                set_u16(frame, IPV4_ID, number & 0xffff);
                set_u32(frame, L4 + 4, number.wrapping_mul(1448));
            }),
        ),
        (
            "TCP acknowledgements without IP-ID: number and timestamp",
            identities(tcp_v4, EACH, |frame, number| {
                set_u16(frame, IPV4_ID, 0);
                set_u32(frame, L4 + 8, number.wrapping_mul(2896));
                set_u32(frame, L4 + 24, number / 16);
            }),
        ),
        (
            "TCP over IPv6: sequence and acknowledgement number together",
            identities(tcp_v6, EACH, |frame, number| {
                set_u32(frame, IPV6_L4 + 4, number & 0x1ff);
                set_u32(frame, IPV6_L4 + 8, number >> 9);
            }),
        ),
        (
            "echo: id and sequence number, IP-ID in step",
            identities(echo_v4.clone(), EACH, |frame, number| {
                set_u16(frame, IPV4_ID, number & 0xffff);
                set_u32(frame, L4 + 4, number);
            }),
        ),
        (
            "echo: a scan over addresses",
            identities(echo_v4, EACH, |frame, number| {
                set_u16(frame, IPV4_ID, 0);
                set_u32(frame, L4 + 4, 0x0001_0001);
                set_u32(frame, 30, 0x0a00_0000 + number);
            }),
        ),
    ]
}

#[test]
fn two_million_packets_of_real_shape_do_not_collide_and_spread_evenly() {
    const SETS: u32 = 1024;
    const HOMES: u32 = SETS * WAYS;
    /// As a trace may have it.
    const SEED: u64 = 0x5851_f42d_4c95_7f2d;
    // Of a fair hash one stream in a million lies beyond five deviations.
    const BOUND: f64 = 5.0;
    let streams = streams();
    for (name, identities) in &streams {
        let mut sets = vec![0; SETS as usize];
        let mut ways = vec![0; WAYS as usize];
        let mut way_bits = vec![0; 16];
        let mut homes = vec![0; HOMES as usize];
        for &identity in identities {
            let home = home_of(identity, SEED, 64 - HOMES.trailing_zeros());
            sets[set_of(home) as usize] += 1;
            ways[(home % WAYS) as usize] += 1;
            way_bits[(identity >> 32 & 0xf) as usize] += 1;
            homes[home as usize] += 1;
        }
        for (what, counts) in [("sets", sets), ("ways", ways), ("bits 32..36", way_bits), ("homes", homes)] {
            let deviation = deviation(&counts);
            assert!(deviation.abs() < BOUND, "{name}: {what} deviate by {deviation}");
        }
    }
    let mut all: Vec<u64> = streams.into_iter().flat_map(|(_, identities)| identities).collect();
    let count = all.len();
    assert!(count >= 2_000_000);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn the_chi_square_bound_notices_an_uneven_spread() {
    let mut counts = vec![256; 1024];
    assert!(deviation(&counts) < 0.0);
    for count in counts.iter_mut().step_by(2) {
        *count += 64;
    }
    assert!(deviation(&counts) > 5.0);
}

#[test]
fn nobody_can_choose_identities_that_have_their_homes_in_one_set() {
    const BITS: u32 = 16;
    // In one set for one seed: what somebody could find out who knew it.
    let chosen: Vec<u64> = (0_u64..)
        .step_by(0x1_0001)
        .filter(|key| set_of(home_of(*key, 0x1234_5679, 64 - BITS)) == 7)
        .take(64)
        .collect();
    // And what differs in a few bits only.
    let near: Vec<u64> = (0..64).map(|bit| 1 << bit).collect();
    for identities in [chosen, near] {
        for seed in [0x5851_f42d_4c95_7f2d, 0x1405_7b7e_f767_814f, 0x9e37_79b9_7f4a_7c15] {
            let sets: std::collections::HashSet<u32> =
                identities.iter().map(|key| set_of(home_of(*key, seed, 64 - BITS))).collect();
            assert!(sets.len() > 40, "{} sets of 64 with seed {seed:x}", sets.len());
        }
    }
}
