//! Between the NIC's TC hook and its driver: what netem delays, what a full queue drops, and what software segmentation
//! cuts there.

use std::process::Command;

use hoptrace_tests::prelude::*;
use hoptrace_tests::report::{DirectionReport, Segment};
use serde_json::Value;

const PINGS: u64 = 100;
const DELAY_NS: u64 = 10_000_000;
const TCP_BYTES: u64 = 8_000_000;
const PORT: u16 = 4445;
const DATAGRAMS: u64 = 100;

/// The segment of the path that begins at this hook.
fn segment(found: &DirectionReport, from: &str) -> Result<Segment> {
    let segment = found.on_path().find(|segment| segment.from == from);
    segment.cloned().with_context(|| format!("no segment from {from}: {found}"))
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
    for (direction, found) in report.directions.both() {
        let ledger = found.ledger;
        let all = Ledger { entered: PINGS, completed: PINGS, unseen: 0, ..ledger };
        ledger.expect(&all).context(direction)?;
    }
    let p50 = |direction, from| -> Result<u64> {
        let segment = segment(report.direction(direction), from)?;
        ensure!(segment.count == PINGS, "{segment}");
        Ok(segment.ns()?.p50)
    };
    let delayed_ns = p50(Egress, "nic")?;
    ensure!((DELAY_NS..DELAY_NS * 3 / 2).contains(&delayed_ns), "{delayed_ns} ns between nic and wire");
    for (direction, from) in [
        (Egress, "tap"),
        (Egress, "qvb"),
        (Egress, "qvo"),
        (Ingress, "nic"),
        (Ingress, "qvo"),
        (Ingress, "qvb"),
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
    let egress = report.egress();
    let ledger = egress.ledger;
    let none = Ledger { joined_midway: 0, lost: 0, unseen: 0, merged: 0, evicted: 0, ..ledger };
    let none = Ledger { ambiguous: 0, untracked: 0, unparsed: 0, ..none };
    ledger.expect(&Ledger { completed: ledger.entered + ledger.split, ..none })?;
    ensure!(ledger.split > TCP_BYTES / 1448 / 2, "{ledger}");
    // Uncut as far as the NIC, and each in pieces from there.
    for from in ["tap", "qvb", "qvo", "nic"] {
        ensure!(segment(egress, from)?.count == ledger.entered, "{report}");
    }
    let wire = egress.hook("wire")?;
    ensure!(wire.seen == ledger.completed, "{wire}, {ledger}");
    Ok(())
}

/// Packets that the NIC's discipline has dropped so far, by its own count.
fn dropped(lab: &Lab) -> Result<u64> {
    let output = Command::new("tc").args(["-s", "-j", "qdisc", "show", "dev", &lab.nic, "root"]).output()?;
    let shown: Value = serde_json::from_slice(&output.stdout)?;
    shown.pointer("/0/drops").and_then(Value::as_u64).with_context(|| format!("no count in {shown}"))
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn packets_that_a_full_queue_drops_die_after_the_nic() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let nic = ["dev", &lab.nic, "root"];
    // Slower than any machine sends.
    let add =
        [&["qdisc", "add"], &nic[..], &["tbf", "rate", "1mbit", "burst", "1600", "limit", "10000"]].concat();
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
    let egress = report.egress();
    let (completed, ledger) = (DATAGRAMS - died, egress.ledger);
    let expected = Ledger { entered: DATAGRAMS, completed, joined_midway: 0, unseen: 0, ..ledger };
    ledger.expect(&expected)?;
    // One line of the kernel can be at several places of its machine code.
    for drop in &egress.drops {
        ensure!(drop.after == "nic" && drop.reason.as_deref() == Some("QDISC_DROP"), "{drop}");
    }
    ensure!(egress.died() == died, "{died} died: {egress}");
    Ok(())
}
