//! Starting a lab from outside.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context as _, Result, bail};

use super::Folders;
use super::stage::{STAGE_COMMAND, StagePlan};
use crate::lab::{GuestImage, Progress};

/// Starts labs. The running program must hand [`STAGE_COMMAND`] to [`super::run_stage`].
#[derive(Debug)]
pub struct Runner {
    folders: Folders,
    image: Option<GuestImage>,
}

/// A lab's outermost process and its folder on disk.
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) run_dir: PathBuf,
}

impl Runner {
    /// Prepares the guest image.
    ///
    /// # Errors
    /// Where we are not root, or the image cannot be built.
    pub fn new(folders: Folders, progress: Progress<'_>) -> Result<Self> {
        need_root()?;
        let image = GuestImage::ensure(&folders.workspace_root, &folders.target_dir, progress)?;
        Ok(Self { folders, image: Some(image) })
    }

    /// Starts labs without VMs and without OVS: tap, bridge, veth, bridge and NIC are all the kernel's, and the one guest
    /// is a namespace behind a veth pair that stands for the tap. For floods and benchmarks.
    ///
    /// # Errors
    /// Where we are not root.
    pub fn kernel_path(folders: Folders) -> Result<Self> {
        need_root()?;
        Ok(Self { folders, image: None })
    }

    /// Starts a lab, runs `command` in it with our own standard streams, and ends the lab with it.
    ///
    /// Call it from the main thread: the lab dies with the thread that started it.
    ///
    /// # Errors
    /// Where the lab does not start. A command that fails is an exit status, not an error.
    pub fn run(&self, command: &[String], progress: Progress<'_>) -> Result<ExitStatus> {
        let Started { mut child, run_dir } = self.start(command)?;
        let status = child.wait().context("wait for the lab")?;
        if status.success() {
            // Best effort: the next run prunes what stays.
            drop(fs::remove_dir_all(&run_dir));
        } else {
            progress(&format!("logs of the lab: {}", run_dir.join("log").display()));
        }
        Ok(status)
    }

    pub(super) fn start(&self, command: &[String]) -> Result<Started> {
        let run_dir = self.folders.new_run()?;
        let plan = StagePlan {
            runner_pid: std::process::id(),
            log_dir: run_dir.join("log"),
            image: self.image.clone(),
            command: command.to_vec(),
        };
        let plan_path = run_dir.join("plan.json");
        fs::write(&plan_path, serde_json::to_string(&plan)?)?;
        let child = Command::new(std::env::current_exe()?)
            .args([STAGE_COMMAND, "enter"])
            .arg(&plan_path)
            .spawn()
            .context("start the lab")?;
        Ok(Started { child, run_dir })
    }

    pub(super) fn folders(&self) -> &Folders {
        &self.folders
    }
}

fn need_root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the lab needs root: it makes namespaces and network devices");
    }
    Ok(())
}
