//! `cargo xtask lab`: the lab by hand.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use hoptrace_tests::lab::sandbox::{READY_LINE, exit_code};
use hoptrace_tests::lab::{Folders, Runner, Session};

use crate::progress::step;

#[derive(Subcommand)]
pub(crate) enum LabCommand {
    /// Start a lab that stays in the background until `down`.
    Up,
    /// Run a command in the lab that is up, else in a new one that ends with it.
    Run {
        /// Start a new lab even where one is up.
        #[arg(long)]
        fresh: bool,
        /// A path without VMs and without OVS, which is all in the kernel, in a new lab.
        #[arg(long)]
        kernel_path: bool,
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// An interactive shell in the lab that is up, else in a new one.
    Shell,
    /// End the lab that is up.
    Down,
    /// The background process of `up`.
    #[command(hide = true)]
    Hold,
}

pub(crate) fn run(command: LabCommand) -> Result<ExitCode> {
    let folders = Folders::find()?;
    match command {
        LabCommand::Up => up(&folders),
        LabCommand::Run { kernel_path: true, command, .. } => {
            Ok(exit_code(Runner::kernel_path(folders)?.run(&command, &step)?))
        }
        LabCommand::Run { fresh, command, .. } => run_in_lab(folders, fresh, &command),
        LabCommand::Shell => {
            let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/bash".into());
            run_in_lab(folders, false, &[shell])
        }
        LabCommand::Down => down(&folders),
        LabCommand::Hold => {
            Session::hold(&Runner::new(folders, &step)?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn up(folders: &Folders) -> Result<ExitCode> {
    if Session::current(folders).is_some() {
        step("a lab is up already");
        return Ok(ExitCode::SUCCESS);
    }
    // Not our stderr: a reader of that through a pipe would wait for as long as the lab is up.
    let folder = folders.target_dir.join("lab");
    std::fs::create_dir_all(&folder)?;
    let words = folder.join("up.log");
    let mut holder = Command::new(std::env::current_exe()?)
        .args(["lab", "hold"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&words)?)
        // A group of its own: Ctrl-C in this terminal later on does not reach it.
        .process_group(0)
        .spawn()
        .context("start the lab in the background")?;
    let output = holder.stdout.take().context("the background process has no output")?;
    if BufReader::new(output).lines().map_while(Result::ok).any(|line| line == READY_LINE) {
        step("the lab is up; `cargo xtask lab shell` enters it, `cargo xtask lab down` ends it");
        return Ok(ExitCode::SUCCESS);
    }
    let status = holder.wait()?;
    bail!("the lab did not start: {status}\n{}", std::fs::read_to_string(&words).unwrap_or_default())
}

fn down(folders: &Folders) -> Result<ExitCode> {
    match Session::current(folders) {
        Some(session) => {
            session.end(folders)?;
            step("the lab is down");
        }
        None => step("no lab is up"),
    }
    Ok(ExitCode::SUCCESS)
}

fn run_in_lab(folders: Folders, fresh: bool, command: &[String]) -> Result<ExitCode> {
    if let Some(session) = Session::current(&folders).filter(|_| !fresh) {
        return Ok(exit_code(session.command(command)?.status().context("run nsenter")?));
    }
    Ok(exit_code(Runner::new(folders, &step)?.run(command, &step)?))
}
