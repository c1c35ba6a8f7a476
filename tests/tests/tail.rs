//! Single packets: those that are slow, and the slowest.

use hoptrace_tests::prelude::*;
use hoptrace_tests::report::Packet;

/// Echo requests, and as many replies.
const PINGS: usize = 200;
const DATAGRAMS: u64 = 20_000;

fn ping(lab: &Lab, guest: &Guest) -> Result<()> {
    lab.wire_ping(guest, PINGS as u64, Duration::from_millis(2))
}

/// Ends `hoptrace packets --jsonl` and gives what it printed.
fn packets(tracer: Tracer) -> Result<Vec<Packet>> {
    Ok(packets_and_late(tracer)?.0)
}

/// The same, and how many packets were seen late at a hook, as it says: how long their whole way took may not be known.
fn packets_and_late(tracer: Tracer) -> Result<(Vec<Packet>, usize)> {
    tracer.signal(Signal::INT)?;
    let ended = tracer.wait()?;
    ensure!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
    ensure!(!ended.stderr.contains("missing here"), "{}", ended.stderr);
    let packets = Packet::read_all(&ended.stdout)?;
    ensure!(ended.stderr.contains(&format!("printed {} of", packets.len())), "{}", ended.stderr);
    let late = ended.stderr.lines().find_map(|line| line.split_once(" packets were seen late"));
    let count = late.and_then(|(before, _)| before.rsplit(' ').next());
    Ok((packets, count.map_or(Ok(0), str::parse).context("how many were late")?))
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
    let (all, late) = packets_and_late(tracer)?;
    ensure!(
        all.len() <= 2 * PINGS && all.len() + late >= 2 * PINGS,
        "slower than nothing are {} packets, {late} were late",
        all.len()
    );
    ensure!(all.iter().all(|packet| packet.slow && !packet.sampled));

    let mut totals_ns = all.iter().map(Packet::total_ns).collect::<Result<Vec<_>>>()?;
    totals_ns.sort_unstable();
    let median_ns = totals_ns[totals_ns.len() / 2];
    let tracer = start(&["--sample", "1:1", "--slower-than", &format!("{median_ns}ns")])?;
    ping(&lab, guest)?;
    let all = packets(tracer)?;
    ensure!(all.len() == 2 * PINGS, "a sample of all are {} packets", all.len());
    // A hook that saw a packet late is not in its way: then the whole way's time is unknown.
    let hooks = |packet: &Packet| if packet.direction == Egress { 5 } else { 4 };
    let whole = |packet: &&Packet| packet.hops.len() == hooks(packet);
    for packet in all.iter().filter(whole) {
        ensure!(packet.sampled, "{packet}");
        ensure!(packet.slow == (packet.total_ns()? > median_ns), "slower than {median_ns} ns? {packet}");
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
    let identities =
        |tracer| -> Result<Vec<u64>> { Ok(packets(tracer)?.iter().map(|packet| packet.identity).collect()) };
    let mut some = identities(some)?;
    let mut expected = identities(everything)?;
    expected.retain(|identity| *identity < u64::MAX / 10);
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
    for (direction, found) in report.directions.both() {
        ensure!(found.ledger.ring_lost == 0, "{}", found.ledger);
        let slowest = &found.slowest;
        ensure!(slowest.len() == 5, "{direction}: {} packets", slowest.len());
        let totals_ns = slowest.iter().map(Packet::total_ns).collect::<Result<Vec<_>>>()?;
        ensure!(totals_ns.is_sorted_by(|one, next| one >= next), "{direction}: {totals_ns:?}");
        let max_ns = found.total.latency_ns.map(|times| times.max);
        ensure!(max_ns == totals_ns.first().copied(), "{direction}: {totals_ns:?} of {}", found.total);
        // No step of any of them is longer than the longest in its segment.
        for packet in slowest {
            for (pair, segment) in packet.hops.windows(2).zip(&found.segments) {
                let step_ns = pair[1].at_ns.checked_sub(pair[0].at_ns).context("times run back")?;
                let max_ns = segment.ns()?.max;
                let neighbours = segment.is(&pair[0].hook, &pair[1].hook);
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
