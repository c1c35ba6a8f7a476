//! What one VM, or who sends to it, can do to others and to what is told about them: crafted floods through the programs of a
//! trace (`BPF_PROG_TEST_RUN`), and what comes of them in numbers.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

#[path = "../../../tracer-common/tests/packet/bytes.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod bytes;
#[path = "../../../tracer-common/tests/packet/frames.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod frames;
mod port;

use anyhow::{Result, ensure};
use hoptrace::model::Mechanism;

use crate::{
    frames::{ACK, GUEST_V4, HOST_V4, ICMP, Ipv4, PSH, SYN, Tcp, arp, echo, payload, udp, untagged},
    port::{Port, TAP_IN, TAP_OUT, WIRE_OUT},
};

const FLOOD: u32 = 20_000;
/// Questions of one kind that are remembered at most.
const ROOM: u64 = 4_096;
/// How much more others may cost afterwards; what is measured here is the CPU's time of a busy machine.
const DEARER: f64 = 1.6;

/// A source of its own for each number.
fn source(number: u32) -> [u8; 4] {
    let [_, b, c, d] = number.to_be_bytes();
    [100, b, c, d]
}

/// With another MAC address: the sender's.
fn from(mut frame: Vec<u8>, mac: [u8; 6]) -> Vec<u8> {
    frame[6..12].copy_from_slice(&mac);
    frame
}

fn to(mut frame: Vec<u8>, mac: [u8; 6]) -> Vec<u8> {
    frame[..6].copy_from_slice(&mac);
    frame
}

/// The MAC address with this number of a series.
fn mac(series: u8, number: u32) -> [u8; 6] {
    let [_, b, c, d] = number.to_be_bytes();
    [0x02, series, 0x3e, b, c, d]
}

/// A datagram from a VM to the wire.
fn outward(number: u32, from_mac: [u8; 6]) -> Vec<u8> {
    let [_, _, c, d] = number.to_be_bytes();
    let packet =
        Ipv4 { id: u16::from_be_bytes([c, d]), ..Ipv4::default() }.packet(&udp(1, 2, &number.to_be_bytes()));
    from(to(untagged(&packet).bytes, mac(9, 9)), from_mac)
}

/// The verifier gives up at a million for one program.
const INSTRUCTIONS: u32 = 1_000_000;

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_verifier_follows_all_programs_in_a_moment() -> Result<()> {
    for mechanism in [Mechanism::Tcx, Mechanism::Tracepoints] {
        let followed = port::load_all(mechanism)?;
        ensure!(
            followed < INSTRUCTIONS,
            "{followed} instructions in all programs together, {}",
            mechanism.name()
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn connection_requests_from_spoofed_sources_leave_no_figure_unsaid() -> Result<()> {
    let port = Port::at_tap()?;
    for number in 0..FLOOD {
        let syn = Tcp { flags: SYN, payload: Vec::new(), ..Tcp::default() }.segment();
        port.pass(
            TAP_OUT,
            &untagged(&Ipv4 { source: source(number), ..Ipv4::default() }.packet(&syn)).bytes,
        )?;
    }
    let told = port.told("questions_without_room");
    ensure!(told.asked == Some(u64::from(FLOOD)), "{told:?}");
    ensure!(told.count >= u64::from(FLOOD) - ROOM && told.count < u64::from(FLOOD), "{told:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn questions_that_are_never_answered_are_bounded_and_told() -> Result<()> {
    let port = Port::at_tap()?;
    for number in 0..FLOOD {
        let asks = Tcp { flags: ACK | PSH, payload: payload(20), ..Tcp::default() }.segment();
        port.pass(
            TAP_OUT,
            &untagged(&Ipv4 { source: source(number), ..Ipv4::default() }.packet(&asks)).bytes,
        )?;
    }
    // To be acknowledged, and to be answered.
    let told = port.told("questions_without_room");
    ensure!(told.asked == Some(2 * u64::from(FLOOD)), "{told:?}");
    ensure!(told.count >= 2 * (u64::from(FLOOD) - ROOM), "{told:?}");
    // Echo requests and ARP requests share what room there is.
    let port = Port::at_tap()?;
    for number in 0..FLOOD {
        let [_, _, id, seq] = number.to_be_bytes();
        let ping = echo(ICMP, 8, id.into(), seq.into());
        port.pass(TAP_OUT, &untagged(&Ipv4::default().packet(&ping)).bytes)?;
    }
    ensure!(port.told("questions_without_room").asked == Some(u64::from(FLOOD)), "echo requests");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn arp_for_everybody_is_bounded_and_told() -> Result<()> {
    let port = Port::at_tap()?;
    for number in 0..FLOOD {
        port.pass(TAP_OUT, &untagged(&arp(1, source(number), GUEST_V4)).bytes)?;
    }
    let told = port.told("questions_without_room");
    ensure!(told.asked == Some(u64::from(FLOOD)) && told.count >= u64::from(FLOOD) - ROOM, "{told:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn one_frame_under_another_address_makes_nobody_else_dearer() -> Result<()> {
    let mut port = Port::at_tap_and_wire()?;
    let neighbour = outward(1, mac(1, 1));
    let before = port.ns_per_packet(WIRE_OUT, &neighbour)?;
    port.pass(TAP_IN, &outward(2, mac(2, 2)))?;
    let after = port.ns_per_packet(WIRE_OUT, &neighbour)?;
    ensure!(after <= before * DEARER, "{before:.1} ns before, {after:.1} ns after");
    ensure!(port.sum("other_address_sent") == 1 && port.sum("other_address_unlearned") == 0, "not told");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn addresses_out_of_a_spray_make_nobody_else_dearer_and_are_told() -> Result<()> {
    let mut port = Port::at_tap_and_wire()?;
    let neighbour = outward(1, mac(1, 1));
    let before = port.ns_per_packet(WIRE_OUT, &neighbour)?;
    for number in 0..FLOOD {
        port.pass(TAP_IN, &outward(number, mac(2, number)))?;
    }
    let after = port.ns_per_packet(WIRE_OUT, &neighbour)?;
    ensure!(after <= before * DEARER, "{before:.1} ns before, {after:.1} ns after");
    ensure!(port.sum("other_address_sent") == u64::from(FLOOD), "not all were counted");
    let unlearned = port.sum("other_address_unlearned");
    ensure!((u64::from(FLOOD) - 64..u64::from(FLOOD)).contains(&unlearned), "{unlearned} were not learned");
    // None of them is lost: what can not be followed to the wire ends where it was seen last.
    let ledger = port.ledger();
    ensure!(ledger.entered == u64::from(FLOOD) && ledger.completed == unlearned, "{ledger:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn frames_flooded_to_the_tap_are_counted_whatever_their_addresses() -> Result<()> {
    let port = Port::at_tap()?;
    for number in 0..FLOOD {
        port.pass(TAP_OUT, &to(outward(number, mac(1, 1)), mac(3, number)))?;
    }
    ensure!(port.sum("other_address_passed") == u64::from(FLOOD), "{}", port.sum("other_address_passed"));
    let packet = Ipv4 { source: HOST_V4, destination: GUEST_V4, ..Ipv4::default() };
    port.pass(TAP_OUT, &untagged(&packet.packet(&udp(1, 2, &payload(40)))).bytes)?;
    ensure!(port.sum("other_address_passed") == u64::from(FLOOD), "the port's own counts as another's");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_datagram_in_tiny_parts_takes_a_bounded_time() -> Result<()> {
    let mut port = Port::at_tap_and_wire()?;
    let own = [0xfa, 0x16, 0x3e, 1, 2, 3];
    let packet = Ipv4::default().packet(&udp(1, 2, &payload(3_000)));
    let frame = from(to(untagged(&packet).bytes, mac(9, 9)), own);
    let whole = port.ns_per_packet(TAP_IN, &frame)?;
    let in_parts = port.ns_per_part(TAP_IN, &frame, 1, 3_000)?;
    // As many looks at the table as one run of a program makes, at most.
    ensure!(in_parts < 500_000.0, "{in_parts:.0} ns for one packet, {whole:.0} ns for a whole one");
    Ok(())
}

const VRRP: [u8; 6] = [0, 0, 0x5e, 0, 1, 0x33];

/// A datagram from the wire to an address behind the port.
fn inward(number: u32, to_mac: [u8; 6]) -> Vec<u8> {
    to(outward(number, mac(9, 9)), to_mac)
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn an_address_is_learned_from_the_guest_s_own_frames_and_from_nothing_else() -> Result<()> {
    let port = Port::at_tap()?;
    port.pass(TAP_OUT, &inward(1, VRRP))?;
    port.pass(TAP_OUT, &inward(2, VRRP))?;
    ensure!((port.sum("other_address_passed"), port.sum("other_address_followed")) == (2, 0), "before");
    port.pass(TAP_IN, &outward(3, VRRP))?;
    for number in 10..20 {
        port.pass(TAP_OUT, &inward(number, VRRP))?;
    }
    ensure!((port.sum("other_address_passed"), port.sum("other_address_followed")) == (2, 10), "afterwards");
    let ledger = port.ledger_to_guest();
    ensure!(ledger.completed == 10 && ledger.joined_midway == 10, "{ledger:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn another_port_s_address_is_followed_out_and_never_in() -> Result<()> {
    let mut port = Port::at_tap()?;
    port.know_stranger(VRRP)?;
    port.pass(TAP_IN, &outward(3, VRRP))?;
    port.pass(TAP_OUT, &inward(10, VRRP))?;
    ensure!((port.sum("other_address_passed"), port.sum("other_address_followed")) == (1, 0), "followed in");
    ensure!(port.ledger_to_guest().joined_midway == 0, "{:?}", port.ledger_to_guest());
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn what_the_guest_sends_under_other_addresses_is_followed_to_the_wire() -> Result<()> {
    let port = Port::at_tap_and_wire()?;
    for number in 0..10 {
        port.pass(TAP_IN, &outward(number, VRRP))?;
        port.pass(WIRE_OUT, &outward(number, VRRP))?;
        // A neighbour's, under the same address: never seen at the tap.
        port.pass(WIRE_OUT, &outward(100 + number, VRRP))?;
    }
    let ledger = port.ledger();
    ensure!((ledger.entered, ledger.completed, ledger.joined_midway) == (10, 10, 0), "{ledger:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn an_address_that_was_given_is_the_port_s_from_the_first_frame_on() -> Result<()> {
    let port = Port::at_tap()?;
    ensure!(port.give(VRRP), "no room");
    for number in 0..10 {
        port.pass(TAP_OUT, &inward(number, VRRP))?;
    }
    ensure!(
        port.sum("other_address_followed") == 10 && port.ledger_to_guest().completed == 10,
        "not followed"
    );
    Ok(())
}
