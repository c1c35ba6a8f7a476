//! Timing by share: what some packets tell holds for all.

#![allow(clippy::cast_precision_loss, reason = "parts and rates")]

use hoptrace_tests::prelude::*;
use hoptrace_tests::report::{Interval, LatencyNs, Sample};

/// Of a guest that does not mind.
const PORT: u16 = 9;
const PACKETS: u64 = 24_000;
/// Of two programs at the same hook one looks at the clock before the other, and not as long before it at every hook.
const APART_NS: u64 = 2_000;
/// And both know a quantile within a bucket of their histograms only.
const BUCKETS: u64 = 30;

/// What is exact is within what the share says of it; where not, in words.
fn outside(exact: LatencyNs, sample: Sample) -> Vec<String> {
    let quantiles = [
        ("p50", exact.p50, sample.p50_ns),
        ("p90", exact.p90, sample.p90_ns),
        ("p99", exact.p99, sample.p99_ns),
        ("p99.9", exact.p999, sample.p999_ns),
    ];
    let is_outside = |exact: u64, Interval { low, high }: Interval| {
        let apart = APART_NS + exact / BUCKETS;
        exact + apart < low || high.is_some_and(|high| exact > high + apart)
    };
    let outside = quantiles.into_iter().filter(|(_, exact, interval)| is_outside(*exact, *interval));
    let words = |(name, exact, Interval { low, high })| format!("{name} {exact}: not {low} to {high:?}");
    outside.map(words).collect()
}

/// Two tracers see the same packets on a way that takes long enough for it not to matter which of them comes first at a hook.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_quantiles_of_all_are_where_a_share_says() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("no guest")?;
    let start =
        |words: &[&str]| Tracer::start(&[&["trace", &guest.port_id, "--json"], words, &["udp"]].concat());
    let (exact, share) = (start(&["--exact"])?, start(&["--timed", "1:4"])?);
    lab.wire_udp_flood((guest.ipv4, PORT).into(), PACKETS, 64, Duration::from_micros(100))?;
    let (share, exact) = (share.finish()?, exact.finish()?);
    let (all, some) = (&exact.ingress().total, &share.ingress().total);
    ensure!(all.count > PACKETS / 2 && all.count == some.count, "{all} {some}");
    let sample = some.sample.context("all timed")?;
    let quarter = all.count as f64 / 4.0;
    ensure!((sample.timed as f64 - quarter).abs() < 6.0 * quarter.sqrt(), "{some}");
    let outside = outside(all.latency_ns.context("no latency")?, sample);
    ensure!(outside.is_empty(), "{outside:#?} {all} {some}");
    // What they say is worth something.
    let (low, high) = (sample.p50_ns.low, sample.p50_ns.high.context("no end")?);
    ensure!(high < 2 * low, "{some}");
    Ok(())
}
