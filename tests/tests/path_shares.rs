//! Timing by share: every packet is counted and followed, however few are timed.

#![allow(clippy::cast_precision_loss, reason = "parts and rates")]

use hoptrace_tests::lab::Flood;
use hoptrace_tests::prelude::*;
use hoptrace_tests::report::Segment;

/// By default all are timed up to so many packets a second.
const AUTO_PER_S: f64 = 50_000.0;
/// Standard deviations that are as good as certain.
const CERTAIN: f64 = 6.0;

/// A trace of the guest as `words` say it.
fn start(guest: &Guest, words: &[&str]) -> Result<Tracer> {
    Tracer::start(&[&["trace", &guest.port_id, "--json"], words].concat())
}

/// All of the flood is in the ledger, and in every segment of its way.
fn counts_all(report: &Report, flood: &Flood) -> Result<()> {
    let way = report.egress();
    let all = Ledger { entered: flood.sent, completed: flood.sent, ..Ledger::default() };
    way.ledger.expect(&all)?;
    ensure!(way.total.count == flood.sent, "{} of {} in the total", way.total.count, flood.sent);
    ensure!(way.on_path().count() > 0, "{way}");
    for segment in way.on_path() {
        ensure!(segment.count == flood.sent, "not {}: {segment}", flood.sent);
    }
    Ok(())
}

/// About one of `one_of` packets was timed.
fn is_share(timed: u64, all: u64, one_of: u64) -> bool {
    let expected = all as f64 / one_of as f64;
    (timed as f64 - expected).abs() <= CERTAIN * expected.sqrt()
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn one_of_sixteen_is_timed_and_all_are_counted() -> Result<()> {
    const PACKETS: u64 = 80_000;
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    // Another tracer at the same hooks sees the same packets.
    let (exact, share) = (start(guest, &["--exact"])?, start(guest, &["--timed", "1:16"])?);
    let flood = lab.flood(guest, PACKETS, Some(20_000))?;
    let (share, exact) = (share.finish()?, exact.finish()?);
    counts_all(&exact, &flood)?;
    counts_all(&share, &flood)?;
    for (all, some) in exact.egress().on_path().zip(share.egress().on_path()) {
        ensure!(all.sample.is_none() && all.is(&some.from, &some.to), "{all} {some}");
        let sample = some.sample.with_context(|| format!("all timed: {some}"))?;
        ensure!(is_share(sample.timed, PACKETS, 16), "not one of 16: {some}");
    }
    let total = share.egress().total.sample.context("the whole way of all was timed")?;
    ensure!(is_share(total.timed, PACKETS, 16), "{}", share.egress().total);
    Ok(())
}

/// Which part of the packets of a segment was timed.
fn part_timed(segment: &Segment) -> f64 {
    segment.sample.map_or(1.0, |sample| sample.timed as f64 / segment.count as f64)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn by_itself_a_share_is_timed_only_where_much_comes() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    for (packets, per_second) in [(40_000, Some(20_000)), (500_000, None)] {
        let tracer = start(guest, &[])?;
        let flood = lab.flood(guest, packets, per_second)?;
        let report = tracer.finish()?;
        counts_all(&report, &flood)?;
        let rate = flood.per_second();
        for segment in report.egress().on_path() {
            let part = part_timed(segment);
            if rate < 0.8 * AUTO_PER_S {
                ensure!(segment.sample.is_none(), "at {rate:.0}/s: {segment}");
            } else if rate > 1.3 * AUTO_PER_S {
                // All in the first fifth of a second, and a power of two since.
                let most = 0.4 * rate / flood.sent as f64 + AUTO_PER_S / rate;
                ensure!((0.3 * AUTO_PER_S / rate..=most).contains(&part), "{part} at {rate:.0}/s: {segment}");
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_cost_is_held_or_said_not_to_be() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    // Any four hooks take more than a thousandth of this, and less than a CPU.
    for (cost, is_within_reach) in [("0.01%", false), ("100%", true)] {
        let tracer = start(guest, &["--cost", cost])?;
        let flood = lab.flood(guest, 120_000, Some(20_000))?;
        let report = tracer.finish()?;
        counts_all(&report, &flood)?;
        let is_said = report.notes.iter().any(|note| note.contains("--cost"));
        ensure!(is_said != is_within_reach, "{cost}: {:?} {}", report.notes, report.tracer);
        let first = report.egress().on_path().next().context("no segment")?;
        ensure!((part_timed(first) < 0.5) != is_within_reach, "{cost}: {first}");
        let taken = report.tracer.hooks_cpu_pct.context("not measured")?;
        ensure!(taken > 0.01 && taken < 100.0, "{taken} % of a CPU");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn who_lists_packets_times_them_all() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    for both in [["--timed", "1:16"], ["--cost", "1%"]] {
        let words = [&["trace", &guest.port_id, "--slowest", "3"][..], &both].concat();
        let output = hoptrace(&words)?.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2) && said.contains("--slowest"), "{:?}: {said}", output.status);
    }
    let tracer = start(guest, &["--slowest", "3"])?;
    let flood = lab.flood(guest, 200_000, None)?;
    let report = tracer.finish()?;
    counts_all(&report, &flood)?;
    ensure!(report.egress().total.sample.is_none(), "{}", report.egress().total);
    Ok(())
}
