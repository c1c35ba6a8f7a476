//! A row of the table of floods.

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    flood::{Bench, Figures},
    support::{
        figures::{median, median_ratio, spread_pct},
        output::{CommonOptions, rounded},
    },
};

/// As it stands in the JSON.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    #[serde(skip)]
    per_second: Vec<f64>,
    median_pps: f64,
    pub(crate) ratio_to_untraced: f64,
    pub(crate) ratio_to_clock: f64,
    /// Datagrams of all rounds, and those of them that the receiver read.
    sent: u64,
    arrived: u64,
    /// Half the distance between the quartiles of the rounds.
    spread_pct: f64,
    /// Of the sender's CPU, which carries each packet all the way.
    median_cpu_ns: f64,
    cpu_ratio_to_untraced: f64,
    cpu_ratio_to_clock: f64,
    /// Of all CPUs for the contender's own processes, beside that: for each datagram.
    own_cpu_ns: f64,
    /// Both together, and how many times less that is without a tracer.
    whole_cpu_ns: f64,
    whole_cpu_ratio_to_untraced: f64,
    /// Packets that it was to capture and had no room for, of all interfaces and rounds.
    missed: u64,
}

impl Row {
    /// Its throughput, divided by that of another one: the median of the rounds' own ratios.
    pub(crate) fn ratio_to(&self, other: &Self) -> f64 {
        rounded(median_ratio(&self.per_second, &other.per_second), 3)
    }
}

/// A row for each contender.
pub(crate) fn all(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let figures_of = |name: &str| {
        let found = bench.figures().find(|it| it.name == name);
        found.with_context(|| format!("{name} was not measured"))
    };
    let (untraced, clock) = (figures_of("untraced")?, figures_of("clock")?);
    let row = |it: &Figures| Row {
        name: it.name,
        per_second: it.per_second.clone(),
        sent: it.sent,
        arrived: it.arrived,
        median_pps: rounded(median(&it.per_second), 0),
        ratio_to_untraced: rounded(median_ratio(&it.per_second, &untraced.per_second), 3),
        ratio_to_clock: rounded(median_ratio(&it.per_second, &clock.per_second), 3),
        spread_pct: rounded(spread_pct(&it.per_second), 1),
        median_cpu_ns: rounded(1e9 / median(&it.per_cpu_second).max(1e-9), 0),
        cpu_ratio_to_untraced: rounded(median_ratio(&it.per_cpu_second, &untraced.per_cpu_second), 3),
        cpu_ratio_to_clock: rounded(median_ratio(&it.per_cpu_second, &clock.per_cpu_second), 3),
        own_cpu_ns: rounded(median(&it.own_cpu_ns), 0),
        whole_cpu_ns: rounded(median(&it.whole_cpu_ns()), 0),
        whole_cpu_ratio_to_untraced: rounded(median_ratio(&untraced.whole_cpu_ns(), &it.whole_cpu_ns()), 3),
        missed: it.missed,
    };
    Ok(bench.figures().map(row).collect())
}

pub(crate) fn show(output: &CommonOptions, rows: &[Row]) {
    output.show(&format!(
        "{:22} {:>9} {:>10} {:>8} {:>8}   {:>8} {:>10} {:>8}   {:>7} {:>8} {:>10}",
        "",
        "packets/s",
        "÷ untraced",
        "÷ clock",
        "spread",
        "CPU ns",
        "÷ untraced",
        "÷ clock",
        "own ns",
        "whole ns",
        "÷ untraced"
    ));
    for row in rows {
        let Row { name, median_pps, ratio_to_untraced, ratio_to_clock, spread_pct, .. } = row;
        let (cpu_ns, cpu_untraced, cpu_clock) =
            (row.median_cpu_ns, row.cpu_ratio_to_untraced, row.cpu_ratio_to_clock);
        let Row { own_cpu_ns, whole_cpu_ns, whole_cpu_ratio_to_untraced, .. } = row;
        output.show(&format!(
            "{name:22} {median_pps:9.0} {ratio_to_untraced:10.3} {ratio_to_clock:8.3} {spread_pct:7.1}%   \
             {cpu_ns:8.0} {cpu_untraced:10.3} {cpu_clock:8.3}   {own_cpu_ns:7.0} {whole_cpu_ns:8.0} \
             {whole_cpu_ratio_to_untraced:10.3}"
        ));
    }
    for row in rows.iter().filter(|row| row.arrived < row.sent) {
        output.show(&format!(
            "note: {}: the receiver read {} of {} datagrams: it is the bottleneck there",
            row.name, row.arrived, row.sent
        ));
    }
    for row in rows.iter().filter(|row| row.missed > 0) {
        output.show(&format!("note: {} has missed {} packets, of all interfaces", row.name, row.missed));
    }
    output.show(
        "The sender's CPU carries each packet all the way: its system calls are in every row, and they are the \
         bottleneck together with the path. own: what the contender's processes take besides, for each datagram; \
         whole: both.",
    );
}
