//! XDP at the NIC: a segment of its own, refused where it can not be, and gone when the tracer is.

use hoptrace_tests::prelude::*;
use serde_json::Value;

const PINGS: u64 = 100;
const DATAGRAMS: u64 = 2_000;
const MODES: [&str; 2] = ["native", "generic"];
/// In path order.
const SEGMENTS: [[&str; 2]; 4] = [["xdp", "nic"], ["nic", "qvo"], ["qvo", "qvb"], ["qvb", "tap"]];
/// The same where XDP is behind the NIC's hook.
const SEGMENTS_BEHIND: [[&str; 2]; 4] = [["nic", "xdp"], ["xdp", "qvo"], ["qvo", "qvb"], ["qvb", "tap"]];

/// The name of the XDP program at `ifname`, if there is one.
fn xdp_program(ifname: &str) -> Result<Option<String>> {
    let links: Value = serde_json::from_str(&run("ip", &["-json", "-details", "link", "show", ifname])?)?;
    let Some(program) = links.pointer("/0/xdp/prog").filter(|it| it.is_object()) else { return Ok(None) };
    Ok(Some(program.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()))
}

/// Whether XDP comes behind the NIC's hook: generic XDP, behind hooks at tracepoints.
fn is_behind_the_nic(report: &Report, mode: &str) -> bool {
    mode == "generic" && report.tracer.mechanism == "tracepoints"
}

/// Each packet of the way in was seen at each hook, in path order.
fn assert_all_at_every_hook(report: &Report, packets: u64, mode: &str) -> Result<()> {
    let found = report.ingress();
    let ledger = found.ledger;
    ledger.expect(&Ledger { entered: packets, completed: packets, joined_midway: 0, ..ledger })?;
    let segments = if is_behind_the_nic(report, mode) { SEGMENTS_BEHIND } else { SEGMENTS };
    for (segment, [from, to]) in found.segments.iter().zip(segments) {
        ensure!(segment.is(from, to) && segment.count == packets, "{segment}");
    }
    ensure!(report.off_path.count == 0, "{}", report.off_path);
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn xdp_to_nic_is_a_segment_that_every_packet_takes() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    for mode in MODES {
        let offloads = run("ethtool", &["-k", &lab.nic])?;
        let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--json", "--xdp", mode])?;
        lab.wire_ping(guest, PINGS, Duration::from_millis(5))?;
        let report = tracer.finish()?;
        assert_all_at_every_hook(&report, PINGS, mode).context(mode)?;
        let note = report.notes.first().context("no note")?;
        ensure!(note.starts_with(&format!("{mode} XDP at {} (driver veth)", lab.nic)), "{note}");

        let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json", "--xdp", mode])?;
        lab.wire_udp_exact(guest, DATAGRAMS, 64)?;
        let report = tracer.finish()?;
        assert_all_at_every_hook(&report, DATAGRAMS, mode).context(mode)?;
        ensure!(run("ethtool", &["-k", &lab.nic])? == offloads, "{mode} XDP left other offloads behind");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn no_xdp_program_stays_however_the_tracer_ends() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    for mode in MODES {
        for signal in [Signal::INT, Signal::KILL] {
            ensure!(xdp_program(&lab.nic)?.is_none(), "a program is there before");
            let tracer = Tracer::start(&["trace", &guest.port_id, "--xdp", mode])?;
            let program = xdp_program(&lab.nic)?.context("no program is attached")?;
            ensure!(program.starts_with("hop_xdp"), "{program}");
            tracer.signal(signal)?;
            tracer.wait()?;
            ensure!(xdp_program(&lab.nic)?.is_none(), "{mode}: a program is left after {signal:?}");
        }
    }
    Ok(())
}

/// Runs `hoptrace trace`, which must end with exit code 1 and one line that has these words in it, beside the one that
/// there is no libvirt where there is none.
fn refused(args: &[&str], words: &[&str]) -> Result<()> {
    let output = hoptrace([&["trace"], args].concat())?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let lines = said.lines().filter(|line| !line.starts_with("libvirt (")).count();
    ensure!(output.status.code() == Some(1) && lines == 1, "{args:?}: {said}");
    for word in words {
        ensure!(said.contains(word), "{args:?} does not say {word:?}: {said}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn xdp_is_refused_where_a_program_is_already() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let first = Tracer::start(&["trace", &guest.port_id, "--xdp", "generic"])?;
    let holder = xdp_program(&lab.nic)?;
    for mode in MODES {
        let words = [&lab.nic, "has an XDP program already", "hop_xdp_generic", &format!("--xdp {mode}")];
        refused(&[&guest.port_id, "--xdp", mode], &words)?;
    }
    ensure!(xdp_program(&lab.nic)? == holder, "the program that was there is another one now");
    first.signal(Signal::INT)?;
    first.wait()?;
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn native_xdp_is_refused_where_the_driver_has_none_and_nothing_stays() -> Result<()> {
    const SECOND_NIC: &str = "ens4";
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _nic =
        Trap::set("ip", &["link", "add", SECOND_NIC, "up", "type", "ifb"], &["link", "del", SECOND_NIC])?;
    let bridge = lab.provider_bridge.as_str();
    let _port = Trap::set("ovs-vsctl", &["add-port", bridge, SECOND_NIC], &["del-port", bridge, SECOND_NIC])?;
    refused(&[&guest.port_id, "--xdp", "native"], &["driver of ens4", "native XDP", "--xdp generic"])?;
    ensure!(xdp_program(&lab.nic)?.is_none(), "a program is left at the first NIC");
    // Generic XDP works with every driver, at both.
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--json", "--xdp", "generic"])?;
    lab.wire_ping(guest, 10, Duration::from_millis(10))?;
    let report = tracer.finish()?;
    let ingress = report.ingress();
    let first = ingress.segments.first().context("no segments")?;
    let mut ends = ["xdp:ens3", "nic:ens3"];
    if is_behind_the_nic(&report, "generic") {
        ends.reverse();
    }
    ensure!(first.is(ends[0], ends[1]) && first.count == 10, "{first}");
    ensure!(ingress.ledger.completed == 10, "{report}");
    Ok(())
}
