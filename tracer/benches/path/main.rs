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
//!
//! What a contender does to packets while they pass, the sender's CPU pays for; what its own processes take besides is told beside it: tcpdump
//! copies each head once more, a tracer reads its maps. Both together are the whole.

mod contender;
mod flood;
mod round_trips;
mod row;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "another benchmark needs the rest")]
mod support;
mod tcp;
mod tcpdump;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser as _;
use hoptrace_tests::{lab::Lab, soak::Account};
use serde::Serialize;

use round_trips::TripOptions;
use row::Row;
use support::{
    bar::{self, Bar},
    machine::{Machine, date},
    output::CommonOptions,
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
    /// Only contenders whose name contains this (beside those that others are compared with)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Another build of hoptrace, as a contender beside this one
    #[arg(long, value_name = "PROGRAM")]
    other: Option<PathBuf>,
    #[command(flatten)]
    trips: TripOptions,
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
    round_trips: Vec<round_trips::Row>,
    bars: Vec<Bar>,
    /// Floods during which another program had BPF statistics on: those figures contain what that costs.
    disturbed_floods: u32,
    ledgers: Vec<Account>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let lab = Lab::from_env()?;
    let machine = Machine::describe()?;
    let mut bench = flood::Bench::new(&lab, &options.only, options.other.clone())?;
    // One for the caches, and for the switch to know where each address is.
    bench.round(options.packets)?;
    bench.forget();
    for _ in 0..options.rounds {
        bench.round(options.packets)?;
    }
    options.common.show(&machine.in_short());
    let rows = row::all(&bench)?;
    row::show(&options.common, &rows);
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
    let round_trips = round_trips::measure(&lab, options.trips)?;
    round_trips::show(&options.common, &round_trips);
    let bars = bars(&rows, &tcp, &round_trips, &lab.datapath);
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
        round_trips,
        bars,
        disturbed_floods,
        ledgers,
    })
}

/// What is expected on this path.
fn bars(rows: &[Row], tcp: &[tcp::Row], round_trips: &[round_trips::Row], datapath: &str) -> Vec<Bar> {
    let row = |name: &str| rows.iter().find(|row| row.name == name);
    let mut bars = Vec::new();
    if let (Some(hoptrace), Some(other)) = (row("hoptrace"), row("hoptrace_other")) {
        bars.push(Bar::at_least("this build ÷ the other one", hoptrace.ratio_to(other), 0.99));
    }
    if let (Some(hoptrace), Some(tcpdump)) = (row("hoptrace"), row("tcpdump")) {
        if datapath == "system" {
            bars.push(Bar::at_least("OVS datapath, traced ÷ untraced", hoptrace.ratio_to_untraced, 0.88));
        } else {
            bars.push(Bar::at_least("traced ÷ clock at the same hooks", hoptrace.ratio_to_clock, 0.93));
        }
        let above = hoptrace.ratio_to_untraced / tcpdump.ratio_to_untraced.max(1e-9);
        bars.push(Bar::at_least("traced ÷ tcpdump", above, 1.0));
    }
    if let Some(timed) = row("hoptrace_timed_16") {
        bars.push(Bar::at_least("one of 16 timed ÷ untraced", timed.ratio_to_untraced, 0.88));
    }
    if let Some(drops) = row("hoptrace_drops") {
        bars.push(Bar::at_least("drops ÷ untraced", drops.ratio_to_untraced, 0.9));
    }
    #[allow(clippy::cast_precision_loss, reason = "few, or too many anyway")]
    let lost = tcp.iter().map(tcp::Row::lost).sum::<u64>() as f64;
    bars.push(Bar::at_most("TCP with offloads, with and without XDP: packets taken for lost", lost, 0.0));
    let traced = round_trips.iter().find(|row| row.contender() == "hoptrace");
    if let Some(ratio) = traced.and_then(|row| row.ratio_at(0.99)) {
        bars.push(Bar::at_most("round trips under load, 99th percentile, traced ÷ untraced", ratio, 1.06));
    }
    bars
}
