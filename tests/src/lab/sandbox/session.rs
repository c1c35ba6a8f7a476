//! A lab that stays up in the background: `lab up` and `lab down`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde::{Deserialize, Serialize};

use super::runner::Started;
use super::{Folders, Runner};
use crate::exec;
use crate::lab::description::LAB_ENV;
use crate::lab::spec;

/// What the lab in the background writes to its standard output once it is ready.
pub const READY_LINE: &str = "LAB-READY";

/// The lab that is up.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    holder: Process,
    /// The `unshare` process: its namespaces are the lab's.
    namespaces: Process,
    run_dir: PathBuf,
}

/// A process, told apart from a later one with the same id by its start time.
#[derive(Debug, Serialize, Deserialize)]
struct Process {
    pid: i32,
    start_ticks: String,
}

impl Process {
    fn of(pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid)?;
        let start_ticks = start_ticks(pid).with_context(|| format!("process {pid} is gone"))?;
        Ok(Self { pid, start_ticks })
    }

    fn is_alive(&self) -> bool {
        start_ticks(self.pid).is_some_and(|ticks| ticks == self.start_ticks)
    }
}

/// Field 22 of `/proc/PID/stat` (proc(5)); `None` where the process is gone or a zombie.
fn start_ticks(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

fn state_file(folders: &Folders) -> PathBuf {
    folders.lab_dir().join("up.json")
}

impl Session {
    /// The lab that is up, if one is.
    #[must_use]
    pub fn current(folders: &Folders) -> Option<Self> {
        let text = fs::read_to_string(state_file(folders)).ok()?;
        let session: Self = serde_json::from_str(&text).ok()?;
        (session.holder.is_alive() && session.namespaces.is_alive()).then_some(session)
    }

    /// Starts a lab and holds it until killed; the body of the background process.
    ///
    /// # Errors
    /// Where the lab does not start.
    pub fn hold(runner: &Runner) -> Result<()> {
        let Started { mut child, run_dir } = runner.start(&[])?;
        let session = Self {
            holder: Process::of(std::process::id())?,
            namespaces: Process::of(child.id())?,
            run_dir: run_dir.clone(),
        };
        let path = state_file(runner.folders());
        let scratch = run_dir.join("up.json");
        let mut file = fs::File::create(&scratch)?;
        file.write_all(serde_json::to_string(&session)?.as_bytes())?;
        fs::rename(&scratch, &path).with_context(|| format!("write {}", path.display()))?;
        let status = child.wait()?;
        bail!("the lab ended: {status}; logs: {}", run_dir.join("log").display())
    }

    /// A command that will run inside this lab.
    ///
    /// # Errors
    /// Where the lab's description cannot be found.
    pub fn command(&self, argv: &[String]) -> Result<Command> {
        let proc = format!("/proc/{}/ns", self.namespaces.pid);
        let mut command = exec::command("nsenter");
        command
            .arg(format!("--mount={proc}/mnt"))
            .arg(format!("--net={proc}/net"))
            .arg(format!("--pid={proc}/pid_for_children"))
            .arg(format!("--wdns={}", std::env::current_dir()?.display()))
            .arg("--")
            .args(argv)
            .env(LAB_ENV, Path::new(spec::LAB_RUN_DIR).join("lab.json"));
        Ok(command)
    }

    /// Ends the lab and waits until its last process is gone.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub fn end(self, folders: &Folders) -> Result<()> {
        // The first process of the PID namespace ends last, after everything in it has been reaped.
        let init = child_of(self.namespaces.pid);
        let waited: Vec<_> = [Some(self.holder.pid), Some(self.namespaces.pid), init]
            .into_iter()
            .flatten()
            .filter_map(|pid| pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok())
            .collect();
        if let Some(holder) = Pid::from_raw(self.holder.pid)
            && self.holder.is_alive()
        {
            kill_process(holder, Signal::TERM).context("end the lab")?;
        }
        for pidfd in &waited {
            poll(&mut [PollFd::new(pidfd, PollFlags::IN)], None).context("wait for the lab to end")?;
        }
        drop(fs::remove_file(state_file(folders)));
        drop(fs::remove_dir_all(&self.run_dir));
        Ok(())
    }
}

/// The first process whose parent is `parent`.
fn child_of(parent: i32) -> Option<i32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let its_parent: i32 = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
        (its_parent == parent).then_some(pid)
    })
}
