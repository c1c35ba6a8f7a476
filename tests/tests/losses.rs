//! Packets dropped on purpose: lost after the right hook, in the right number, and nothing else is.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is a failed test; a JSON value that is missing reads as null"
)]

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    Tracer,
    lab::{Guest, Lab, Trap},
};
use serde_json::{Value, json};

/// Datagrams sent into the trap.
const DOOMED: u64 = 200;
/// Their port.
const DOOMED_PORT: u16 = 4444;
/// Pings beside them, which must come through.
const INNOCENT: u64 = 100;

/// Sends into the trap from both sides, with innocent traffic beside it, and gives the report.
fn trace_doomed(lab: &Lab, guest: &Guest) -> Result<Value> {
    let tracer = Tracer::start(&["trace", &guest.port_id, "--json"])?;
    let sink = lab.wire_udp_sink(DOOMED_PORT)?;
    lab.wire_udp_flood((guest.ipv4, DOOMED_PORT).into(), DOOMED, 64, Duration::from_millis(1))?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), DOOMED_PORT), DOOMED, 64, Duration::from_millis(1))?;
    ensure!(sent.sent == DOOMED, "{sent:?}");
    let ping = lab.wire("ping", ["-q", "-c", "100", "-i", "0.005", &guest.ipv4.to_string()]).output()?;
    ensure!(ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
    let through = sink.finish(0, Duration::ZERO)?;
    ensure!(through.datagrams == 0, "the trap let {} datagrams through", through.datagrams);
    tracer.finish()
}

/// The direction lost the doomed after `after` and nothing else; the innocent came through.
fn assert_lost(report: &Value, direction: &str, after: &str) -> Result<()> {
    let found = &report["directions"][direction];
    let expected = json!([{"after": after, "reason": null, "location": null, "count": DOOMED}]);
    ensure!(found["drops"] == expected, "{direction}: {}", found["drops"]);
    let ledger = &found["ledger"];
    let count = |name: &str| ledger[name].as_u64().with_context(|| format!("no {name} in {ledger}"));
    ensure!(count("lost")? == DOOMED && ledger["balanced"] == true, "{direction}: {ledger}");
    ensure!(count("entered")? == count("completed")? + DOOMED, "{direction}: {ledger}");
    ensure!(count("completed")? >= INNOCENT, "{direction}: {ledger}");
    for none in ["joined_midway", "dropped", "evicted", "ambiguous", "untracked", "in_flight"] {
        ensure!(count(none)? == 0, "{direction}: {none} in {ledger}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn an_openflow_drop_rule_loses_packets_after_qvo_and_after_the_nic() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let flow = format!("priority=1000,udp,tp_dst={DOOMED_PORT}");
    let rule = format!("{flow},actions=drop");
    let _trap =
        Trap::set("ovs-ofctl", &["add-flow", "br-int", &rule], &["--strict", "del-flows", "br-int", &flow])?;
    let report = trace_doomed(&lab, guest)?;
    assert_lost(&report, "egress", "qvo")?;
    assert_lost(&report, "ingress", "nic")
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn a_bridge_rule_loses_packets_between_tap_and_qvb() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let port = DOOMED_PORT.to_string();
    let rule = ["FORWARD", "-p", "IPv4", "--ip-proto", "udp", "--ip-dport", &port, "-j", "DROP"];
    let words = |action: &'static str| [&[action][..], &rule].concat();
    let _trap = Trap::set("ebtables-nft", &words("-A"), &words("-D"))?;
    let report = trace_doomed(&lab, guest)?;
    assert_lost(&report, "egress", "tap")?;
    assert_lost(&report, "ingress", "qvb")
}
