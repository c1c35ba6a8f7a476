//! What tracing does to the latency of traffic: round trips under load, past each contender in turn.
//!
//! A guest's request and its response are one round trip, which passes each interface twice; a steady load goes the same way
//! meanwhile (`hoptrace_tests::lab::Lab::round_trips`). Each contender stands once in each round, every other round in the opposite order,
//! so that what slows the machine down evenly cancels. A figure is the median of the rounds' quantiles, and a ratio the median of the
//! rounds' own ratios.

use anyhow::{Context as _, Result, ensure};
use hoptrace_tests::lab::{Guest, Lab, Load, Trips};
use serde::Serialize;

use crate::{
    contender::Contender,
    support::{
        figures::{median, median_ratio, spread_pct},
        output::{CommonOptions, rounded},
        quantiles::{QUANTILES, Times},
    },
};

/// Before the trips that count go so many times fewer.
const LEAD_IN: u64 = 4;

/// Of the load that was asked for, what must have been sent.
const LOAD_SHARE: f64 = 0.95;

const UNTRACED: &str = "untraced";
const CONTENDERS: [(&str, Contender); 4] = [
    (UNTRACED, Contender::Untraced),
    ("hoptrace", Contender::Hoptrace),
    ("hoptrace_drops", Contender::Drops),
    ("tcpdump", Contender::Tcpdump),
];

/// How much is measured.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct TripOptions {
    /// Rounds of round trips; in each of them every contender is measured once; 0 leaves them out
    #[arg(long, default_value_t = 15)]
    trip_rounds: u32,
    /// Round trips of each contender in each of these rounds
    #[arg(long, default_value_t = 20_000)]
    trips: u64,
    /// Datagrams per second on the same path meanwhile
    #[arg(long, default_value_t = 100_000)]
    trip_load: u64,
}

/// One contender.
#[derive(Serialize)]
pub(crate) struct Row {
    contender: &'static str,
    /// Round trips of all rounds.
    trips: u64,
    quantiles: Vec<Quantile>,
    /// Datagrams per second that went the same way, in the median round: less than asked for where the path could not carry them.
    median_load_pps: f64,
    /// What was asked for.
    wanted_load_pps: u64,
}

/// One quantile of the round trips' times.
#[derive(Serialize)]
struct Quantile {
    /// Which one: so large a share of the trips is no slower.
    share: f64,
    median_ns: f64,
    ratio_to_untraced: f64,
    /// Half the distance between the quartiles of the rounds.
    spread_pct: f64,
}

impl Row {
    /// The quantile of so large a share of the trips, divided by what it is without a tracer.
    pub(crate) fn ratio_at(&self, share: f64) -> Option<f64> {
        let found = self.quantiles.iter().find(|it| it.share.total_cmp(&share).is_eq());
        found.map(|it| it.ratio_to_untraced)
    }

    pub(crate) const fn contender(&self) -> &'static str {
        self.contender
    }
}

/// A contender's figures, a round each.
#[derive(Default)]
struct Measured {
    trips: u64,
    quantiles_ns: [Vec<f64>; QUANTILES.len()],
    load_pps: Vec<f64>,
}

/// Measures each contender.
pub(crate) fn measure(lab: &Lab, options: TripOptions) -> Result<Vec<Row>> {
    if options.trip_rounds == 0 {
        return Ok(Vec::new());
    }
    let guest = lab.guests.first().context("the lab has no guest")?;
    let mut measured: [Measured; CONTENDERS.len()] = Default::default();
    for round in 0..options.trip_rounds {
        let mut order: Vec<_> = measured.iter_mut().zip(CONTENDERS).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (measured, (name, contender)) in order {
            let (times, load) =
                once(lab, guest, &contender, options).with_context(|| format!("round trips past {name}"))?;
            measured.trips += times.count();
            measured.load_pps.push(load.per_second());
            for (rounds, ns) in measured.quantiles_ns.iter_mut().zip(times.quantiles_ns()) {
                rounds.push(ns);
            }
        }
    }
    let untraced = CONTENDERS.iter().zip(&measured).find(|((name, _), _)| *name == UNTRACED);
    let untraced = untraced.context("nothing to compare with")?.1;
    let rows = CONTENDERS.iter().zip(&measured);
    Ok(rows.map(|((name, _), it)| row(name, it, untraced, options.trip_load)).collect())
}

fn once(lab: &Lab, guest: &Guest, contender: &Contender, options: TripOptions) -> Result<(Times, Load)> {
    lab.introduce(guest)?;
    let running = contender.start(lab)?;
    let TripOptions { trips: count, trip_load: load_per_second, .. } = options;
    let trips = Trips { lead_in: count / LEAD_IN, count, load_per_second };
    let mut times = Times::new()?;
    let load = lab.round_trips(guest, trips, |time| times.record(time))?;
    ensure!(load_per_second == 0 || load.arrived > 0, "nothing of the load arrived: {load:?}");
    if let Some(report) = running.end()?.report {
        for (direction, found) in report.directions.both() {
            let entered = found.ledger.entered;
            ensure!(entered >= times.count(), "{entered} packets were traced {direction}: {}", found.ledger);
        }
    }
    Ok((times, load))
}

fn row(contender: &'static str, measured: &Measured, untraced: &Measured, wanted_load_pps: u64) -> Row {
    let rounds = measured.quantiles_ns.iter().zip(&untraced.quantiles_ns);
    let quantiles = QUANTILES.into_iter().zip(rounds).map(|(share, (ns, untraced_ns))| Quantile {
        share,
        median_ns: rounded(median(ns), 0),
        ratio_to_untraced: rounded(median_ratio(ns, untraced_ns), 3),
        spread_pct: rounded(spread_pct(ns), 1),
    });
    Row {
        contender,
        trips: measured.trips,
        quantiles: quantiles.collect(),
        median_load_pps: rounded(median(&measured.load_pps), 0),
        wanted_load_pps,
    }
}

pub(crate) fn show(output: &CommonOptions, rows: &[Row]) {
    for row in rows {
        let of = |it: &Quantile| {
            let (us, pct) = (it.median_ns / 1e3, it.share * 100.0);
            format!("p{pct} {us:.1} µs, ÷ untraced {:.3}, spread {:.1}%", it.ratio_to_untraced, it.spread_pct)
        };
        let quantiles: Vec<String> = row.quantiles.iter().map(of).collect();
        output.show(&format!(
            "round trips {:15} {}; beside {:.0} packets/s",
            row.contender,
            quantiles.join("; "),
            row.median_load_pps
        ));
    }
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let is_less = |row: &&Row| row.median_load_pps < LOAD_SHARE * row.wanted_load_pps as f64;
    for row in rows.iter().filter(is_less) {
        output.show(&format!(
            "note: {}: the load was to be {} packets/s: this machine did not carry it, and the times are those of another load",
            row.contender, row.wanted_load_pps
        ));
    }
}
