//! The NIC's queueing discipline: the time packets wait in it stands between `nic` and `wire`.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is a failed test; a JSON value that is missing reads as null"
)]

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    Tracer,
    lab::{Lab, Trap},
};
use serde_json::Value;

const PORT: u16 = 4445;
/// Few enough for the send buffer of the userspace datapath, which they fill while they wait.
const DATAGRAMS: u64 = 50;
/// With headers: what one datagram takes of the discipline's rate.
const SIZE_BYTES: usize = 958;
/// One datagram of 1,000 bytes takes ten milliseconds, much longer than the guest does to send it; the first goes at once.
const RATE: [&str; 4] = ["rate", "800kbit", "burst", "1600"];

fn median_ns(report: &Value, from: &str) -> Result<u64> {
    let segments = report["directions"]["egress"]["segments"].as_array().context("no segments")?;
    let segment = segments.iter().find(|segment| segment["from"] == from && segment["off_path"] == false);
    let segment = segment.with_context(|| format!("no segment from {from}"))?;
    segment["latency_ns"]["p50"].as_u64().with_context(|| format!("no latency in {segment}"))
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn time_in_the_queue_is_that_between_nic_and_wire() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let nic = ["dev", &lab.nic, "root"];
    let add = [&["qdisc", "add"], &nic[..], &["tbf"], &RATE, &["limit", "1000000"]].concat();
    let _slow = Trap::set("tc", &add, &[&["qdisc", "del"], &nic[..]].concat())?;
    let sink = lab.wire_udp_sink(PORT)?;
    let port = PORT.to_string();
    let tracer = Tracer::start(&["trace", &guest.display_name, "udp", "and", "port", &port, "--json"])?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), PORT), DATAGRAMS, SIZE_BYTES, Duration::ZERO)?;
    let arrived = sink.finish(DATAGRAMS, Duration::from_secs(10))?;
    let report = tracer.finish()?;
    ensure!((sent.sent, arrived.datagrams) == (DATAGRAMS, DATAGRAMS), "{sent:?} {arrived:?}");
    let ledger = &report["directions"]["egress"]["ledger"];
    ensure!(ledger["completed"] == DATAGRAMS && ledger["lost"] == 0, "{ledger}");
    // They come much faster than they may leave: half of them wait for about half of the time that all take.
    let queue_ns = median_ns(&report, "nic")?;
    ensure!((100_000_000..600_000_000).contains(&queue_ns), "{queue_ns} ns in the queue");
    for before in ["tap", "qvb"] {
        let elsewhere_ns = median_ns(&report, before)?;
        ensure!(elsewhere_ns < 20_000_000, "{elsewhere_ns} ns behind {before}");
    }
    Ok(())
}
