//! `cargo xtask bench path`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum as _};
use hoptrace_tests::BINARY_ENV;
use hoptrace_tests::lab::sandbox::exit_code;
use hoptrace_tests::lab::{Folders, Runner};
use hoptrace_tests::vm::PAYLOAD_DIR;

use super::{build, json_words};
use crate::progress::step;
use crate::vm::SeriesName;

/// How long all rounds in a VM may take: it is emulated.
const VM_TIME_LIMIT_S: u64 = 3600;

#[derive(Args)]
pub(crate) struct PathArgs {
    /// Write the figures, with the machine described, to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// In a test VM with this kernel, over OVS's kernel datapath, instead of here over Linux bridges.
    #[arg(long, value_name = "SERIES", num_args = 0..=1, default_missing_value = "6.12")]
    vm: Option<SeriesName>,
    /// Rounds; in each of them every contender is measured twice.
    #[arg(long, value_name = "ROUNDS", default_value_t = 9)]
    rounds: u32,
    /// Datagrams of each flood [default: 200000, in a VM 20000].
    #[arg(long, value_name = "COUNT")]
    packets: Option<u64>,
    /// TCP connections of each contender in each direction; 0 leaves TCP out.
    #[arg(long, value_name = "ROUNDS", default_value_t = 7)]
    tcp_rounds: u32,
    /// Rounds of round trips under load; in each of them every contender is measured once; 0 leaves them out [default: 15, in a VM 5].
    #[arg(long, value_name = "ROUNDS")]
    trip_rounds: Option<u64>,
    /// Round trips of each contender in each of these rounds [default: 20000, in a VM 1000].
    #[arg(long, value_name = "COUNT")]
    trips: Option<u64>,
    /// Datagrams per second on the same path meanwhile [default: 100000, in a VM 2000].
    #[arg(long, value_name = "RATE")]
    trip_load: Option<u64>,
    /// Only contenders whose name contains this, beside those that others are compared with; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Another build of hoptrace, as a contender in the same rounds.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "vm")]
    other: Option<PathBuf>,
}

pub(super) fn run(args: &PathArgs) -> Result<ExitCode> {
    let folders = Folders::find()?;
    let program = build(&folders, "path")?;
    let or = |given: Option<u64>, here, in_vm| given.unwrap_or(if args.vm.is_some() { in_vm } else { here });
    let numbers = [
        ("--rounds", args.rounds.into()),
        ("--packets", or(args.packets, 200_000, 20_000)),
        ("--tcp-rounds", args.tcp_rounds.into()),
        ("--trip-rounds", or(args.trip_rounds, 15, 5)),
        ("--trips", or(args.trips, 20_000, 1_000)),
        ("--trip-load", or(args.trip_load, 100_000, 2_000)),
    ];
    let words: Vec<String> = numbers
        .iter()
        .flat_map(|(word, number): &(&str, u64)| [(*word).to_owned(), number.to_string()])
        .chain(args.only.iter().flat_map(|name| ["--only".to_owned(), name.clone()]))
        .chain(args.other.iter().flat_map(|program| ["--other".to_owned(), program.display().to_string()]))
        .collect();
    match args.vm {
        Some(series) => in_vm(series, &program, &words, args.json.as_deref()),
        None => here(folders, &program, words, args.json.as_deref()),
    }
}

fn here(folders: Folders, program: &Path, words: Vec<String>, json: Option<&Path>) -> Result<ExitCode> {
    let hoptrace = crate::build::release(&folders)?;
    let command = ["env".into(), format!("{BINARY_ENV}={}", hoptrace.display()), path_word(program)];
    let command: Vec<String> = command.into_iter().chain(words).chain(json_words(json)?).collect();
    Ok(exit_code(Runner::kernel_path(folders)?.run(&command, &step)?))
}

/// Nothing leaves the VM but what is printed: the JSON comes over its standard output, and the tables over the other one.
fn in_vm(series: SeriesName, program: &Path, words: &[String], json: Option<&Path>) -> Result<ExitCode> {
    let series = series.to_possible_value().context("a series without a name")?;
    let file_name = program.file_name().context("a benchmark without a name")?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["vm", "--series", series.get_name(), "--veths", "--time-limit", &VM_TIME_LIMIT_S.to_string()])
        .arg("--file")
        .arg(program)
        .arg("--")
        .arg(Path::new(PAYLOAD_DIR).join(file_name))
        .args(words)
        .args(["--json", "-"])
        .stderr(Stdio::inherit());
    let output = command.output().context("run the benchmark in a VM")?;
    if output.status.success()
        && let Some(path) = json
    {
        let read = serde_json::from_slice::<serde_json::Value>(&output.stdout);
        ensure!(read.is_ok(), "the benchmark in the VM did not print JSON");
        std::fs::write(path, &output.stdout).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(exit_code(output.status))
}

fn path_word(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
