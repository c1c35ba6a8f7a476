//! `cargo xtask faults`: the fault matrix as a table.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use hoptrace_tests::BINARY_ENV;
use hoptrace_tests::faults::{Case, Delayed, GROUPS, delay_all, delay_table, run_all, table};
use hoptrace_tests::lab::{Folders, Lab};
use hoptrace_tests::vm::PAYLOAD_DIR;
use serde::{Deserialize, Serialize};

use crate::build;
use crate::progress::{heading, result_line, step};

/// Hidden subcommand: the part that runs in the lab or a VM.
pub(crate) const INSIDE_COMMAND: &str = "faults-inside";

/// What `--only` calls the delays of segments.
const DELAYS: &str = "latency truth";

/// How long all faults may take on one kernel before the VM is taken for hanging.
const VM_TIME_LIMIT_S: u64 = 900;

/// Where faults are injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kernel {
    /// A test VM with Debian 12's own kernel.
    #[value(name = "6.1")]
    V6_1,
    /// A test VM with Debian 13's own kernel.
    #[value(name = "6.12")]
    V6_12,
    /// The lab on this machine's kernel; without OVS's kernel datapath, unless this kernel has it.
    Host,
}

#[derive(Args)]
pub(crate) struct FaultsArgs {
    /// Only on this kernel; without it in both test VMs.
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<Kernel>,
    /// Only faults whose name contains this, or one of these with commas in between.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Write the cases to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct InsideArgs {
    /// Only faults whose name contains this, or one of these with commas in between.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// What was found on one kernel.
#[derive(Default, Serialize, Deserialize)]
struct Found {
    cases: Vec<Case>,
    delays: Vec<Delayed>,
}

pub(crate) fn run(args: &FaultsArgs) -> Result<ExitCode> {
    let kernels = args.kernel.map_or_else(|| vec![Kernel::V6_12, Kernel::V6_1], |kernel| vec![kernel]);
    let mut found = Found::default();
    for kernel in kernels {
        let Found { cases, delays } = on(kernel, args.only.as_deref())?;
        found.cases.extend(cases);
        found.delays.extend(delays);
    }
    let Found { cases, delays } = &found;
    ensure!(!cases.is_empty() || !delays.is_empty(), "no fault has such a name");
    let delay_lines = if delays.is_empty() { Vec::new() } else { delay_table(delays) };
    for line in table(cases).iter().chain(&delay_lines) {
        result_line(line);
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&found)? + "\n";
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    let wrong = cases.iter().filter(|case| !case.has_passed()).count()
        + delays.iter().filter(|delay| !delay.correct).count();
    result_line(&format!("{} cases, {} delays, {wrong} wrong", cases.len(), delays.len()));
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The cases on one kernel. Nothing leaves a VM but what is printed: they come over standard output.
fn on(kernel: Kernel, only: Option<&str>) -> Result<Found> {
    let value = kernel.to_possible_value().context("a kernel without a name")?;
    heading(&format!("faults on kernel {}", value.get_name()));
    let mut command = Command::new(std::env::current_exe()?);
    match kernel {
        Kernel::Host => {
            let hoptrace = build::release(&Folders::find()?)?;
            command.args(["lab", "run", "--fresh", "--", "env"]);
            command.arg(format!("{BINARY_ENV}={}", hoptrace.display())).arg(std::env::current_exe()?);
        }
        Kernel::V6_1 | Kernel::V6_12 => {
            let limit = VM_TIME_LIMIT_S.to_string();
            command.args(["vm", "--series", value.get_name(), "--lab", "--time-limit", &limit, "--"]);
            command.arg(format!("{PAYLOAD_DIR}/xtask"));
        }
    }
    command.arg(INSIDE_COMMAND);
    if let Some(only) = only {
        command.args(["--only", only]);
    }
    let output = command.stderr(Stdio::inherit()).output().context("run the faults")?;
    ensure!(output.status.success(), "the faults did not come to their end: {}", output.status);
    serde_json::from_slice(&output.stdout).context("read the cases")
}

/// Prints the cases as JSON, and each as it is there to standard error.
pub(crate) fn run_inside(args: &InsideArgs) -> Result<ExitCode> {
    let lab = Lab::from_env()?;
    let only = args.only.as_deref();
    let faults = GROUPS.iter().flat_map(|(_, faults)| faults.iter());
    let mut tell = |case: &Case| table(std::slice::from_ref(case)).iter().skip(1).for_each(|line| step(line));
    let cases = run_all(&lab, faults, only, &mut tell)?;
    let mut tell =
        |delay: &Delayed| delay_table(std::slice::from_ref(delay)).iter().skip(1).for_each(|line| step(line));
    let is_wanted = only.is_none_or(|only| only.split(',').any(|part| DELAYS.contains(part)));
    let delays = if is_wanted { delay_all(&lab, &mut tell)? } else { Vec::new() };
    result_line(&serde_json::to_string(&Found { cases, delays })?);
    Ok(ExitCode::SUCCESS)
}
