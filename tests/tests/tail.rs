//! Single packets: those that are slow, and the slowest.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is a failed test; a JSON value that is missing reads as null"
)]

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::{
    Tracer,
    lab::{Guest, Lab},
};
use rustix::process::Signal;
use serde_json::Value;

/// Echo requests, and as many replies.
const PINGS: usize = 200;
const DATAGRAMS: u64 = 20_000;

fn ping(lab: &Lab, guest: &Guest) -> Result<()> {
    let count = PINGS.to_string();
    let ping = lab.wire("ping", ["-q", "-c", &count, "-i", "0.002", &guest.ipv4.to_string()]).output()?;
    ensure!(ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
    Ok(())
}

/// Ends `hoptrace packets --jsonl` and gives what it printed.
fn packets(tracer: Tracer) -> Result<Vec<Value>> {
    tracer.signal(Signal::INT)?;
    let ended = tracer.wait()?;
    ensure!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
    ensure!(!ended.stderr.contains("missing here"), "{}", ended.stderr);
    let lines = String::from_utf8(ended.stdout)?;
    let packets = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    ensure!(ended.stderr.contains(&format!("printed {} of", packets.len())), "{}", ended.stderr);
    Ok(packets)
}

fn total_ns(packet: &Value) -> Result<u64> {
    let last = packet["hops"].as_array().and_then(|hops| hops.last()).context("no hops")?;
    last["at_ns"].as_u64().context("no time")
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn packets_slower_than_a_threshold_are_printed_and_no_others() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let start = |options: &[&str]| {
        let args = [&["packets", &guest.display_name, "icmp", "--jsonl"], options].concat();
        Tracer::start(&args)
    };
    let tracer = start(&["--slower-than", "0"])?;
    ping(&lab, guest)?;
    let all = packets(tracer)?;
    ensure!(all.len() == 2 * PINGS, "slower than nothing are {} packets", all.len());
    ensure!(all.iter().all(|packet| packet["slow"] == true && packet["sampled"] == false));

    let mut totals_ns = all.iter().map(total_ns).collect::<Result<Vec<_>>>()?;
    totals_ns.sort_unstable();
    let median_ns = totals_ns[totals_ns.len() / 2];
    let tracer = start(&["--sample", "1:1", "--slower-than", &format!("{median_ns}ns")])?;
    ping(&lab, guest)?;
    let all = packets(tracer)?;
    ensure!(all.len() == 2 * PINGS, "a sample of all are {} packets", all.len());
    // A hook that saw a packet late is not in its way: then the whole way's time is unknown.
    let hooks = |packet: &Value| if packet["direction"] == "egress" { 5 } else { 4 };
    let whole = |packet: &&Value| packet["hops"].as_array().is_some_and(|hops| hops.len() == hooks(packet));
    for packet in all.iter().filter(whole) {
        ensure!(packet["sampled"] == true, "{packet}");
        ensure!(packet["slow"] == (total_ns(packet)? > median_ns), "slower than {median_ns} ns? {packet}");
    }

    let tracer = start(&["--slower-than", "1h"])?;
    ping(&lab, guest)?;
    ensure!(packets(tracer)?.is_empty());
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_sample_holds_the_same_packets_for_everybody() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let args = |sample| ["packets", &guest.display_name, "icmp", "--jsonl", "--sample", sample];
    let everything = Tracer::start(&args("1:1"))?;
    let some = Tracer::start(&args("1:10"))?;
    ping(&lab, guest)?;
    let identity = |packet: &Value| packet["identity"].as_str().map(str::to_owned).context("no identity");
    let some = packets(some)?.iter().map(identity).collect::<Result<Vec<_>>>()?;
    let everything = packets(everything)?.iter().map(identity).collect::<Result<Vec<_>>>()?;
    let tenth =
        |identity: &&String| u64::from_str_radix(identity, 16).is_ok_and(|identity| identity < u64::MAX / 10);
    let mut expected: Vec<_> = everything.iter().filter(tenth).cloned().collect();
    let mut some = some;
    expected.sort_unstable();
    some.sort_unstable();
    ensure!(some == expected, "{some:?} is not {expected:?}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_slowest_packet_is_the_histograms_maximum() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.display_name, "icmp", "--json", "--slowest", "5"])?;
    ping(&lab, guest)?;
    let report = tracer.finish()?;
    for direction in ["egress", "ingress"] {
        let found = &report["directions"][direction];
        ensure!(found["ledger"]["ring_lost"] == 0, "{}", found["ledger"]);
        let slowest = found["slowest"].as_array().context("no list")?;
        ensure!(slowest.len() == 5, "{direction}: {} packets", slowest.len());
        let totals_ns = slowest.iter().map(total_ns).collect::<Result<Vec<_>>>()?;
        ensure!(totals_ns.is_sorted_by(|one, next| one >= next), "{direction}: {totals_ns:?}");
        ensure!(
            found["total"]["latency_ns"]["max"] == totals_ns[0],
            "{direction}: {totals_ns:?} of {}",
            found["total"]
        );
        // No step of any of them is longer than the longest in its segment.
        for packet in slowest {
            let hops = packet["hops"].as_array().context("no hops")?;
            for (pair, segment) in hops.windows(2).zip(found["segments"].as_array().context("no segments")?) {
                let step_ns = pair[1]["at_ns"].as_u64().zip(pair[0]["at_ns"].as_u64());
                let step_ns =
                    step_ns.and_then(|(to, from)| to.checked_sub(from)).context("times run back")?;
                let max_ns = segment["latency_ns"]["max"].as_u64().context("no maximum")?;
                let neighbours = pair[0]["hook"] == segment["from"] && pair[1]["hook"] == segment["to"];
                ensure!(!neighbours || step_ns <= max_ns, "{direction}: {packet} and {segment}");
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_slowest_share_is_found_while_tracing() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["packets", &guest.display_name, "udp", "--jsonl", "--slowest=5%"])?;
    lab.wire_udp_exact(guest, DATAGRAMS, 64)?;
    let slow = packets(tracer)?.len() as u64;
    // About a twentieth; the load is not steady.
    ensure!(slow > 0 && slow < DATAGRAMS / 5, "{slow} of {DATAGRAMS}");
    Ok(())
}
