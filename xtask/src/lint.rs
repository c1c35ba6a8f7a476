//! `cargo xtask lint`: formatting, clippy on both sides of the kernel line, schemas, licences and sources of dependencies.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use hoptrace_tests::lab::Folders;

use crate::progress::{heading, step};
use crate::setup::{find_ebpf_toolchain, find_program};
use crate::{process, schemas};

const EBPF_TARGET: &str = "bpfel-unknown-none";

pub(crate) fn run() -> Result<ExitCode> {
    let folders = Folders::find()?;
    check(&folders)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn check(folders: &Folders) -> Result<()> {
    heading("lint");
    let here = |command: &mut Command| process::run(command.current_dir(&folders.workspace_root));
    here(&mut process::cargo(&["fmt", "--all", "--check"])).context("rustfmt")?;
    step("rustfmt: ok");
    here(&mut process::cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--exclude",
        "hoptrace-ebpf",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
    .context("clippy")?;
    step("clippy (host crates): ok");
    ebpf(folders)?;
    schemas::check(folders)?;
    step("schemas: ok");
    dependencies(folders)
}

/// The eBPF crate, for its own target and with its own compiler.
fn ebpf(folders: &Folders) -> Result<()> {
    let toolchain = find_ebpf_toolchain().map_err(anyhow::Error::msg).context("lint the eBPF crate")?;
    let has_clippy = toolchain.has_clippy();
    let subcommand = if has_clippy { "clippy" } else { "check" };
    let mut command = Command::new("rustup");
    command
        .args(["run", &toolchain.name, "cargo", subcommand, "--quiet", "--package", "hoptrace-ebpf"])
        .args(["--target", EBPF_TARGET, "-Zbuild-std=core", "--target-dir"])
        .arg(folders.target_dir.join("lint-ebpf"))
        .env("RUSTC_BOOTSTRAP", "1")
        // The build that called us runs with another compiler: nothing of it may reach this one.
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("CARGO_ENCODED_RUSTFLAGS", "-Dwarnings\u{1f}-Ctarget-cpu=v3")
        .current_dir(&folders.workspace_root);
    process::run(&mut command).with_context(|| format!("{subcommand} of the eBPF crate"))?;
    if has_clippy {
        step("clippy (eBPF crate): ok");
    } else {
        step(&format!(
            "clippy (eBPF crate): skipped: {toolchain} has no clippy; compiled with -D warnings instead: ok"
        ));
    }
    Ok(())
}

/// cargo-deny takes minutes to install, so it is used where it is and never installed.
fn dependencies(folders: &Folders) -> Result<()> {
    let Some(program) = find_program("cargo-deny") else {
        step("cargo deny: skipped: not installed (cargo install cargo-deny --locked, about 3 min)");
        return Ok(());
    };
    let deny = |checks: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["--log-level", "error", "check"]).args(checks).current_dir(&folders.workspace_root);
        command
    };
    process::run(&mut deny(&["licenses", "bans", "sources"])).context("cargo deny")?;
    step("cargo deny (licences, bans, sources): ok");
    // Fetching the database is part of the check: tell an unreachable one from a finding.
    let fetched = Command::new(&program)
        .args(["--log-level", "off", "fetch", "db"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir(&folders.workspace_root)
        .output()?;
    if !fetched.status.success() {
        step("cargo deny (advisories): skipped: the advisory database cannot be reached");
        return Ok(());
    }
    process::run(&mut deny(&["advisories"])).context("cargo deny advisories")?;
    step("cargo deny (advisories): ok");
    Ok(())
}
