//! Exact numbers: every packet at every hook, against ping, the interfaces' counters and tcpdump.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use hoptrace_tests::prelude::*;
use hoptrace_tests::{
    Capture, Captures,
    report::{Packet, WayPoint},
};

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
fn assert_exact(report: &Report, direction: Direction, count: u64) -> Result<()> {
    let found = report.direction(direction);
    let hooks = if direction == Egress { &EGRESS[..] } else { &INGRESS };
    for hook in hooks {
        let counted = found.hook(hook).context(direction)?;
        ensure!(counted.seen == count, "{direction}: {counted}");
    }
    let segments = &found.segments;
    ensure!(segments.len() == hooks.len() - 1, "{direction}: {} segments", segments.len());
    for (segment, (from, to)) in segments.iter().zip(hooks.iter().zip(hooks.iter().skip(1))) {
        ensure!(segment.is(from, to), "{direction}: {segment}");
        ensure!(segment.count == count, "{direction}: {segment}");
    }
    ensure!(found.total.count == count, "{direction}: {}", found.total);
    let ledger = found.ledger;
    ledger.expect_all(count).context(direction)?;
    let none = Ledger { unseen: 0, ambiguous: 0, untracked: 0, unparsed: 0, ring_lost: 0, ..ledger };
    ledger.expect(&none).context(direction)?;
    ensure!(found.drops.is_empty(), "{direction}: {:?}", found.drops);
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_thousand_pings_are_a_thousand_everywhere() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "icmp", "--wire", "--json"])?;
    lab.wire_ping(guest, PINGS, Duration::from_millis(2))?;
    let report = tracer.finish()?;
    assert_exact(&report, Ingress, PINGS)?;
    assert_exact(&report, Egress, PINGS)?;
    ensure!(report.guest.count == PINGS, "guest: {}", report.guest);
    ensure!(report.off_path.count == 0, "off the path: {}", report.off_path);
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

    assert_exact(&report, Ingress, DATAGRAMS)?;
    assert_exact(&report, Egress, 0)?;
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
    assert_exact(&report, Egress, DATAGRAMS)?;
    assert_exact(&report, Ingress, 0)?;
    ensure!(report.tracer.missed_runs == 0, "{}", report.tracer);
    Ok(())
}

/// The segments of one direction: role and interface before, role behind, and the differences found.
type Differences = HashMap<(String, String), Vec<i64>>;

/// The pairs of hooks that stand next to each other on the path, and where tcpdump sees packets, too.
const NEIGHBOURS: [(&str, &str); 6] =
    [("tap", "qvb"), ("qvb", "qvo"), ("qvo", "nic"), ("nic", "qvo"), ("qvo", "qvb"), ("qvb", "tap")];

/// For each packet and segment: hoptrace's latency less tcpdump's, in nanoseconds. A packet that a later hook saw
/// before an earlier one has no time there, and its record skips that hook.
fn differences(ways: &[Packet], times: &HashMap<&str, HashMap<u64, u64>>) -> Result<Differences> {
    let mut found = Differences::new();
    for way in ways {
        for pair in way.hops.windows(2) {
            let [from, to] = pair else { continue };
            if !NEIGHBOURS.contains(&(&from.hook, &to.hook)) {
                continue;
            }
            let seen = |hop: &WayPoint| -> Result<i64> {
                let times = times.get(hop.hook.as_str()).with_context(|| format!("no capture at {hop}"))?;
                let time = times.get(&way.identity).with_context(|| format!("tcpdump missed {way}"))?;
                Ok(i64::try_from(*time)?)
            };
            let ours = i64::try_from(to.at_ns)? - i64::try_from(from.at_ns)?;
            let difference = ours - (seen(to)? - seen(from)?);
            found.entry((from.hook.clone(), to.hook.clone())).or_default().push(difference);
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

    let ways = Packet::read_all(&ended.stdout)?;
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
    let ledger = report.egress().ledger;
    let asked = ledger.entered;
    // Open vSwitch's kernel datapath says that it drops them, from the second one on.
    ensure!(asked >= 5 && ledger.lost + ledger.dropped == asked, "{ledger}");
    ledger.expect(&Ledger { ambiguous: 0, ..ledger })?;
    let unanswered = report.evidence.iter().filter(|it| it.counter == "arp_of_guest_unanswered");
    let unanswered: Vec<_> = unanswered.map(|it| it.count).collect();
    ensure!(unanswered == [asked], "{:?}", report.evidence);
    Ok(())
}
