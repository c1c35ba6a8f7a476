//! `cargo xtask bench`: what tracing costs.

mod hook;
mod path;
pub(crate) mod ports;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use hoptrace_tests::lab::Folders;

use crate::executables;
use crate::progress::heading;

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// Nanoseconds per packet and hook, beside an empty program, the clock, and an LRU hash map; of others' frames; and per packet freed.
    Hook(hook::HookArgs),
    /// Packets per second over a path of the kernel's, beside no tracer, programs that do less, and tcpdump; TCP; and round trips.
    Path(path::PathArgs),
    /// What a trace of all ports of a host takes: time to attach, memory, CPU, by the number of ports.
    Ports(ports::PortsArgs),
}

pub(crate) fn run(command: &BenchCommand) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        bail!("benchmarks need root: they load eBPF programs");
    }
    match command {
        BenchCommand::Hook(args) => hook::run(args),
        BenchCommand::Path(args) => path::run(args),
        BenchCommand::Ports(args) => ports::run(args),
    }
}

/// Builds the benchmark `name`, optimised as `hoptrace` is.
fn build(folders: &Folders, name: &str) -> Result<PathBuf> {
    heading(&format!("build the benchmark {name}"));
    let built = executables::build(folders, &["bench", "--package", "hoptrace", "--bench", name], "bench")?;
    let found = built.into_iter().find(|(target, _)| target == name);
    Ok(found.with_context(|| format!("cargo built no benchmark {name}"))?.1)
}

/// The words that tell a benchmark where its JSON goes: from the folder that we were called in.
fn json_words(json: Option<&Path>) -> Result<Vec<String>> {
    let Some(path) = json else { return Ok(Vec::new()) };
    let path = std::path::absolute(path).with_context(|| format!("find {}", path.display()))?;
    Ok(vec!["--json".into(), path.to_string_lossy().into_owned()])
}
