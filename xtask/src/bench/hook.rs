//! `cargo xtask bench hook`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;
use hoptrace_tests::lab::Folders;
use hoptrace_tests::lab::sandbox::exit_code;

use super::{build, json_words};

#[derive(Args)]
pub(crate) struct HookArgs {
    /// Write the figures, with the machine described, to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Rounds; in each of them every row is measured once.
    #[arg(long, value_name = "ROUNDS", default_value_t = 25)]
    rounds: usize,
    /// Only rows whose name contains this (beside those that others are compared with).
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Another build of this benchmark (the program that was built and kept), whose hooks are measured in turns with this one's.
    #[arg(long, value_name = "BENCHMARK")]
    against: Option<PathBuf>,
}

pub(super) fn run(args: &HookArgs) -> Result<ExitCode> {
    let program = build(&Folders::find()?, "hook")?;
    let mut command = Command::new(&program);
    command.args(["--rounds", &args.rounds.to_string()]).args(json_words(args.json.as_deref())?);
    if let Some(only) = &args.only {
        command.args(["--only", only]);
    }
    if let Some(benchmark) = &args.against {
        command.arg("--against").arg(std::path::absolute(benchmark)?);
    }
    Ok(exit_code(command.status().with_context(|| format!("cannot run {}", program.display()))?))
}
