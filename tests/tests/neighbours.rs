//! Traffic between two VMs of one host: it leaves the path at qvo and comes from beside it, and none of it is lost.

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

/// Packets of each test, each way.
const PACKETS: u64 = 500;
/// Where the guests' sinks listen.
const SINK_PORT: u16 = 9;

fn guests(lab: &Lab) -> Result<(&Guest, &Guest)> {
    Ok((lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?))
}

/// Traces the first guest while both send the other datagrams.
fn trace_datagrams(ours: &Guest, neighbour: &Guest) -> Result<Value> {
    let tracer = Tracer::start(&["trace", &ours.display_name, "udp", "--json"])?;
    for (from, to) in [(ours, neighbour), (neighbour, ours)] {
        let sent = from.send_udp((to.ipv4.into(), SINK_PORT), PACKETS, 64, Duration::from_micros(500))?;
        ensure!(sent.sent == PACKETS, "{sent:?}");
        // Its last datagram has left the guest when the answer to what it sent after it is there.
        let ping = from.ping(to.ipv4.into(), 1, Duration::ZERO)?;
        ensure!(ping.received == 1, "{ping:?}");
    }
    tracer.finish()
}

fn segment<'a>(report: &'a Value, direction: &str, from: &str, to: &str) -> Result<&'a Value> {
    let segments = report["directions"][direction]["segments"].as_array().context("no segments")?;
    let found = segments.iter().find(|segment| segment["from"] == from && segment["to"] == to);
    found.with_context(|| format!("no segment {from} → {to} in {segments:?}"))
}

fn assert_ledger(report: &Value, direction: &str, expected: &Value) -> Result<()> {
    let ledger = &report["directions"][direction]["ledger"];
    for (name, count) in expected.as_object().context("no object")? {
        ensure!(&ledger[name] == count, "{direction}: {name} in {ledger}");
    }
    ensure!(ledger["balanced"] == true, "{direction}: {ledger}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn datagrams_between_two_vms_complete_off_the_path() -> Result<()> {
    let lab = Lab::from_env()?;
    let (ours, neighbour) = guests(&lab)?;
    // Both switches know both addresses.
    let ping = ours.ping(neighbour.ipv4.into(), 3, Duration::from_millis(10))?;
    ensure!(ping.received > 0, "{ping:?}");
    let report = trace_datagrams(ours, neighbour)?;

    let none =
        json!({"lost": 0, "joined_midway": 0, "ambiguous": 0, "untracked": 0, "evicted": 0, "copies": 0});
    for direction in ["egress", "ingress"] {
        assert_ledger(&report, direction, &none)?;
        ensure!(report["directions"][direction]["neighbour_total"]["count"] == PACKETS, "{report}");
        ensure!(report["directions"][direction]["total"]["count"] == 0, "{report}");
    }
    assert_ledger(
        &report,
        "egress",
        &json!({"entered": PACKETS, "completed": PACKETS, "elsewhere": PACKETS}),
    )?;
    assert_ledger(&report, "ingress", &json!({"entered": PACKETS, "completed": PACKETS, "elsewhere": 0}))?;
    let out = segment(&report, "egress", "qvo", "neighbour")?;
    let into = segment(&report, "ingress", "neighbour", "qvo")?;
    ensure!((&out["count"], &out["off_path"]) == (&json!(PACKETS), &json!(true)), "{out}");
    ensure!((&into["count"], &into["off_path"]) == (&json!(PACKETS), &json!(true)), "{into}");
    ensure!(segment(&report, "egress", "qvo", "nic")?["count"] == 0, "{report}");
    let neighbours = report["neighbours"].as_array().context("no neighbours")?;
    let found =
        neighbours.iter().find(|port| port["ifname"] == neighbour.qvo.as_str()).context("no neighbour")?;
    ensure!(found["received"] == PACKETS && found["sent"] == PACKETS && found["copies"] == 0, "{found}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn datagrams_that_die_between_two_vms_are_lost_where_they_died() -> Result<()> {
    let lab = Lab::from_env()?;
    let (ours, neighbour) = guests(&lab)?;
    let _trap =
        Trap::flow(&lab.integration_bridge, &format!("priority=1000,udp,tp_dst={SINK_PORT}"), "drop")?;
    let report = trace_datagrams(ours, neighbour)?;
    for (direction, after) in [("egress", "qvo"), ("ingress", "neighbour")] {
        let drops = report["directions"][direction]["drops"].as_array().context("no drops")?;
        let [drop] = drops.as_slice() else { anyhow::bail!("{direction}: not one place: {drops:?}") };
        let found = json!([drop["after"], drop["reason"], drop["location"], drop["count"]]);
        ensure!(found == json!([after, null, null, PACKETS]), "{direction}: {drop}");
        assert_ledger(&report, direction, &json!({"entered": PACKETS, "lost": PACKETS, "completed": 0}))?;
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn broadcasts_go_to_the_wire_and_copies_of_them_to_neighbours() -> Result<()> {
    let lab = Lab::from_env()?;
    let (ours, _) = guests(&lab)?;
    let tracer = Tracer::start(&["trace", &ours.display_name, "arp", "--json"])?;
    // Nobody has this address, so the guest asks everybody for it.
    let nobody = "10.99.99.77".parse()?;
    let ping = ours.ping(nobody, 5, Duration::from_millis(300))?;
    ensure!(ping.received == 0, "{ping:?}");
    let report = tracer.finish()?;
    let ledger = &report["directions"]["egress"]["ledger"];
    let count = |name: &str| ledger[name].as_u64().with_context(|| format!("no {name} in {ledger}"));
    ensure!(count("entered")? > 0 && count("completed")? == count("entered")?, "{ledger}");
    // The guest may have answered a question of its neighbour's, too: that goes to the neighbour alone.
    ensure!(count("copies")? > 0 && count("elsewhere")? < count("entered")?, "{ledger}");
    assert_ledger(&report, "egress", &json!({"lost": 0, "ambiguous": 0}))?;
    let copies = report["neighbours"].as_array().context("no neighbours")?.iter();
    let copies: u64 = copies.filter_map(|port| port["copies"].as_u64()).sum();
    ensure!(copies == count("copies")?, "{report}");
    Ok(())
}
