//! What a hook costs: nanoseconds per packet and hook, through `BPF_PROG_TEST_RUN`, beside an empty program, one that
//! only reads the clock, and the same job on the kernel's LRU hash map.
//!
//! A packet must come to the hooks of its direction one after the other, and each packet needs an identity of its own. Hooks
//! are the first of a way and the last, one on each side of one interface, because a run is on one interface only.
//! So a small program stands before the hook's: it writes the packet's number into a word that the identity covers,
//! and goes on by tail call in the program of the next hook (`tracer-ebpf/src/bench/course.rs`). What that costs is
//! measured with empty programs at the hooks, on the same course and in the same round, and taken off:
//!
//!     ns of a program = on the course − empty programs on the course + the empty program by itself
//!
//! The programs themselves are those that a trace loads, unchanged. *Hot*: eight packets go round, so their slots are
//! in the first-level cache. *Distinct*: no packet comes twice; 64 of them (what the kernel handles at a time) pass a
//! hook before the first of them comes to the next one. The runs of a row
//! in a round come in slices, of which the fastest counts; a row's figure is the median of its rounds, and a ratio the
//! median of the rounds' own ratios. What each program takes above the empty one is compared with what the clock's takes above it, too: calling
//! a program costs what the machine's mitigations make of it, and that is no program's own doing.

mod against;
mod course;
mod frees;
mod packets;
mod part;
mod rejected;
mod row;
mod rows;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "another benchmark needs the rest")]
mod support;
mod tracer;
mod xdp;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;

use row::Row;
use support::{
    bar::{self, Bar},
    figures::{median_ratio, median_ratio_above},
    machine::{Machine, date},
    output::CommonOptions,
};

/// What a hook costs, beside programs that do less or do it otherwise.
#[derive(clap::Parser)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// Rounds; in each of them every row is measured once
    #[arg(long, default_value_t = 25)]
    rounds: usize,
    /// Runs of each program in each round
    #[arg(long, default_value_t = 1 << 18)]
    runs: u32,
    /// Only rows whose name contains this (beside those that others are compared with)
    #[arg(long)]
    only: Option<String>,
    /// Another build of this benchmark, whose hooks are measured in turns with those of this one (rows `this_…` and `against_…`)
    #[arg(long, value_name = "BENCHMARK")]
    against: Option<PathBuf>,
    /// Hold the programs for another process that measures them
    #[arg(long, hide = true)]
    hold: bool,
}

#[derive(Serialize)]
struct Results {
    benchmark: &'static str,
    date: String,
    machine: Machine,
    rounds: usize,
    runs_per_round: u32,
    /// Machine code of one hook's program.
    hop_code_bytes: u32,
    rows: Vec<Row>,
    bars: Vec<Bar>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let machine = Machine::describe()?;
    let mut cpus = CpuSet::new();
    cpus.set(machine.cores - 1);
    sched_setaffinity(None, &cpus).context("stay on one CPU")?;
    if options.hold {
        return against::hold();
    }
    let mut bench = rows::Bench::new(options.only.as_deref(), options.against.as_deref())?;
    let runs = options.runs.next_multiple_of(course::SLICES << 12);
    // One for the caches.
    bench.round(runs)?;
    bench.forget();
    for _ in 0..options.rounds {
        bench.round(runs)?;
    }
    let packets = bench.check()?;
    let rows = row::all(&bench)?;
    options.common.show(&machine.in_short());
    row::show(&options.common, &rows);
    options.common.show(&format!(
        "{packets} packets went all the way, none ambiguous; a hook's program has {} bytes of code",
        bench.code_bytes()?
    ));
    let bars = bars(&bench);
    bar::show(&options.common, &bars);
    let results = Results {
        benchmark: "hook",
        date: date()?,
        machine,
        rounds: options.rounds,
        runs_per_round: runs,
        hop_code_bytes: bench.code_bytes()?,
        rows,
        bars,
    };
    options.common.write(&results)
}

/// What is expected of a hook, where it was measured.
fn bars(bench: &rows::Bench) -> Vec<Bar> {
    let of = |name: &str| bench.figures_of(name);
    let ratio = |name: &str, to: &str| Some(median_ratio(of(name)?, of(to)?));
    let above = |name: &str| Some(median_ratio_above(of(name)?, of(rows::CLOCK)?, of(rows::EMPTY)?));
    let dearest =
        |names: &[&str]| names.iter().filter_map(|name| ratio(name, rows::EMPTY)).max_by(f64::total_cmp);
    let at_most = |bar, figure: Option<f64>, limit| figure.map(|figure| Bar::at_most(bar, figure, limit));
    [
        at_most("matching packet, hot, above empty ÷ clock above empty", above("hop_hot"), 1.6),
        at_most("matching packet, hot, ÷ clock", ratio("hop_hot", rows::CLOCK), 1.25),
        at_most("one of 16 timed, hot, ÷ clock", ratio("hop_hot_timed_16", rows::CLOCK), 0.95),
        at_most("this build's hook ÷ the other's, hot", ratio("this_hot", "against_hot"), 1.02),
        at_most(
            "this build's hook ÷ the other's, distinct",
            ratio("this_distinct", "against_distinct"),
            1.02,
        ),
        at_most("matching packet, distinct, ÷ clock", ratio("hop_distinct", rows::CLOCK), 1.7),
        at_most("matching packet, distinct, ÷ LRU hash map", ratio("hop_distinct", "lru_distinct"), 0.6),
        at_most("packet the filter rejects ÷ clock", ratio("filtered", rows::CLOCK), 0.75),
        at_most("rejected at a shared NIC ÷ empty", dearest(&["rejected", "rejected_in"]), 1.6),
        at_most(
            "rejected there after one frame with a foreign source ÷ empty",
            dearest(&["rejected_after_foreign", "rejected_in_after_foreign"]),
            1.6,
        ),
        at_most(
            "rejected there in a trace of several ports ÷ empty",
            dearest(&["rejected_of_several", "rejected_of_several_in"]),
            1.6,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
