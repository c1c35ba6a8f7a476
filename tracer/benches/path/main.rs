//! What tracing costs on a path: floods of small datagrams, and TCP, beside other programs at the same hooks.
//!
//! Runs in a lab whose guest is a namespace behind a veth pair (`cargo xtask bench path` makes it), so that the kernel
//! carries each packet from the sender's system call to the receiver's socket, past four hooks.
//! The contenders are attached one after the other; in each round each of them stands in two floods, in a forward and
//! in a backward pass, so that what slows the machine down evenly cancels. A row's figure is the median of its rounds,
//! and a ratio the median of the rounds' own ratios.
//!
//! `hoptrace` is what users get without options, at the interfaces where the benchmark's own programs are, too;
//! `hoptrace_wire` has the wire hook besides. `floor` is what any exact tracer of this kind does at least (`tracer-ebpf/src/bench/floor.rs`).
//! hoptrace is the real program with the real options: it finds the path by OVSDB, attaches, traces the flood, and
//! its ledger must account for every packet that the interfaces' own counters know.

mod contender;
mod flood;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "another benchmark needs the rest")]
mod support;
mod tcp;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use hoptrace_tests::{lab::Lab, soak::Account};
use serde::Serialize;

use support::{
    bar::{self, Bar},
    figures::{median, median_ratio, spread_pct},
    machine::{Machine, date},
    output::{CommonOptions, rounded},
};

/// What tracing costs on a path.
#[derive(clap::Parser)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// Rounds; in each of them every contender is measured twice
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Datagrams of each flood
    #[arg(long, default_value_t = 200_000)]
    packets: u64,
    /// TCP connections of each contender in each direction; 0 leaves TCP out
    #[arg(long, default_value_t = 7)]
    tcp_rounds: u32,
}

#[derive(Serialize)]
struct Results {
    benchmark: &'static str,
    date: String,
    machine: Machine,
    /// What the switch is: OVS's kernel datapath (`system`) or a Linux bridge (`bridge`).
    datapath: String,
    rounds: u32,
    packets_per_flood: u64,
    rows: Vec<Row>,
    tcp: Vec<tcp::Row>,
    bars: Vec<Bar>,
    /// Floods during which another program had BPF statistics on: those figures contain what that costs.
    disturbed_floods: u32,
    ledgers: Vec<Account>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    median_pps: f64,
    ratio_to_untraced: f64,
    ratio_to_clock: f64,
    /// Datagrams of all rounds, and those of them that the receiver read.
    sent: u64,
    arrived: u64,
    /// Half the distance between the quartiles of the rounds.
    spread_pct: f64,
    /// Of the sender's CPU, which carries each packet all the way.
    median_cpu_ns: f64,
    cpu_ratio_to_untraced: f64,
    cpu_ratio_to_clock: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let lab = Lab::from_env()?;
    let machine = Machine::describe()?;
    let mut bench = flood::Bench::new(&lab)?;
    // One for the caches, and for the switch to know where each address is.
    bench.round(options.packets)?;
    bench.forget();
    for _ in 0..options.rounds {
        bench.round(options.packets)?;
    }
    let rows = rows(&bench)?;
    show(&options.common, &rows);
    let disturbed_floods = bench.disturbed();
    if disturbed_floods > 0 {
        options.common.show(&format!(
            "note: another program had BPF statistics on during {disturbed_floods} floods; they read the clock twice per run"
        ));
    }
    let ledgers = bench.into_ledgers();
    let (runs, packets) = (ledgers.len(), ledgers.iter().map(|it| it.entered).sum::<u64>());
    options.common.show(&format!(
        "{packets} packets of {runs} traced floods are all in the ledger, as the interfaces counted them"
    ));
    let tcp = tcp::measure(&lab, options.tcp_rounds)?;
    tcp::show(&options.common, &tcp);
    let bars = bars(&rows, &tcp, &lab.datapath);
    bar::show(&options.common, &bars);
    options.common.write(&Results {
        benchmark: "path",
        date: date()?,
        machine,
        datapath: lab.datapath,
        rounds: options.rounds,
        packets_per_flood: options.packets,
        rows,
        tcp,
        bars,
        disturbed_floods,
        ledgers,
    })
}

fn rows(bench: &flood::Bench<'_>) -> Result<Vec<Row>> {
    let figures_of = |name: &str| {
        let found = bench.figures().find(|it| it.name == name);
        found.with_context(|| format!("{name} was not measured"))
    };
    let (untraced, clock) = (figures_of("untraced")?, figures_of("clock")?);
    let row = |it: &flood::Figures| Row {
        name: it.name,
        sent: it.sent,
        arrived: it.arrived,
        median_pps: rounded(median(&it.per_second), 0),
        ratio_to_untraced: rounded(median_ratio(&it.per_second, &untraced.per_second), 3),
        ratio_to_clock: rounded(median_ratio(&it.per_second, &clock.per_second), 3),
        spread_pct: rounded(spread_pct(&it.per_second), 1),
        median_cpu_ns: rounded(1e9 / median(&it.per_cpu_second).max(1e-9), 0),
        cpu_ratio_to_untraced: rounded(median_ratio(&it.per_cpu_second, &untraced.per_cpu_second), 3),
        cpu_ratio_to_clock: rounded(median_ratio(&it.per_cpu_second, &clock.per_cpu_second), 3),
    };
    Ok(bench.figures().map(row).collect())
}

/// What is expected on this path.
fn bars(rows: &[Row], tcp: &[tcp::Row], datapath: &str) -> Vec<Bar> {
    let row = |name: &str| rows.iter().find(|row| row.name == name);
    let mut bars = Vec::new();
    if let (Some(hoptrace), Some(tcpdump)) = (row("hoptrace"), row("tcpdump")) {
        if datapath == "system" {
            bars.push(Bar::at_least("OVS datapath, traced ÷ untraced", hoptrace.ratio_to_untraced, 0.95));
        } else {
            bars.push(Bar::at_least("traced ÷ clock at the same hooks", hoptrace.ratio_to_clock, 0.95));
            bars.push(Bar::at_least("traced ÷ untraced", hoptrace.ratio_to_untraced, 0.88));
        }
        let above = hoptrace.ratio_to_untraced / tcpdump.ratio_to_untraced.max(1e-9);
        bars.push(Bar::at_least("traced ÷ tcpdump", above, 1.0));
    }
    #[allow(clippy::cast_precision_loss, reason = "few, or too many anyway")]
    let lost = tcp.iter().map(tcp::Row::lost).sum::<u64>() as f64;
    bars.push(Bar::at_most("TCP with offloads, with and without XDP: packets taken for lost", lost, 0.0));
    bars
}

fn show(output: &CommonOptions, rows: &[Row]) {
    output.show(&format!(
        "{:20} {:>9} {:>10} {:>8} {:>8}   {:>8} {:>10} {:>8}",
        "", "packets/s", "÷ untraced", "÷ clock", "spread", "CPU ns", "÷ untraced", "÷ clock"
    ));
    for row in rows {
        let Row { name, median_pps, ratio_to_untraced, ratio_to_clock, spread_pct, .. } = row;
        let (cpu_ns, cpu_untraced, cpu_clock) =
            (row.median_cpu_ns, row.cpu_ratio_to_untraced, row.cpu_ratio_to_clock);
        output.show(&format!(
            "{name:20} {median_pps:9.0} {ratio_to_untraced:10.3} {ratio_to_clock:8.3} {spread_pct:7.1}%   \
             {cpu_ns:8.0} {cpu_untraced:10.3} {cpu_clock:8.3}"
        ));
    }
    for row in rows.iter().filter(|row| row.arrived < row.sent) {
        output.show(&format!(
            "note: {}: the receiver read {} of {} datagrams: it is the bottleneck there",
            row.name, row.arrived, row.sent
        ));
    }
    output.show(
        "The sender's CPU carries each packet all the way: its system calls are in every row, and they are the \
         bottleneck together with the path.",
    );
}
