//! Copies are not the packet: what strangers take beside the path and lose is no drop. And what dies before the path's first
//! hook is told, though no hook has seen it.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is a failed test; a JSON value that is missing reads as null"
)]

mod strangers;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    Tracer,
    lab::{Guest, InterfaceCounts, Lab, Trap},
};
use serde_json::Value;
use strangers::{Dropper, Keeps, deaf_socket, drop_frames};

const DATAGRAMS: u64 = 1_000;
/// Captured by a socket that has room for a few: more are slow where the machine is emulated.
const CAPTURED: u64 = 300;
const PORT: u16 = 4446;

/// All of the direction's packets arrived, and no copy was taken for one.
fn assert_all_arrived(report: &Value, direction: &str, packets: u64) -> Result<()> {
    let found = &report["directions"][direction];
    let ledger = &found["ledger"];
    for none in ["drops", "early_drops"] {
        ensure!(found[none].as_array().is_some_and(Vec::is_empty), "{direction}: {none}: {}", found[none]);
    }
    ensure!(ledger["entered"] == packets && ledger["completed"] == packets, "{direction}: {ledger}");
    ensure!(
        ledger["dropped"] == 0 && ledger["lost"] == 0 && ledger["balanced"] == true,
        "{direction}: {ledger}"
    );
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn a_capture_socket_that_is_full_loses_copies_only() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    for keeps in [Keeps::Buffer, Keeps::Ring] {
        for ifname in [&guest.tap, &guest.qvb, &guest.qvo, &lab.nic] {
            let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
            let socket = deaf_socket(ifname, keeps)?;
            lab.wire_udp_exact(guest, CAPTURED, 64)?;
            let arrived = lab.guest_udp_exact(guest, PORT, CAPTURED, 64)?;
            let report = tracer.finish()?;
            drop(socket);
            let at = || format!("{keeps:?} at {ifname}");
            ensure!(arrived.datagrams == CAPTURED, "{}: {arrived:?}", at());
            for direction in ["egress", "ingress"] {
                assert_all_arrived(&report, direction, CAPTURED).with_context(at)?;
            }
        }
    }
    Ok(())
}

/// Of the VM's packets: all that are doomed die before the first hook, no other does. Hooks at tracepoints are before generic XDP:
/// these have seen them.
fn assert_died_early(report: &Value, direction: &str, hook: &str, reason: &str) -> Result<()> {
    let found = &report["directions"][direction];
    if report["tracer"]["mechanism"] == "tracepoints" {
        return assert_died_behind(found, hook, reason);
    }
    let early = found["early_drops"].as_array().context("no early_drops")?;
    ensure!(early.len() == 1, "{direction}: {early:?}");
    let row = &early[0];
    ensure!(row["before"] == hook && row["count"] == DOOMED, "{direction}: {row}");
    let reasons = [reason, "NOT_SPECIFIED"];
    ensure!(row["reason"].as_str().is_some_and(|said| reasons.contains(&said)), "{direction}: {row}");
    ensure!(row["location"].as_str().is_some_and(|place| place.contains("+0x")), "{direction}: {row}");
    ensure!(row["example"]["destination_port"] == DOOMED_PORT, "{direction}: {row}");
    ensure!(row["example"]["len_bytes"] == DOOMED_LEN, "{direction}: {row}");
    let ledger = &found["ledger"];
    ensure!(ledger["balanced"] == true && ledger["entered"] == INNOCENT, "{direction}: {ledger}");
    ensure!(ledger["completed"] == INNOCENT && ledger["dropped"] == 0, "{direction}: {ledger}");
    ensure!(found["drops"].as_array().is_some_and(Vec::is_empty), "{direction}: {}", found["drops"]);
    Ok(())
}

/// The same where the first hook has seen them.
fn assert_died_behind(found: &Value, hook: &str, reason: &str) -> Result<()> {
    ensure!(found["early_drops"].as_array().is_some_and(Vec::is_empty), "{}", found["early_drops"]);
    let drops = found["drops"].as_array().context("no drops")?;
    ensure!(drops.len() == 1 && drops[0]["after"] == hook && drops[0]["count"] == DOOMED, "{drops:?}");
    let reasons = [reason, "NOT_SPECIFIED"];
    ensure!(drops[0]["reason"].as_str().is_some_and(|said| reasons.contains(&said)), "{drops:?}");
    let ledger = &found["ledger"];
    ensure!(ledger["entered"] == DOOMED + INNOCENT && ledger["dropped"] == DOOMED, "{ledger}");
    ensure!(ledger["completed"] == INNOCENT && ledger["lost"] == 0 && ledger["balanced"] == true, "{ledger}");
    Ok(())
}

const DOOMED: u64 = 137;
const INNOCENT: u64 = 64;
const DOOMED_PORT: u16 = 4447;
/// Payload of the doomed; the innocent have another one.
const DOOMED_BYTES: usize = 101;
const DOOMED_LEN: u32 = 101 + 8 + 20 + 14;

/// Sends the doomed and the innocent in one direction, and gives the report of a tracer with these words before `--json`.
fn trace_doomed(
    lab: &Lab,
    guest: &Guest,
    direction: &str,
    words: &[&str],
    dropper: Dropper,
) -> Result<Value> {
    let tracer = Tracer::start(&[words, &["--json"]].concat())?;
    let ifname = if direction == "egress" { &guest.tap } else { &lab.nic };
    let dropping = drop_frames(ifname, dropper, DOOMED_LEN)?;
    let pace = Duration::from_micros(200);
    if direction == "egress" {
        let sent = guest.send_udp((lab.wire.ipv4.into(), DOOMED_PORT), DOOMED, DOOMED_BYTES, pace)?;
        ensure!(sent.sent == DOOMED, "{sent:?}");
        lab.guest_udp_exact(guest, DOOMED_PORT, INNOCENT, 64)?;
    } else {
        lab.wire_udp_flood((guest.ipv4, DOOMED_PORT).into(), DOOMED, DOOMED_BYTES, pace)?;
        lab.wire_udp_exact(guest, INNOCENT, 64)?;
    }
    let report = tracer.finish()?;
    drop(dropping);
    Ok(report)
}

/// Whether programs can be put before others at traffic control.
fn has_tcx() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|word| word.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(6))
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn what_dies_before_the_first_hook_is_told() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let own = ["trace", guest.port_id.as_str(), "udp"];
    for (dropper, reason) in [(Dropper::Tcx, "TC_INGRESS"), (Dropper::Xdp, "XDP")] {
        if dropper == Dropper::Tcx && !has_tcx() {
            continue;
        }
        let report = trace_doomed(&lab, guest, "egress", &own, dropper)?;
        assert_died_early(&report, "egress", "tap", reason)?;
        // A userspace datapath takes packets before traffic control: what that drops is a copy.
        if dropper == Dropper::Xdp || lab.datapath == "system" {
            let report = trace_doomed(&lab, guest, "ingress", &own, dropper)?;
            assert_died_early(&report, "ingress", "nic", reason)?;
        }
    }
    // The same on kernels that have traffic control's hooks, too.
    let at_tracepoints = [&own[..], &["--attach", "tracepoints"]].concat();
    for (direction, hook) in [("egress", "tap"), ("ingress", "nic")] {
        let report = trace_doomed(&lab, guest, direction, &at_tracepoints, Dropper::Xdp)?;
        assert_died_early(&report, direction, hook, "XDP")?;
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn what_dies_before_the_first_hook_and_is_not_asked_for_or_another_vm_s_is_not_told() -> Result<()> {
    let lab = Lab::from_env()?;
    let (guest, other) = (lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?);
    let none = |report: &Value, direction: &str| -> Result<()> {
        let early = &report["directions"][direction]["early_drops"];
        ensure!(early.as_array().is_some_and(Vec::is_empty), "{direction}: {early}");
        Ok(())
    };
    // The filter words are about these, too.
    let filtered = ["drops", guest.port_id.as_str(), "udp", "port", "9"];
    none(&trace_doomed(&lab, guest, "ingress", &filtered, Dropper::Xdp)?, "ingress")?;
    // The other VM's packets come by the same NIC.
    let own = ["drops", guest.port_id.as_str(), "udp"];
    let tracer = Tracer::start(&[&own[..], &["--json"]].concat())?;
    let dropping = drop_frames(&lab.nic, Dropper::Xdp, DOOMED_LEN)?;
    lab.wire_udp_flood((other.ipv4, DOOMED_PORT).into(), DOOMED, DOOMED_BYTES, Duration::from_micros(200))?;
    lab.wire_udp_exact(guest, INNOCENT, 64)?;
    let report = tracer.finish()?;
    drop(dropping);
    none(&report, "ingress")
}

/// The process of the switch.
fn vswitchd() -> Result<String> {
    let path = "/run/openvswitch/ovs-vswitchd.pid";
    Ok(std::fs::read_to_string(path).context(path)?.trim().to_owned())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn what_a_userspace_datapath_has_no_room_for_is_told_and_counted() -> Result<()> {
    let lab = Lab::from_env()?;
    // In the kernel there is no socket before the switch.
    if lab.datapath != "netdev" {
        return Ok(());
    }
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--timeout", "4s", "--json"])?;
    lab.introduce(guest)?;
    let pid = vswitchd()?;
    let stopped = Trap::set("kill", &["-STOP", &pid], &["-CONT", &pid])?;
    let at_nic = InterfaceCounts::of(&lab.nic)?;
    lab.wire_udp_flood((guest.ipv4, 9).into(), DATAGRAMS, 64, Duration::ZERO)?;
    at_nic.wait_for_received(&lab.nic, DATAGRAMS)?;
    drop(stopped);
    lab.introduce(guest)?;
    let report = tracer.finish()?;
    let evidence = report["evidence"].as_array().context("no evidence")?;
    let told: Vec<_> = evidence.iter().filter(|it| it["source"] == "socket").collect();
    ensure!(told.len() == 1 && told[0]["at"] == lab.nic.as_str(), "{evidence:?}");
    let full = told[0]["count"].as_u64().context("no count")?;
    ensure!(full > 0 && full < DATAGRAMS, "{full} of {DATAGRAMS}");
    let found = &report["directions"]["ingress"];
    let drops = found["drops"].as_array().context("no drops")?;
    ensure!(drops.len() == 1 && drops[0]["after"] == "nic" && drops[0]["count"] == full, "{full}: {drops:?}");
    let ledger = &found["ledger"];
    ensure!(ledger["lost"] == full && ledger["completed"] == DATAGRAMS - full, "{full}: {ledger}");
    ensure!(ledger["balanced"] == true && ledger["dropped"] == 0, "{ledger}");
    Ok(())
}
