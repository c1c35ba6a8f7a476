//! The stages from the runner to the command, each one the running program again.

use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, WaitOptions, getppid, set_parent_process_death_signal, wait};
use serde::{Deserialize, Serialize};

use super::mounts;
use crate::exec;
use crate::lab::description::LAB_ENV;
use crate::lab::{GuestImage, Guests, Progress, Switch, bringup, spec};

/// First argument of the hidden entry point; [`run_stage`] takes what follows.
pub const STAGE_COMMAND: &str = "lab-stage";

/// What the stages need to know, handed on as a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StagePlan {
    pub(super) runner_pid: u32,
    pub(super) log_dir: PathBuf,
    /// The guests' image; none: the path without VMs, see [`super::Runner::kernel_path`].
    pub(super) image: Option<GuestImage>,
    /// The command to run in the lab; empty: none, stay until killed.
    pub(super) command: Vec<String>,
}

/// Runs one stage: `args` are its name and the plan's path.
///
/// # Errors
/// Where the stage is unknown or what it has to do fails.
pub fn run_stage(args: &[String], progress: Progress<'_>) -> Result<ExitCode> {
    let [stage, plan_path] = args else { bail!("usage: {STAGE_COMMAND} STAGE PLAN") };
    let text = fs::read_to_string(plan_path).with_context(|| format!("read {plan_path}"))?;
    let plan: StagePlan = serde_json::from_str(&text)?;
    match stage.as_str() {
        "enter" => enter(&plan, plan_path),
        "init" => init(plan_path),
        "worker" => worker(&plan, progress),
        other => bail!("unknown stage {other}"),
    }
}

/// Ties itself to the runner, then becomes `unshare`, which ties the new namespace's first process to itself.
fn enter(plan: &StagePlan, plan_path: &str) -> Result<ExitCode> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The runner may have died before the signal was set.
    if getppid().map(Pid::as_raw_nonzero).map(std::num::NonZero::get) != i32::try_from(plan.runner_pid).ok() {
        bail!("the runner is gone");
    }
    let error = exec::command("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe()?)
        .args([STAGE_COMMAND, "init", plan_path])
        .exec();
    Err(error).context("run unshare")
}

/// First process of the PID namespace: starts the worker, reaps whatever ends (libvirtd waits for daemonised children of
/// its own to vanish), and ends with the worker.
fn init(plan_path: &str) -> Result<ExitCode> {
    mounts::arrange()?;
    let worker = Command::new(std::env::current_exe()?)
        .args([STAGE_COMMAND, "worker", plan_path])
        .spawn()
        .context("start the worker")?;
    let worker =
        i32::try_from(worker.id()).ok().and_then(Pid::from_raw).context("the worker's process id")?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == worker => {
                return Ok(exit_code(ExitStatus::from_raw(status.as_raw())));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for the worker"),
        }
    }
}

/// Brings the lab up and runs the command in it.
fn worker(plan: &StagePlan, progress: Progress<'_>) -> Result<ExitCode> {
    let started = Instant::now();
    let timed = |text: &str| progress(&format!("[{:5.1} s] {text}", started.elapsed().as_secs_f32()));
    let (guests, switch) = match &plan.image {
        Some(image) => (Guests::Libvirt(image), Switch::Ovs),
        None => (Guests::Veths, Switch::Kernel),
    };
    let lab = bringup::bring_up(guests, switch, &plan.log_dir, &timed)?;
    let description = Path::new(spec::LAB_RUN_DIR).join("lab.json");
    lab.store(&description)?;
    timed("the lab is ready");
    let Some((program, args)) = plan.command.split_first() else { return hold() };
    let status = exec::command(program)
        .args(args)
        .env(LAB_ENV, &description)
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    Ok(exit_code(status))
}

/// Says that the lab is ready and stays until it is killed.
#[allow(clippy::print_stdout, reason = "one line on a pipe to the process that waits for it")]
fn hold() -> Result<ExitCode> {
    println!("{}", super::session::READY_LINE);
    loop {
        std::thread::park();
    }
}

/// Exit code of a child, as a shell reports it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
