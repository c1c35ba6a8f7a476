//! Exact numbers: every packet at every hook, against ping, the interfaces' counters and tcpdump.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is a failed test; a JSON value that is missing reads as null"
)]

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    Capture, Captures, Tracer,
    lab::{Lab, Trap},
};
use serde_json::Value;

const PINGS: u64 = 1_000;
const DATAGRAMS: u64 = 50_000;
/// Datagrams in each direction whose every latency is held against tcpdump's.
const WITNESSED: u64 = 2_000;
/// The port of the guest's sink.
const SINK_PORT: u16 = 9;
/// How far a segment's latency may be from tcpdump's, in the median.
const MEDIAN_DIFFERENCE_NS: u64 = 15_000;

/// The hooks on the path, in the order packets pass them.
const EGRESS: [&str; 5] = ["tap", "qvb", "qvo", "nic", "wire"];
const INGRESS: [&str; 4] = ["nic", "qvo", "qvb", "tap"];

/// Every hook, every segment and the total of a direction have `count` packets, and its ledger no other.
fn assert_exact(report: &Value, direction: &str, count: u64) -> Result<()> {
    let found = &report["directions"][direction];
    let hooks = if direction == "egress" { &EGRESS[..] } else { &INGRESS };
    for hook in hooks {
        let counted = found["hooks"].as_array().context("no hooks")?;
        let counted = counted.iter().find(|counted| counted["hook"] == *hook);
        let counted = counted.with_context(|| format!("{direction}: no hook {hook}"))?;
        ensure!(counted["seen"] == count, "{direction}: {counted}");
    }
    let segments = found["segments"].as_array().context("no segments")?;
    ensure!(segments.len() == hooks.len() - 1, "{direction}: {} segments", segments.len());
    for (segment, ends) in segments.iter().zip(hooks.windows(2)) {
        ensure!(segment["from"] == ends[0] && segment["to"] == ends[1], "{direction}: {segment}");
    }
    for segment in segments.iter().chain([&found["total"]]) {
        ensure!(segment["count"] == count, "{direction}: {segment}");
    }
    let ledger = &found["ledger"];
    ensure!(ledger["entered"] == count && ledger["completed"] == count, "{direction}: {ledger}");
    ensure!(ledger["balanced"] == true, "{direction}: {ledger}");
    for none in [
        "joined_midway",
        "dropped",
        "lost",
        "merged",
        "split",
        "unseen",
        "in_flight",
        "evicted",
        "ambiguous",
        "untracked",
        "unparsed",
        "ring_lost",
    ] {
        ensure!(ledger[none] == 0, "{direction}: {none} in {ledger}");
    }
    ensure!(found["drops"].as_array().is_some_and(Vec::is_empty), "{direction}: {}", found["drops"]);
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_thousand_pings_are_a_thousand_everywhere() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--wire", "--json"])?;
    let ping = lab.wire("ping", ["-q", "-c", "1000", "-i", "0.002", &guest.ipv4.to_string()]).output()?;
    let report = tracer.finish()?;
    let said = String::from_utf8_lossy(&ping.stdout);
    ensure!(said.contains("1000 packets transmitted, 1000 received"), "{said}");
    assert_exact(&report, "ingress", PINGS)?;
    assert_exact(&report, "egress", PINGS)?;
    ensure!(report["guest"]["count"] == PINGS, "guest: {}", report["guest"]);
    ensure!(report["off_path"]["count"] == 0, "off the path: {}", report["off_path"]);
    Ok(())
}

/// Packets an interface received and sent so far.
fn interface_packets(ifname: &str) -> Result<u64> {
    ["rx_packets", "tx_packets"].iter().try_fold(0, |sum, counter| {
        let text = std::fs::read_to_string(format!("/sys/class/net/{ifname}/statistics/{counter}"))?;
        Ok(sum + text.trim().parse::<u64>()?)
    })
}

/// Nanoseconds since 1970, as tcpdump's.
fn now_ns() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn fifty_thousand_datagrams_match_interface_counters_and_tcpdump() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let interfaces = lab.path_interfaces(guest);
    let folder = tempfile::tempdir()?;
    let captures = Captures::start(&interfaces, folder.path())?;
    // tcpdump listens for longer than the counters are compared, and neighbours confirm each other when they like.
    let from_ns = now_ns()?;
    let before = interfaces.iter().map(|it| interface_packets(it)).collect::<Result<Vec<_>>>()?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "and", "port", "9", "--wire", "--json"])?;
    lab.wire_udp_exact(guest, DATAGRAMS, 64)?;
    let report = tracer.finish()?;
    let after = interfaces.iter().map(|it| interface_packets(it)).collect::<Result<Vec<_>>>()?;
    let compared = from_ns..=now_ns()?;
    let captures = captures.finish()?;

    assert_exact(&report, "ingress", DATAGRAMS)?;
    assert_exact(&report, "egress", 0)?;
    for (((ifname, capture), before), after) in interfaces.iter().zip(&captures).zip(before).zip(after) {
        let seen = capture.udp_to(SINK_PORT) as u64;
        ensure!(seen == DATAGRAMS, "tcpdump on {ifname}: {seen} datagrams");
        let crossed = after - before;
        let all = capture.packets.iter().filter(|packet| compared.contains(&packet.time_ns)).count() as u64;
        ensure!(crossed == all, "{ifname} counted {crossed} packets, tcpdump saw {all}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn fifty_thousand_datagrams_of_the_guest_reach_the_wire() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "and", "port", "5009", "--wire", "--json"])?;
    lab.guest_udp_exact(guest, 5009, DATAGRAMS, 64)?;
    let report = tracer.finish()?;
    assert_exact(&report, "egress", DATAGRAMS)?;
    assert_exact(&report, "ingress", 0)?;
    ensure!(report["tracer"]["missed_runs"] == 0, "{}", report["tracer"]);
    Ok(())
}

/// The segments of one direction: role and interface before, role behind, and the differences found.
type Differences = HashMap<(String, String), Vec<i64>>;

/// The pairs of hooks that stand next to each other on the path, and where tcpdump sees packets, too.
const NEIGHBOURS: [(&str, &str); 6] =
    [("tap", "qvb"), ("qvb", "qvo"), ("qvo", "nic"), ("nic", "qvo"), ("qvo", "qvb"), ("qvb", "tap")];

/// For each packet and segment: hoptrace's latency less tcpdump's, in nanoseconds. A packet that a later hook saw
/// before an earlier one has no time there, and its record skips that hook.
fn differences(ways: &[Value], times: &HashMap<&str, HashMap<u64, u64>>) -> Result<Differences> {
    let mut found = Differences::new();
    for way in ways {
        let identity = u64::from_str_radix(way["identity"].as_str().context("no identity")?, 16)?;
        let hops = way["hops"].as_array().context("no hops")?;
        for pair in hops.windows(2) {
            let [from, to] = pair else { continue };
            let name = |hop: &Value| hop["hook"].as_str().unwrap_or_default().to_owned();
            if !NEIGHBOURS.contains(&(&name(from), &name(to))) {
                continue;
            }
            let at = |hop: &Value| hop["at_ns"].as_i64().context("no time");
            let seen = |hop: &Value| -> Result<i64> {
                let times = times.get(name(hop).as_str()).with_context(|| format!("no capture at {hop}"))?;
                let time = times.get(&identity).with_context(|| format!("tcpdump missed {way}"))?;
                Ok(i64::try_from(*time)?)
            };
            let difference = (at(to)? - at(from)?) - (seen(to)? - seen(from)?);
            found.entry((name(from), name(to))).or_default().push(difference);
        }
    }
    Ok(found)
}

/// In bursts, so that `ovs-vswitchd` is awake: its wake-up, which costs tens of microseconds on an emulated CPU, happens
/// between tcpdump's look at a frame and the hook behind it.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn each_packets_latencies_agree_with_tcpdump() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let interfaces = lab.path_interfaces(guest);
    let folder = tempfile::tempdir()?;
    let captures = Captures::start(&interfaces, folder.path())?;
    let count = (2 * WITNESSED).to_string();
    let tracer = Tracer::start(&["packets", &guest.port_id, "udp", "--jsonl", "-c", &count])?;
    lab.wire_udp_exact(guest, WITNESSED, 64)?;
    lab.guest_udp_exact(guest, 5009, WITNESSED, 64)?;
    let ended = tracer.wait()?;
    ensure!(ended.status.success(), "{}", ended.stderr);
    let captures = captures.finish()?;

    let lines = String::from_utf8(ended.stdout)?;
    let ways = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    ensure!(ways.len() as u64 == 2 * WITNESSED, "{} packets: {}", ways.len(), ended.stderr);
    let times =
        ["tap", "qvb", "qvo", "nic"].into_iter().zip(captures.iter().map(Capture::by_identity)).collect();
    let differences = differences(&ways, &times)?;
    ensure!(differences.len() == NEIGHBOURS.len(), "segments: {:?}", differences.keys());
    let mut medians = Vec::new();
    for (segment, mut found) in differences {
        ensure!(found.len() as u64 >= WITNESSED - WITNESSED / 50, "{segment:?}: {} packets", found.len());
        found.sort_by_key(|difference| difference.unsigned_abs());
        medians.push((segment, found[found.len() / 2].unsigned_abs()));
    }
    ensure!(
        medians.iter().all(|(_, median)| *median < MEDIAN_DIFFERENCE_NS),
        "median differences in ns: {medians:?}"
    );
    Ok(())
}

/// ARP asks again after a second, with the same packet; one that died must be settled by then, or neither would count.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn requests_that_die_and_are_sent_again_count_one_by_one() -> Result<()> {
    const NOBODY: &str = "10.99.99.200";
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _trap = Trap::flow(&lab.integration_bridge, &format!("priority=1000,arp,arp_tpa={NOBODY}"), "drop")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "arp", "and", "host", NOBODY, "--json"])?;
    let ping = guest.ping(NOBODY.parse()?, 6, Duration::from_secs(1))?;
    ensure!(ping.received == 0, "{NOBODY} is somebody: {ping:?}");
    let report = tracer.finish()?;
    let ledger = &report["directions"]["egress"]["ledger"];
    let asked = ledger["entered"].as_u64().context("no ledger")?;
    // Open vSwitch's kernel datapath says that it drops them, from the second one on.
    let died = ["lost", "dropped"].iter().filter_map(|how| ledger[how].as_u64()).sum::<u64>();
    ensure!(asked >= 5 && died == asked, "{ledger}");
    ensure!(ledger["ambiguous"] == 0 && ledger["balanced"] == true, "{ledger}");
    let unanswered = report["evidence"].as_array().context("no evidence")?.iter();
    let unanswered: Vec<_> = unanswered.filter(|it| it["counter"] == "arp_of_guest_unanswered").collect();
    ensure!(unanswered.len() == 1 && unanswered[0]["count"] == asked, "{}", report["evidence"]);
    Ok(())
}
