//! Between the NIC's TC hook and its driver: what netem delays, what a full queue drops, and what software segmentation
//! cuts there.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is a failed test; a JSON value that is missing reads as null"
)]

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    Tracer,
    lab::{Lab, Trap},
};
use serde_json::Value;

const PINGS: u64 = 100;
const DELAY_NS: u64 = 10_000_000;
const TCP_BYTES: u64 = 8_000_000;
const PORT: u16 = 4445;
const DATAGRAMS: u64 = 100;

fn segment<'a>(report: &'a Value, direction: &str, from: &str) -> Result<&'a Value> {
    let segments = report["directions"][direction]["segments"].as_array().context("no segments")?;
    let found = segments.iter().find(|segment| segment["from"] == from && segment["off_path"] == false);
    found.with_context(|| format!("{direction}: no segment from {from}"))
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn a_delay_at_the_nic_is_that_between_nic_and_wire() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let nic = ["dev", &lab.nic, "root"];
    let add = [&["qdisc", "add"], &nic[..], &["netem", "delay", "10ms"]].concat();
    let _delay = Trap::set("tc", &add, &[&["qdisc", "del"], &nic[..]].concat())?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--wire", "--json"])?;
    let sent = guest.ping(lab.wire.ipv4.into(), PINGS, Duration::from_millis(30))?;
    let report = tracer.finish()?;
    ensure!(sent.received == PINGS, "{sent:?}");
    for direction in ["egress", "ingress"] {
        let ledger = &report["directions"][direction]["ledger"];
        ensure!(ledger["entered"] == PINGS && ledger["completed"] == PINGS, "{direction}: {ledger}");
        ensure!(ledger["unseen"] == 0, "{direction}: {ledger}");
    }
    let p50 = |direction, from| -> Result<u64> {
        let segment = segment(&report, direction, from)?;
        ensure!(segment["count"] == PINGS, "{segment}");
        segment["latency_ns"]["p50"].as_u64().with_context(|| format!("no latency in {segment}"))
    };
    let delayed_ns = p50("egress", "nic")?;
    ensure!((DELAY_NS..DELAY_NS * 3 / 2).contains(&delayed_ns), "{delayed_ns} ns between nic and wire");
    for (direction, from) in [
        ("egress", "tap"),
        ("egress", "qvb"),
        ("egress", "qvo"),
        ("ingress", "nic"),
        ("ingress", "qvo"),
        ("ingress", "qvb"),
    ] {
        let elsewhere_ns = p50(direction, from)?;
        ensure!(elsewhere_ns < DELAY_NS / 2, "{direction}: {elsewhere_ns} ns behind {from}");
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn tcp_that_is_cut_for_the_driver_is_split_at_the_wire() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let set = |state| ["-K", &lab.nic, "tso", state, "gso", state];
    let _cut = Trap::set("ethtool", &set("off"), &set("on"))?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "tcp", "--wire", "--json"])?;
    let sink = lab.wire_tcp_sink(5010)?;
    guest.send_tcp((lab.wire.ipv4.into(), 5010), TCP_BYTES)?;
    let arrived = sink.finish()?;
    let report = tracer.finish()?;
    ensure!(arrived == TCP_BYTES, "{arrived}");
    let ledger = &report["directions"]["egress"]["ledger"];
    let count = |name: &str| ledger[name].as_u64().with_context(|| format!("no {name} in {ledger}"));
    ensure!(ledger["balanced"] == true, "{ledger}");
    for none in ["joined_midway", "lost", "unseen", "merged", "evicted", "ambiguous", "untracked", "unparsed"]
    {
        ensure!(count(none)? == 0, "{none} in {ledger}");
    }
    ensure!(count("split")? > TCP_BYTES / 1448 / 2, "{ledger}");
    ensure!(count("completed")? == count("entered")? + count("split")?, "{ledger}");
    // Uncut as far as the NIC, and each in pieces from there.
    for from in ["tap", "qvb", "qvo", "nic"] {
        ensure!(segment(&report, "egress", from)?["count"] == ledger["entered"], "{report}");
    }
    let wire = report["directions"]["egress"]["hooks"].as_array().context("no hooks")?;
    let wire = wire.iter().find(|hook| hook["hook"] == "wire").context("no wire hook")?;
    ensure!(wire["seen"] == ledger["completed"], "{wire}, {ledger}");
    Ok(())
}

/// Packets that the NIC's discipline has dropped so far, by its own count.
fn dropped(lab: &Lab) -> Result<u64> {
    let output = Command::new("tc").args(["-s", "-j", "qdisc", "show", "dev", &lab.nic, "root"]).output()?;
    let shown: Value = serde_json::from_slice(&output.stdout)?;
    shown[0]["drops"].as_u64().with_context(|| format!("no count in {shown}"))
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn packets_that_a_full_queue_drops_die_after_the_nic() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let nic = ["dev", &lab.nic, "root"];
    let add =
        [&["qdisc", "add"], &nic[..], &["tbf", "rate", "8mbit", "burst", "1600", "limit", "10000"]].concat();
    let _slow = Trap::set("tc", &add, &[&["qdisc", "del"], &nic[..]].concat())?;
    let sink = lab.wire_udp_sink(PORT)?;
    let port = PORT.to_string();
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "and", "port", &port, "--wire", "--json"])?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), PORT), DATAGRAMS, 958, Duration::ZERO)?;
    // What went into the queue before these has left it when they come back.
    let pings = guest.ping(lab.wire.ipv4.into(), 20, Duration::from_millis(20))?;
    let arrived = sink.finish(0, Duration::ZERO)?.datagrams;
    let dropped = dropped(&lab)?;
    let report = tracer.finish()?;
    ensure!(sent.sent == DATAGRAMS && pings.received > 0, "{sent:?} {pings:?}");
    let died = DATAGRAMS - arrived;
    ensure!(died > 0 && dropped == died + pings.sent - pings.received, "{died} died, {dropped} were dropped");
    let egress = &report["directions"]["egress"];
    let ledger = &egress["ledger"];
    ensure!(ledger["entered"] == DATAGRAMS && ledger["completed"] == DATAGRAMS - died, "{ledger}");
    ensure!(ledger["balanced"] == true && ledger["joined_midway"] == 0, "{ledger}");
    ensure!(ledger["unseen"] == 0, "{ledger}");
    let drops = egress["drops"].as_array().context("no list of drops")?;
    // One line of the kernel can be at several places of its machine code.
    ensure!(drops.iter().all(|drop| drop["after"] == "nic" && drop["reason"] == "QDISC_DROP"), "{drops:?}");
    let counted: u64 = drops.iter().filter_map(|drop| drop["count"].as_u64()).sum();
    ensure!(counted == died, "{died} died: {drops:?}");
    Ok(())
}
