//! The slow path of the kernel's OVS datapath: packets it has no flow for go to user space and come back, and have figures
//! of their own. Witness is the datapath's own count of misses.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is a failed test; a JSON value that is missing reads as null"
)]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    Tracer,
    lab::{Guest, Lab, Trap},
};
use serde_json::Value;

const SLOW_PINGS: u64 = 20;
const FAST_PINGS: u64 = 100;
const DATAGRAMS: u64 = 3_000;
const TCP_BYTES: u64 = 1_000_000;
/// The segment through the switch, per direction.
const SWITCH: [(&str, &str, &str); 2] = [("egress", "qvo", "nic"), ("ingress", "nic", "qvo")];
const LEARNING_LIMIT: Duration = Duration::from_secs(20);

fn guest(lab: &Lab) -> Result<&Guest> {
    ensure!(lab.datapath == "system", "the datapath is {}, not the kernel's", lab.datapath);
    lab.guest("yjwang-test-1")
}

fn ping(lab: &Lab, guest: &Guest, count: u64) -> Result<()> {
    let (count, to) = (count.to_string(), guest.ipv4.to_string());
    let ping = lab.wire("ping", ["-q", "-c", &count, "-i", "0.01", "-W", "2", &to]).output()?;
    ensure!(ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
    Ok(())
}

fn trace_pings(guest: &Guest) -> Result<Tracer> {
    Tracer::start(&["trace", &guest.port_id, "icmp", "--json"])
}

/// Sends until the datapath knows a flow for whatever comes, and keeps it: a tracer may take longer to start than an unused flow
/// stays.
fn teach(lab: &Lab, send: impl Fn() -> Result<()>) -> Result<Trap> {
    let lasting = Trap::lasting_flows()?;
    let began = Instant::now();
    loop {
        lab.datapath_revalidated()?;
        let before = lab.datapath_counts()?.missed;
        send()?;
        lab.datapath_revalidated()?;
        if lab.datapath_counts()?.missed == before {
            return Ok(lasting);
        }
        ensure!(began.elapsed() < LEARNING_LIMIT, "the datapath does not learn its flows");
    }
}

/// Packets of a segment: all, by the fast path, by the slow one; both make up all, and other segments do not tell them apart.
fn counts(report: &Value, switch: (&str, &str, &str)) -> Result<(u64, u64, u64)> {
    let (direction, from, to) = switch;
    let segments = report["directions"][direction]["segments"].as_array().context("no segments")?;
    let mut found = None;
    for segment in segments {
        if segment["from"] == from && segment["to"] == to {
            let count = |of: &Value| of["count"].as_u64().with_context(|| format!("no count in {segment}"));
            found = Some((count(segment)?, count(&segment["fast_path"])?, count(&segment["slow_path"])?));
        } else if segment["off_path"] == false {
            ensure!(segment["slow_path"].is_null() && segment["fast_path"].is_null(), "{segment}");
        }
    }
    let (all, fast, slow) = found.with_context(|| format!("no segment {from} → {to} in {report}"))?;
    ensure!(fast + slow == all, "{direction}: {fast} + {slow} of {all}");
    let ledger = &report["directions"][direction]["ledger"];
    ensure!(ledger["balanced"] == true, "{direction}: {ledger}");
    Ok((all, fast, slow))
}

fn p50(report: &Value, switch: (&str, &str, &str), path: &str) -> Option<u64> {
    let segments = report["directions"][switch.0]["segments"].as_array()?;
    let segment = segments.iter().find(|segment| segment["from"] == switch.1 && segment["to"] == switch.2)?;
    segment[path]["latency_ns"]["p50"].as_u64()
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn each_packet_without_a_flow_is_slow_and_no_other() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    ping(&lab, guest, 3)?;

    let before_all = lab.datapath_counts()?;
    let tracer = trace_pings(guest)?;
    ensure!(tracer.notes.iter().all(|note| !note.contains("slow path")), "{:?}", tracer.notes);
    let before = lab.datapath_counts()?;
    for _ in 0..SLOW_PINGS {
        lab.datapath_forget()?;
        ping(&lab, guest, 1)?;
    }
    let after = lab.datapath_counts()?;
    let slow = tracer.finish()?;
    let after_all = lab.datapath_counts()?;
    for switch in SWITCH {
        ensure!(counts(&slow, switch)? == (SLOW_PINGS, 0, SLOW_PINGS), "{slow}");
    }
    let upcalls = &slow["upcalls"];
    ensure!(upcalls["traced"] == serde_json::json!([SLOW_PINGS, SLOW_PINGS]), "{upcalls}");
    ensure!(upcalls["unmarked"] == 0, "{upcalls}");
    let seen = upcalls["misses"].as_u64().context("no misses")?;
    let at_least = after.missed - before.missed;
    ensure!(
        at_least >= 2 * SLOW_PINGS && (at_least..=after_all.missed - before_all.missed).contains(&seen),
        "{seen} misses seen; the datapath says {before_all:?} {before:?} {after:?} {after_all:?}"
    );

    let _lasting = teach(&lab, || ping(&lab, guest, 5))?;
    let tracer = trace_pings(guest)?;
    ping(&lab, guest, FAST_PINGS)?;
    let fast = tracer.finish()?;
    for switch in SWITCH {
        ensure!(counts(&fast, switch)? == (FAST_PINGS, FAST_PINGS, 0), "{fast}");
        let (slow, fast) = (p50(&slow, switch, "slow_path"), p50(&fast, switch, "fast_path"));
        ensure!(fast.is_some() && slow > fast, "{switch:?}: slow {slow:?}, fast {fast:?}");
    }
    ensure!(fast["upcalls"]["traced"] == serde_json::json!([0, 0]), "{}", fast["upcalls"]);
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn packets_of_both_paths_are_all_accounted_for() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    for _ in 0..3 {
        lab.datapath_forget()?;
        lab.wire_udp_exact(guest, DATAGRAMS / 3, 64)?;
        lab.datapath_forget()?;
        lab.guest_udp_exact(guest, 5009, DATAGRAMS / 3, 64)?;
    }
    // The last ones with a flow, for certain.
    teach(&lab, || lab.wire_udp_exact(guest, 5, 64).map(drop))?.take_away()?;
    teach(&lab, || lab.guest_udp_exact(guest, 5009, 5, 64).map(drop))?.take_away()?;
    let report = tracer.finish()?;
    let upcalls = &report["upcalls"]["traced"];
    for ((place, switch), flows) in SWITCH.into_iter().enumerate().zip([3, 3]) {
        let (all, fast, slow) = counts(&report, switch)?;
        let ledger = &report["directions"][switch.0]["ledger"];
        ensure!(ledger["completed"] == all && ledger["lost"] == 0 && all >= DATAGRAMS, "{ledger} {all}");
        ensure!(slow >= flows && fast > 0, "{switch:?}: {fast} fast, {slow} slow");
        ensure!(upcalls[place].as_u64() >= Some(slow), "{upcalls}: {slow} were slow");
    }
    Ok(())
}

#[test]
#[ignore = "needs a VM: cargo xtask test --vm"]
fn a_large_packet_is_slow_by_its_first_piece() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = guest(&lab)?;
    let echo = || lab.wire_tcp_echo((guest.ipv4, 7).into(), TCP_BYTES);
    // What is taken from it then are the flows of this connection, too.
    let _lasting = teach(&lab, || echo().map(drop))?;
    let before = lab.datapath_counts()?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "tcp", "--json"])?;
    // User space gets large packets in pieces, and sends pieces back.
    let echoed = lab.datapath_without_flows(echo)?;
    let report = tracer.finish()?;
    let lost_upcalls = lab.datapath_counts()?.lost - before.lost;
    ensure!(echoed == TCP_BYTES, "{echoed}");
    let mut pieces = 0;
    for switch in SWITCH {
        let (_, _, slow) = counts(&report, switch)?;
        let ledger = &report["directions"][switch.0]["ledger"];
        ensure!(slow > 0, "{switch:?}: none was slow");
        ensure!(ledger["lost"].as_u64() <= Some(lost_upcalls), "{ledger}: {lost_upcalls} lost upcalls");
        pieces += ledger["split"].as_u64().context("no split")?;
    }
    ensure!(pieces > 0, "no large packet took the slow path: {report}");
    Ok(())
}
