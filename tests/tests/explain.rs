//! `--explain`: the switch says which of its rules an example hits.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is a failed test; a JSON value that is missing reads as null"
)]

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    Tracer,
    faults::{Ends, send_with_bad_checksum},
    lab::{Guest, Lab, Trap},
};
use serde_json::Value;

const DOOMED: u64 = 50;
const DOOMED_PORT: u16 = 4444;
const COOKIE: &str = "0x1badcafe";
const PRIORITY: u64 = 1_234;

/// A rule of `bridge` that drops what goes to the doomed port.
fn drop_rule(bridge: &str) -> Result<Trap> {
    let matches = format!("priority={PRIORITY},udp,tp_dst={DOOMED_PORT}");
    Trap::set(
        "ovs-ofctl",
        &["add-flow", bridge, &format!("cookie={COOKIE},{matches} actions=drop")],
        &["--strict", "del-flows", bridge, &matches],
    )
}

fn send_both_ways(lab: &Lab, guest: &Guest) -> Result<()> {
    let pace = Duration::from_millis(1);
    lab.wire_udp_flood((guest.ipv4, DOOMED_PORT).into(), DOOMED, 64, pace)?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), DOOMED_PORT), DOOMED, 64, pace)?;
    ensure!(sent.sent == DOOMED, "{sent:?}");
    // Its reply comes behind the last of them: the guest says that they are sent when they are on their way to the tap.
    lab.introduce(guest)
}

/// A rule: bridge, table, priority, cookie.
type Rule<'a> = (&'a str, u64, Option<u64>, Option<&'a str>);

/// The rules that an explanation tells.
fn rules(explained: &Value) -> Result<Vec<Rule<'_>>> {
    let rules = explained["rules"].as_array().with_context(|| format!("no rules in {explained}"))?;
    rules
        .iter()
        .map(|rule| {
            let bridge = rule["bridge"].as_str().context("no bridge")?;
            let table = rule["table"].as_u64().context("no table")?;
            Ok((bridge, table, rule["priority"].as_u64(), rule["cookie"].as_str()))
        })
        .collect()
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_rule_that_drops_is_named_in_both_directions() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let bridge = lab.integration_bridge.as_str();
    let _rule = drop_rule(bridge)?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--explain", "--timeout", "2s", "--json"])?;
    send_both_ways(&lab, guest)?;
    let report = tracer.finish()?;
    for (direction, after, ends) in [("egress", "qvo", guest.mac.as_str()), ("ingress", "nic", &lab.wire.mac)]
    {
        let found = &report["directions"][direction];
        let drops = found["drops"].as_array().context("no drops")?;
        ensure!(!drops.is_empty() && drops.iter().all(|drop| drop["after"] == after), "{direction}: {found}");
        let count: u64 = drops.iter().filter_map(|drop| drop["count"].as_u64()).sum();
        ensure!(count == DOOMED && found["ledger"]["balanced"] == true, "{direction}: {found}");
        for drop in drops {
            ensure!(drop["example"]["destination_port"] == DOOMED_PORT, "{direction}: {drop}");
            let explained = &drop["explain"];
            let rules = rules(explained)?;
            // The wire's packets pass the provider bridge before.
            let last = rules.last().context("no rule is hit")?;
            ensure!(*last == (bridge, 0, Some(PRIORITY), Some(COOKIE)), "{direction}: {explained}");
            ensure!((rules.len() > 1) == (direction == "ingress"), "{direction}: {explained}");
            let actions =
                explained["rules"].as_array().and_then(|rules| rules.last()).map(|rule| &rule["actions"]);
            ensure!(actions == Some(&serde_json::json!(["drop"])), "{direction}: {explained}");
            ensure!(explained["datapath_actions"] == serde_json::json!(["drop"]), "{direction}: {explained}");
            ensure!(explained["hits"].as_u64() >= Some(DOOMED), "{direction}: {explained}");
            let packet = explained["packet"].as_str().context("no packet")?;
            ensure!(packet.contains(&format!("dl_src={ends}")), "{direction}: {packet}");
            ensure!(packet.contains(&format!("udp_dst={DOOMED_PORT}")), "{direction}: {packet}");
        }
        ensure!(found["explain"].is_null(), "{direction}: nothing went through: {found}");
    }
    let findings = report["findings"].to_string();
    ensure!(
        findings.contains(&format!("all {DOOMED} packets")) && !findings.contains("one of them"),
        "{findings}"
    );
    Ok(())
}

/// All that died behind one hook are told together, with one example.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_rule_is_not_said_to_have_dropped_more_than_it_was_hit_by() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let bridge = lab.integration_bridge.as_str();
    let _one = drop_rule(bridge)?;
    let other = format!("priority={PRIORITY},udp,tp_dst={}", DOOMED_PORT + 1);
    let _other = Trap::flow(bridge, &other, "drop")?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--explain", "--timeout", "2s", "--json"])?;
    let to = |port| (lab.wire.ipv4.into(), port);
    guest.send_udp(to(DOOMED_PORT), DOOMED, 64, Duration::from_millis(1))?;
    guest.send_udp(to(DOOMED_PORT + 1), DOOMED + 5, 64, Duration::from_millis(1))?;
    lab.introduce(guest)?;
    let report = tracer.finish()?;
    let text = report["findings"][0]["text"].as_str().context("no finding")?;
    let (all, hits) = (2 * DOOMED + 5, [DOOMED, DOOMED + 5]);
    // Those that died as upcalls are told by themselves.
    ensure!(text.starts_with(&format!("all {all} packets from the VM died")), "{text}");
    ensure!(text.contains(&format!("after qvo {}", guest.qvo)), "{text}");
    ensure!(text.contains("one of them by br-int table 0"), "{text}");
    let told = |hits: &u64| text.contains(&format!("which was hit by {hits} packets meanwhile"));
    ensure!(hits.iter().any(told), "{text}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_packet_that_went_through_is_explained_by_the_rules_that_carried_it() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--explain", "--json"])?;
    let ping = lab.wire("ping", ["-q", "-c", "20", "-i", "0.01", &guest.ipv4.to_string()]).output()?;
    ensure!(ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
    let report = tracer.finish()?;
    let (inner, outer) = (lab.integration_bridge.as_str(), lab.provider_bridge.as_str());
    for (direction, bridges) in [("egress", [inner, outer]), ("ingress", [outer, inner])] {
        let found = &report["directions"][direction];
        let explained = &found["explain"];
        ensure!(
            found["ledger"]["completed"] == 20 && explained["bridge"] == bridges[0],
            "{direction}: {found}"
        );
        let mut passed: Vec<_> = rules(explained)?.into_iter().map(|(bridge, ..)| bridge).collect();
        passed.dedup();
        ensure!(passed == bridges, "{direction}: {explained}");
        let actions = explained["datapath_actions"][0].as_str().context("no actions")?;
        ensure!(actions != "drop" && !actions.is_empty(), "{direction}: {explained}");
    }
    ensure!(report["notes"].as_array().is_some_and(Vec::is_empty), "{}", report["notes"]);
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn without_being_asked_nothing_is_explained() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _rule = drop_rule(&lab.integration_bridge)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    send_both_ways(&lab, guest)?;
    let report = tracer.finish()?;
    for direction in ["egress", "ingress"] {
        let found = &report["directions"][direction];
        let drops = found["drops"].as_array().context("no drops")?;
        ensure!(!drops.is_empty() && drops.iter().all(|drop| drop["explain"].is_null()), "{found}");
        ensure!(found["explain"].is_null(), "{found}");
    }
    Ok(())
}

/// Datagrams with wrong checksums, which connection tracking calls invalid.
const INVALID: u64 = 91;

/// Rules that send what goes to the doomed port through connection tracking, and drop there what is invalid.
fn drop_invalid(bridge: &str) -> Result<Trap> {
    let track = format!("priority=1000,udp,tp_dst={DOOMED_PORT},ct_state=-trk");
    let set = format!(
        "set -e
         ovs-ofctl add-flow {bridge} 'table=70,priority=10,ct_state=+inv+trk,ip actions=drop'
         ovs-ofctl add-flow {bridge} 'table=70,priority=1 actions=NORMAL'
         ovs-ofctl add-flow {bridge} '{track} actions=ct(table=70)'"
    );
    let remove =
        format!("ovs-ofctl --strict del-flows {bridge} '{track}'; ovs-ofctl del-flows {bridge} table=70");
    Trap::set("sh", &["-c", &set], &["-c", &remove])
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_connection_tracking_is_assumed_to_say_is_told_and_fits_what_was_hit() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _rules = drop_invalid(&lab.integration_bridge)?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--explain", "--timeout", "2s", "--json"])?;
    let ends = Ends { from: lab.wire.ipv4, from_port: DOOMED_PORT, to: guest.ipv4, port: DOOMED_PORT };
    lab.in_wire(|| send_with_bad_checksum(ends, INVALID, 65))?;
    let report = tracer.finish()?;
    let ingress = &report["directions"]["ingress"];
    let drops = ingress["drops"].as_array().context("no drops")?;
    let died: u64 = drops.iter().filter_map(|drop| drop["count"].as_u64()).sum();
    ensure!(died == INVALID && !drops.is_empty(), "{ingress}");
    for drop in drops {
        let explained = &drop["explain"];
        let rules = rules(explained)?;
        ensure!(rules.last() == Some(&("br-int", 70, Some(10), None)), "{explained}");
        let last = explained["rules"].as_array().and_then(|rules| rules.last()).context("no rule")?;
        ensure!(last["matches"].as_str().is_some_and(|text| text.contains("+inv+trk")), "{last}");
        let assumed =
            explained["assumed"].as_str().with_context(|| format!("nothing assumed: {explained}"))?;
        let because = format!(
            "ct_state=trk|inv is assumed, because the rule that it ends at then was hit by {INVALID} packets"
        );
        ensure!(assumed.contains(&because), "{assumed}");
    }
    let first = report["findings"][0]["text"].as_str().context("no words")?;
    // With a datapath in the kernel the first of them is lost, and the others are dropped.
    ensure!(first.contains("all 91 packets to the VM died") && first.contains("after nic"), "{first}");
    ensure!(first.contains("br-int table 70 priority 10: ct_state=+inv+trk,ip drop"), "{first}");
    Ok(())
}
