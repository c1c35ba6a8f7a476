//! Set-up, build, lint, test, faults, benchmarks, lab and demo of hoptrace.

mod bench;
mod build;
mod demo;
mod executables;
mod faults;
mod lab;
mod lint;
mod process;
mod progress;
mod schemas;
mod setup;
mod soak;
mod test;
mod vm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hoptrace_tests::lab::sandbox;

/// Set-up, build, lint, test, benchmarks, lab and demo of hoptrace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what the build, the tests and the lab need, and install what is missing.
    Setup(setup::SetupArgs),
    /// Build `hoptrace`, optimised.
    Build,
    /// Formatting, clippy, schemas, licences and sources of dependencies.
    Lint,
    /// The JSON schemas of hoptrace's outputs, as files.
    Schemas,
    /// Set-up, lint, unit tests, end-to-end tests in the lab.
    Test(test::TestArgs),
    /// What tracing costs: a table, and JSON on request.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Much traffic past a tracer, whose every packet must be accounted for.
    Soak(soak::SoakArgs),
    /// Faults injected on the path, one at a time, and what is reported of each: a table, and JSON on request.
    Faults(faults::FaultsArgs),
    /// Set-up, build, start the lab, trace a real guest for five seconds.
    Demo,
    /// A compute node on this machine: real OVS, real libvirt, two real guests.
    #[command(subcommand)]
    Lab(lab::LabCommand),
    /// A command in a test VM: another kernel, under QEMU. The exit code is the command's.
    Vm(vm::VmArgs),
    /// A stage of the lab's start; the lab calls it by itself.
    #[command(name = sandbox::STAGE_COMMAND, hide = true)]
    LabStage { args: Vec<String> },
    /// The lab's start in a test VM.
    #[command(name = hoptrace_tests::vm::STAGE_COMMAND, hide = true)]
    VmStage {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// The part of the demo that runs in the lab.
    #[command(name = demo::INSIDE_COMMAND, hide = true)]
    DemoInside { hoptrace: PathBuf },
    /// The part of the soak that runs in the lab.
    #[command(name = soak::INSIDE_COMMAND, hide = true)]
    SoakInside(soak::SoakArgs),
    /// The part of the benchmark of many ports that runs in the lab.
    #[command(name = bench::ports::INSIDE_COMMAND, hide = true)]
    BenchPortsInside(bench::ports::PortsArgs),
    /// The part of the faults that runs in the lab or a VM.
    #[command(name = faults::INSIDE_COMMAND, hide = true)]
    FaultsInside(faults::InsideArgs),
    /// The part of the tests that runs in the lab.
    #[command(name = test::INSIDE_COMMAND, hide = true)]
    TestInside { hoptrace: PathBuf, binaries: Vec<PathBuf> },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Build => build::run(),
        Command::Lint => lint::run(),
        Command::Schemas => schemas::run(),
        Command::Test(args) => test::run(&args),
        Command::Bench(command) => bench::run(&command),
        Command::Soak(args) => soak::run(&args),
        Command::Faults(args) => faults::run(&args),
        Command::Demo => demo::run(),
        Command::Lab(command) => lab::run(command),
        Command::Vm(args) => vm::run(args),
        Command::VmStage { command } => hoptrace_tests::vm::run_stage(&command, &progress::step),
        Command::LabStage { args } => sandbox::run_stage(&args, &progress::step),
        Command::DemoInside { hoptrace } => demo::run_inside(&hoptrace),
        Command::SoakInside(args) => soak::run_inside(&args),
        Command::BenchPortsInside(args) => bench::ports::run_inside(&args),
        Command::FaultsInside(args) => faults::run_inside(&args),
        Command::TestInside { hoptrace, binaries } => test::run_inside(&hoptrace, &binaries),
    };
    result.unwrap_or_else(|error| {
        progress::error(&error);
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Cli;

    #[test]
    fn every_task_of_the_readme_exists() {
        let commands = include_str!("../../README.md").split("cargo xtask ").skip(1);
        let commands: Vec<_> =
            commands.map(|rest| rest.split(['`', '#', '\n']).next().unwrap_or_default().trim()).collect();
        assert!(commands.len() >= 4, "{commands:?}");
        for command in commands {
            let words = ["cargo xtask"].into_iter().chain(command.split_whitespace());
            assert!(Cli::try_parse_from(words).is_ok(), "cargo xtask {command}");
        }
    }
}
