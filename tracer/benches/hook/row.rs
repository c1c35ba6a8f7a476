//! A row of the table.

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    rows::{Bench, CLOCK, EMPTY},
    support::{
        figures::{above, median, median_ratio, median_ratio_above, spread_pct},
        output::{CommonOptions, rounded},
    },
    xdp::{XDP_CLOCK, XDP_EMPTY},
};

/// As it stands in the JSON. The empty program and the clock's that it is compared with are those of its kind, for TC or XDP.
#[derive(Serialize)]
pub(crate) struct Row {
    name: String,
    ns: f64,
    /// What it takes above the program that does nothing.
    above_empty_ns: f64,
    ratio_to_empty: f64,
    /// To the program that only reads the clock.
    ratio_to_clock: f64,
    /// What is above the empty program, of it and of the clock's.
    above_empty_ratio_to_clock: f64,
    /// The best round: what is left where the machine is busy with other things.
    best_ns: f64,
    /// Half the distance between the quartiles of the rounds.
    spread_pct: f64,
}

/// A row for each program that was measured.
pub(crate) fn all(bench: &Bench) -> Result<Vec<Row>> {
    let figures_of = |name: &str| bench.figures_of(name).with_context(|| format!("{name} was not measured"));
    let row = |(name, figures): (&str, &[f64])| {
        let (empty, clock) = if name.starts_with("xdp_") { (XDP_EMPTY, XDP_CLOCK) } else { (EMPTY, CLOCK) };
        let (empty, clock) = (figures_of(empty)?, figures_of(clock)?);
        Ok(Row {
            name: name.to_owned(),
            ns: rounded(median(figures), 2),
            above_empty_ns: rounded(median(&above(figures, empty)), 2),
            ratio_to_empty: rounded(median_ratio(figures, empty), 3),
            ratio_to_clock: rounded(median_ratio(figures, clock), 3),
            above_empty_ratio_to_clock: rounded(median_ratio_above(figures, clock, empty), 3),
            best_ns: rounded(figures.iter().copied().fold(f64::INFINITY, f64::min), 2),
            spread_pct: rounded(spread_pct(figures), 1),
        })
    };
    bench.figures().map(row).collect()
}

pub(crate) fn show(output: &CommonOptions, rows: &[Row]) {
    output.show(&format!(
        "{:32} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {:>7}",
        "program", "ns", "above", "÷ empty", "÷ clock", "above ÷", "best ns", "spread"
    ));
    for row in rows {
        let Row { name, ns, above_empty_ns, ratio_to_empty, ratio_to_clock, .. } = row;
        let Row { above_empty_ratio_to_clock, best_ns, spread_pct, .. } = row;
        output.show(&format!(
            "{name:32} {ns:7.1} {above_empty_ns:7.1} {ratio_to_empty:7.2} {ratio_to_clock:7.2} \
             {above_empty_ratio_to_clock:7.2} {best_ns:8.1} {spread_pct:6.1}%"
        ));
    }
    output.show(
        "above: above the empty program; above ÷: that, divided by the clock's above the empty program.",
    );
}
