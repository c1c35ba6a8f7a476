//! Set-up, build, lint, test, lab and demo of hoptrace.

mod lab;
mod progress;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Set-up, build, lint, test, lab and demo of hoptrace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A compute node on this machine: real OVS, real libvirt, two real guests.
    #[command(subcommand)]
    Lab(lab::LabCommand),
    /// A stage of the lab's start; the lab calls it by itself.
    #[command(name = hoptrace_tests::lab::sandbox::STAGE_COMMAND, hide = true)]
    LabStage { args: Vec<String> },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Lab(command) => lab::run(command),
        Command::LabStage { args } => hoptrace_tests::lab::sandbox::run_stage(&args, &progress::step),
    };
    finish(result)
}

fn finish(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        progress::error(&error);
        ExitCode::FAILURE
    })
}
