//! `--explain`: the switch says which of its rules an example hits.

use hoptrace_tests::faults::{Ends, send_with_bad_checksum};
use hoptrace_tests::prelude::*;

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

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_rule_that_drops_is_named_in_both_directions() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let bridge = lab.integration_bridge.as_str();
    let _rule = drop_rule(bridge)?;
    let tracer = Tracer::start(&["drops", &guest.port_id, "udp", "--explain", "--timeout", "2s", "--json"])?;
    send_both_ways(&lab, guest)?;
    let report = tracer.finish_drops()?;
    for (direction, after, ends) in [(Egress, "qvo", guest.mac.as_str()), (Ingress, "nic", &lab.wire.mac)] {
        let found = report.direction(direction);
        ensure!(found.drops.iter().all(|drop| drop.after == after), "{direction}: {found}");
        ensure!(!found.drops.is_empty() && found.died() == DOOMED, "{direction}: {found}");
        found.ledger.balances().context(direction)?;
        for drop in &found.drops {
            ensure!(drop.example_port() == Some(DOOMED_PORT), "{direction}: {drop}");
            let explained = drop.explain.as_ref().with_context(|| format!("{direction}: {drop}"))?;
            // The wire's packets pass the provider bridge before.
            let last = explained.last().context(direction)?;
            ensure!(last.bridge == bridge && last.table == 0, "{direction}: {explained}");
            ensure!(last.priority == Some(PRIORITY), "{direction}: {explained}");
            ensure!(last.cookie.as_deref() == Some(COOKIE), "{direction}: {explained}");
            let several = explained.rules.len() > 1;
            ensure!(several == (direction == Ingress), "{direction}: {explained}");
            ensure!(last.actions == ["drop"], "{direction}: {explained}");
            ensure!(explained.datapath_actions == ["drop"], "{direction}: {explained}");
            ensure!(explained.hits >= Some(DOOMED), "{direction}: {explained}");
            let packet = &explained.packet;
            ensure!(packet.contains(&format!("dl_src={ends}")), "{direction}: {packet}");
            ensure!(packet.contains(&format!("udp_dst={DOOMED_PORT}")), "{direction}: {packet}");
        }
        ensure!(found.explain.is_none(), "{direction}: nothing went through: {found}");
    }
    let findings = format!("{:?}", report.findings);
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
    let report = tracer.finish_drops()?;
    let text = &report.first()?.text;
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
    lab.wire_ping(guest, 20, Duration::from_millis(10))?;
    let report = tracer.finish()?;
    let (inner, outer) = (lab.integration_bridge.as_str(), lab.provider_bridge.as_str());
    for (direction, bridges) in [(Egress, [inner, outer]), (Ingress, [outer, inner])] {
        let found = report.direction(direction);
        let explained = found.explain.as_ref().with_context(|| format!("{direction}: {found}"))?;
        ensure!(found.ledger.completed == 20 && explained.bridge == bridges[0], "{direction}: {found}");
        let mut passed: Vec<_> = explained.rules.iter().map(|rule| rule.bridge.as_str()).collect();
        passed.dedup();
        ensure!(passed == bridges, "{direction}: {explained}");
        let actions = explained.datapath_actions.first().context("no actions")?;
        ensure!(actions != "drop" && !actions.is_empty(), "{direction}: {explained}");
        let port = if direction == Egress { &lab.nic } else { &guest.qvo };
        ensure!(
            explained.leaves_by.as_deref() == Some(std::slice::from_ref(port)),
            "{direction}: {explained}"
        );
    }
    ensure!(report.notes.is_empty(), "{:?}", report.notes);
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
    for (_, found) in report.directions.both() {
        ensure!(!found.drops.is_empty(), "{found}");
        ensure!(found.drops.iter().all(|drop| drop.explain.is_none()), "{found}");
        ensure!(found.explain.is_none(), "{found}");
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
    let report = tracer.finish_drops()?;
    let ingress = report.ingress();
    ensure!(ingress.died() == INVALID && !ingress.drops.is_empty(), "{ingress}");
    for drop in &ingress.drops {
        let explained = drop.explain.as_ref().with_context(|| format!("nothing explained: {drop}"))?;
        let last = explained.last()?;
        ensure!(last.bridge == "br-int" && last.table == 70, "{explained}");
        ensure!(last.priority == Some(10) && last.cookie.is_none(), "{explained}");
        ensure!(last.matches.contains("+inv+trk"), "{last}");
        let assumed = explained.assumed.as_ref();
        let assumed = assumed.with_context(|| format!("nothing assumed: {explained}"))?;
        let because = format!(
            "ct_state=trk|inv is assumed, because the rule that it ends at then was hit by {INVALID} packets"
        );
        ensure!(assumed.contains(&because), "{assumed}");
    }
    // With a datapath in the kernel the first of them is lost, and the others are dropped.
    let first = report.first()?;
    first.says("all 91 packets to the VM died")?;
    first.says("after nic")?;
    first.says("br-int table 70 priority 10: ct_state=+inv+trk,ip drop")?;
    Ok(())
}
