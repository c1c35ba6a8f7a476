//! `cargo xtask test`: set-up, lint, unit tests, then the end-to-end tests in one lab and in VMs.

mod binaries;
mod failures;
mod inside;
mod matrix;
mod times;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use hoptrace_tests::lab::{Folders, Runner};

pub(crate) use inside::{INSIDE_COMMAND, run_inside};

use crate::progress::{heading, result_line, step};
use crate::{build, demo, executables, lint, process, setup};
use binaries::Binary;
use matrix::{Kernels, Share};

#[derive(Args)]
pub(crate) struct TestArgs {
    /// Only the tests in VMs, on this kernel or on all.
    #[arg(long, value_name = "KERNEL", num_args = 0..=1, default_missing_value = "all")]
    vm: Option<Kernels>,
}

/// Stops at the first part that fails, the quickest first.
pub(crate) fn run(args: &TestArgs) -> Result<ExitCode> {
    let started = Instant::now();
    setup::ensure()?;
    let folders = Folders::find()?;
    let passed = match args.vm {
        Some(kernels) => {
            let hoptrace = build::release(&folders)?;
            let binaries = binaries::build(&folders)?;
            in_vms(kernels, Share::All, &folders, &hoptrace, &binaries)?
        }
        None => everything(&folders)?,
    };
    let verdict = if passed { "passed" } else { "FAILED" };
    result_line(&format!("cargo xtask test: {verdict} in {:.0} s", started.elapsed().as_secs_f32()));
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn everything(folders: &Folders) -> Result<bool> {
    lint::check(folders)?;
    heading("unit tests");
    process::run(
        process::cargo(&["test", "--quiet", "--workspace", "--exclude", "hoptrace-ebpf"])
            .current_dir(&folders.workspace_root),
    )?;
    let hoptrace = build::release(folders)?;
    let binaries = binaries::build(folders)?;
    Ok(programs(folders, &hoptrace)?
        && in_lab(folders, &hoptrace, &binaries)?
        && demo::in_lab(folders.clone(), hoptrace.clone())? == ExitCode::SUCCESS
        && on_kernel_path(folders, &hoptrace, &binaries)?
        && in_vms(Kernels::All, Share::One, folders, &hoptrace, &binaries)?)
}

/// Tests of the library that load programs into this kernel.
fn programs(folders: &Folders, hoptrace: &Path) -> Result<bool> {
    heading("tests of the programs in the kernel");
    let words =
        ["test", "--package", "hoptrace", "--test", "identity", "--test", "hostile", "--test", "several"];
    let built = executables::build(folders, &words, "test")?;
    let files: Vec<_> = built.into_iter().map(|(_, file)| file).collect();
    Ok(run_inside(hoptrace, &files)? == ExitCode::SUCCESS)
}

fn in_lab(folders: &Folders, hoptrace: &Path, binaries: &[Binary]) -> Result<bool> {
    heading("end-to-end tests in the lab");
    build::examples(folders)?;
    let command = inside(hoptrace, binaries, Binary::is_for_lab)?;
    Ok(Runner::new(folders.clone(), &step)?.run(&command, &step)?.success())
}

fn on_kernel_path(folders: &Folders, hoptrace: &Path, binaries: &[Binary]) -> Result<bool> {
    heading("end-to-end tests on the kernel path");
    let command = inside(hoptrace, binaries, Binary::is_for_kernel_path)?;
    Ok(Runner::kernel_path(folders.clone())?.run(&command, &step)?.success())
}

/// The command that runs those of the tests that are `wanted`.
fn inside(hoptrace: &Path, binaries: &[Binary], wanted: fn(&Binary) -> bool) -> Result<Vec<String>> {
    let mut command = vec![std::env::current_exe()?, INSIDE_COMMAND.into(), hoptrace.to_owned()];
    command.extend(binaries.iter().filter(|binary| wanted(binary)).map(|binary| binary.path.clone()));
    Ok(command.iter().map(|word| word.to_string_lossy().into_owned()).collect())
}

/// The tests of the VMs themselves, then those in them.
fn in_vms(
    kernels: Kernels,
    share: Share,
    folders: &Folders,
    hoptrace: &Path,
    binaries: &[Binary],
) -> Result<bool> {
    Ok(on_host(hoptrace, binaries)? && matrix::run(kernels, share, folders, hoptrace, binaries)?)
}

/// The tests of the VMs themselves.
fn on_host(hoptrace: &Path, binaries: &[Binary]) -> Result<bool> {
    heading("tests of the VMs' verdicts");
    let binaries: Vec<_> =
        binaries.iter().filter(|binary| binary.is_for_host()).map(|binary| binary.path.clone()).collect();
    Ok(run_inside(hoptrace, &binaries)? == ExitCode::SUCCESS)
}
