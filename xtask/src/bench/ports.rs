//! `cargo xtask bench ports`: what a trace of many ports takes, by how many there are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use hoptrace_tests::lab::sandbox::exit_code;
use hoptrace_tests::lab::{Crowd, Folders, Lab, Runner};
use hoptrace_tests::soak::{ProcessUse, own_peak_bytes};
use hoptrace_tests::{BINARY_ENV, Tracer};
use rustix::process::Signal;
use serde::Serialize;

use super::json_words;
use crate::progress::{result_line, step};

/// Hidden subcommand: the part that runs in the lab.
pub(crate) const INSIDE_COMMAND: &str = "bench-ports-inside";

/// How long each tracer runs while nothing is sent.
const WINDOW: Duration = Duration::from_secs(5);
/// A tracer sweeps its table so often.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// Between two tables of `hoptrace top`.
const TABLE_EVERY: &str = "100ms";

#[derive(Args)]
pub(crate) struct PortsArgs {
    /// Write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many ports, as many times as there are numbers.
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_values_t = [1, 10, 100, 500])]
    counts: Vec<usize>,
    /// Where the hooks are to be: as `hoptrace trace --attach`.
    #[arg(long, value_name = "WHERE", default_value = "auto")]
    attach: String,
}

#[derive(Serialize)]
struct Results {
    benchmark: &'static str,
    kernel: String,
    cpus: usize,
    rows: Vec<Row>,
}

/// A trace of so many ports.
#[derive(Serialize)]
struct Row {
    ports: usize,
    hooks: u64,
    /// Where they are.
    mechanism: String,
    /// From starting the program to the first packet admitted.
    ready_ms: f64,
    /// From Ctrl-C to the end of the program, with its report.
    end_ms: f64,
    /// Memory locked for the kernel's maps.
    map_bytes: u64,
    /// The most that the process had resident while it traced, without its view of those maps.
    process_bytes: u64,
    /// CPU time of one sweep of the table.
    sweep_ms: f64,
    /// CPU time of one table of `hoptrace top`, the snapshot in it.
    table_ms: f64,
}

pub(super) fn run(args: &PortsArgs) -> Result<ExitCode> {
    let folders = Folders::find()?;
    let hoptrace = crate::build::release(&folders)?;
    let counts: Vec<_> = args.counts.iter().map(usize::to_string).collect();
    let mut command = vec![
        "env".to_owned(),
        format!("{BINARY_ENV}={}", hoptrace.display()),
        std::env::current_exe()?.to_string_lossy().into_owned(),
    ];
    command
        .extend([INSIDE_COMMAND, "--attach", &args.attach, "--counts", &counts.join(",")].map(str::to_owned));
    command.extend(json_words(args.json.as_deref())?);
    Ok(exit_code(Runner::kernel_path(folders)?.run(&command, &step)?))
}

/// Traces all ports of the lab, each time with others beside its own.
pub(crate) fn run_inside(args: &PortsArgs) -> Result<ExitCode> {
    let lab = Lab::from_env()?;
    result_line("ports  hooks   ready ms     end ms   maps MiB  process MiB   sweep ms   table ms  hooks at");
    let mut rows = Vec::new();
    for count in &args.counts {
        let others = count.checked_sub(lab.guests.len()).context("the lab has more ports")?;
        let _crowd = Crowd::join(&lab, others, 0)?;
        let row = measure(*count, &args.attach)?;
        show(&row);
        rows.push(row);
    }
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let cpus = std::thread::available_parallelism()?.get();
    let results = Results { benchmark: "ports", kernel, cpus, rows };
    args.json.as_deref().map_or(Ok(()), |path| write(path, &results))?;
    Ok(ExitCode::SUCCESS)
}

fn measure(ports: usize, attach: &str) -> Result<Row> {
    let words = ["--all", "udp", "--json", "--attach", attach];
    let tracer = Tracer::start(&[&["trace"], &words[..]].concat())?;
    let (ready, idle, process) = (tracer.started_in, cpu_of(&tracer)?, own_peak_bytes(tracer.pid())?);
    let ended = Instant::now();
    // Nothing was seen, so the exit code is not 0.
    tracer.signal(Signal::INT)?;
    let printed = tracer.wait()?.stdout;
    let end = ended.elapsed();
    let report: serde_json::Value = serde_json::from_slice(&printed).context("no report")?;
    let count = report.pointer("/ports").and_then(|ports| ports.as_array()).map_or(0, Vec::len);
    ensure!(count == ports, "{count} of {ports} ports were traced");
    let cost = |name: &str| report.pointer(&format!("/tracer/{name}")).with_context(|| format!("no {name}"));
    let number = |name: &str| cost(name)?.as_u64().with_context(|| format!("{name} is no number"));

    let top = Tracer::start(&[&["top"], &words[..], &["--interval", TABLE_EVERY]].concat())?;
    let busy = cpu_of(&top)?;
    top.signal(Signal::INT)?;
    let tables = top.wait()?.stdout.split(|byte| *byte == b'\n').skip(1).count();
    // The last one comes at the end, when nobody measures any more.
    let tables = u32::try_from(tables.saturating_sub(1))?.max(1);
    Ok(Row {
        ports,
        hooks: number("hooks")?,
        mechanism: cost("mechanism")?.as_str().unwrap_or_default().to_owned(),
        ready_ms: ms(ready),
        end_ms: ms(end),
        map_bytes: number("map_bytes")?,
        process_bytes: process,
        sweep_ms: ms(idle) * ms(SWEEP_EVERY) / ms(WINDOW),
        table_ms: ms(busy.saturating_sub(idle) / tables),
    })
}

/// CPU time that it takes while nothing is sent.
fn cpu_of(tracer: &Tracer) -> Result<Duration> {
    let before = ProcessUse::of(tracer.pid())?.cpu;
    std::thread::sleep(WINDOW);
    Ok(ProcessUse::of(tracer.pid())?.cpu.saturating_sub(before))
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn show(row: &Row) {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let Row { ports, hooks, ready_ms, end_ms, sweep_ms, table_ms, mechanism, .. } = row;
    let (maps, process) = (mib(row.map_bytes), mib(row.process_bytes));
    result_line(&format!(
        "{ports:5} {hooks:6} {ready_ms:10.0} {end_ms:10.0} {maps:10.1} {process:12.1} {sweep_ms:10.2} {table_ms:10.2}  {mechanism}"
    ));
}

fn write(path: &Path, results: &Results) -> Result<()> {
    let text = serde_json::to_string_pretty(results)? + "\n";
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
