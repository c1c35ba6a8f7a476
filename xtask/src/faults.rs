//! `cargo xtask faults`: the fault matrix as a table.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use hoptrace_tests::BINARY_ENV;
use hoptrace_tests::faults::{Case, Delayed, GROUPS, Hooks, delay_all, delay_table, run_all, table};
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
    #[command(flatten)]
    hooks: HooksArg,
    /// Write the cases to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct InsideArgs {
    /// Only faults whose name contains this, or one of these with commas in between.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    #[command(flatten)]
    hooks: HooksArg,
}

/// Which of the path's interfaces get hooks.
#[derive(Args, Clone, Copy)]
struct HooksArg {
    /// With one hook of each veth pair (`hoptrace --hooks few`).
    #[arg(long)]
    few_hooks: bool,
}

impl HooksArg {
    const FLAG: &str = "--few-hooks";

    const fn hooks(self) -> Hooks {
        if self.few_hooks { Hooks::Few } else { Hooks::All }
    }
}

/// What was found on one kernel.
#[derive(Default, Serialize, Deserialize)]
struct Found {
    cases: Vec<Case>,
    delays: Vec<Delayed>,
}

/// One result, on a line of its own: what comes before the end of a machine that hangs is not lost with it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Case(Case),
    Delay(Delayed),
}

pub(crate) fn run(args: &FaultsArgs) -> Result<ExitCode> {
    let kernels = args.kernel.map_or_else(|| vec![Kernel::V6_12, Kernel::V6_1], |kernel| vec![kernel]);
    let mut found = Found::default();
    let mut broken = Vec::new();
    for kernel in kernels {
        if let Err(error) = on(kernel, args.only.as_deref(), args.hooks, &mut found) {
            broken.push(format!("{kernel:?}: {error:#}"));
        }
    }
    let Found { cases, delays } = &found;
    ensure!(!cases.is_empty() || !delays.is_empty() || !broken.is_empty(), "no fault has such a name");
    let delay_lines = if delays.is_empty() { Vec::new() } else { delay_table(delays) };
    for line in table(cases).iter().chain(&delay_lines).chain(&broken) {
        result_line(line);
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&found)? + "\n";
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    let wrong = cases.iter().filter(|case| !case.has_passed()).count()
        + delays.iter().filter(|delay| !delay.correct).count();
    result_line(&format!("{} cases, {} delays, {wrong} wrong", cases.len(), delays.len()));
    Ok(if wrong == 0 && broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Adds the cases on one kernel.
fn on(kernel: Kernel, only: Option<&str>, hooks: HooksArg, found: &mut Found) -> Result<()> {
    let value = kernel.to_possible_value().context("a kernel without a name")?;
    heading(&format!("faults on kernel {}", value.get_name()));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match kernel {
        Kernel::Host => {
            let hoptrace = build::release(&Folders::find()?)?;
            let environment = format!("{BINARY_ENV}={}", hoptrace.display());
            let here = std::env::current_exe()?.display().to_string();
            let inside = [environment.as_str(), here.as_str()];
            within(
                words(&[&["lab", "run", "--fresh", "--", "env"], &inside[..]].concat()),
                only,
                hooks,
                found,
            )?;
            // What delays packets exactly on this machine is on the path that is all in the kernel.
            within(
                words(&[&["lab", "run", "--kernel-path", "--", "env"], &inside[..]].concat()),
                only,
                hooks,
                found,
            )
        }
        Kernel::V6_1 | Kernel::V6_12 => {
            let (limit, inside) = (VM_TIME_LIMIT_S.to_string(), format!("{PAYLOAD_DIR}/xtask"));
            let vm = ["vm", "--series", value.get_name(), "--lab", "--time-limit", &limit, "--", &inside];
            within(words(&vm), only, hooks, found)
        }
    }
}

/// Adds what a command finds that runs the part inside. Nothing leaves a VM but what is printed: the cases come over
/// standard output.
fn within(mut words: Vec<String>, only: Option<&str>, hooks: HooksArg, found: &mut Found) -> Result<()> {
    words.push(INSIDE_COMMAND.to_owned());
    words.extend(hooks.few_hooks.then(|| HooksArg::FLAG.to_owned()));
    words.extend(only.into_iter().flat_map(|only| ["--only".to_owned(), only.to_owned()]));
    let mut child = Command::new(std::env::current_exe()?)
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .context("run the faults")?;
    let output = child.stdout.take().context("no output")?;
    for line in BufReader::new(output).lines() {
        match serde_json::from_str(&line?).context("read a case")? {
            Line::Case(case) => found.cases.push(case),
            Line::Delay(delay) => found.delays.push(delay),
        }
    }
    let status = child.wait().context("wait for the faults")?;
    ensure!(status.success(), "the faults did not come to their end: {status}");
    Ok(())
}

/// Prints each result as JSON as it is there, and as text to standard error.
pub(crate) fn run_inside(args: &InsideArgs) -> Result<ExitCode> {
    let lab = Lab::from_env()?;
    let only = args.only.as_deref();
    let faults = GROUPS.iter().flat_map(|(_, faults)| faults.iter());
    // Where a Linux bridge stands for Open vSwitch there are no faults, only delays.
    if lab.datapath != "bridge" {
        run_all(&lab, args.hooks.hooks(), faults, only, &mut |case| {
            tell(&Line::Case(case.clone()), &table(std::slice::from_ref(case)));
        })?;
    }
    if only.is_none_or(|only| only.split(',').any(|part| DELAYS.contains(part))) {
        delay_all(&lab, &mut |delay| {
            tell(&Line::Delay(delay.clone()), &delay_table(std::slice::from_ref(delay)));
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One result for the program that reads the output, and its table without the head for people.
fn tell(result: &Line, table: &[String]) {
    // Strings and numbers: there is nothing that could fail.
    result_line(&serde_json::to_string(result).unwrap_or_default());
    table.iter().skip(1).for_each(|line| step(line));
}
