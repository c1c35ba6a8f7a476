//! Running a job in a test VM.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::accelerator::{Accelerator, Threads};
use super::contract::TAG;
use super::kernel::Kernel;
use super::qemu::{Boot, ends_within, qemu};
use super::{Job, KernelChoice, Verdict, initramfs, payload, tidy, userland};
use crate::lab::{AGENT, Folders, Progress};
use crate::static_binary;

/// The first process of the VM.
const INIT: &str = "vm-init";
const CPUS: u32 = 2;
const MEMORY_MIB: u32 = 2048;
/// Models of NICs that every VM has: those of which Debian's kernels for clouds have the drivers.
const NICS: [&str; 2] = ["vmxnet3", "virtio-net-pci"];
/// Room for the programs that a run takes along: tests carry debug information.
const PAYLOAD_MIB: u64 = 512;

/// A kernel and a userland, ready to boot as often as wanted.
#[derive(Debug)]
pub struct Machine {
    kernel: Kernel,
    userland: PathBuf,
    accelerator: Accelerator,
    threads: Threads,
    init: PathBuf,
    runs_dir: PathBuf,
    nics: Vec<String>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// What the console says about it.
    pub verdict: Verdict,
    /// The console's words, in a file. It stays until the next run of this machine.
    pub console: PathBuf,
    /// Whether the emulator made the kernel fall over before the job began, so that it was booted a second time.
    pub booted_again: bool,
}

impl Machine {
    /// Prepares everything that does not depend on the job. Needs the network where it is not in the cache.
    ///
    /// # Errors
    /// Where we are not root, or an image cannot be built.
    pub fn new(folders: &Folders, choice: &KernelChoice, progress: Progress<'_>) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("the VM's images need root: they hold a Debian system");
        }
        let cache_dir = folders.target_dir.join("vm-cache");
        let runs_dir = folders.target_dir.join("vm");
        fs::create_dir_all(&cache_dir)?;
        fs::create_dir_all(&runs_dir)?;
        tidy::remove_half_built(&cache_dir);
        tidy::remove_old_runs(&runs_dir);
        let kernel = choice.ensure(&folders.target_dir, &cache_dir, progress)?;
        Ok(Self {
            userland: userland::ensure(&cache_dir, progress)?,
            accelerator: Accelerator::find(&kernel.image, &cache_dir)?,
            threads: Threads::default(),
            kernel,
            init: static_binary::build(&folders.workspace_root, &folders.target_dir, INIT)?,
            runs_dir,
            nics: NICS.map(str::to_owned).to_vec(),
        })
    }

    /// The same machine, its CPUs emulated otherwise; nothing changes where they are not emulated.
    #[must_use]
    pub fn with_threads(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    /// The same machine with more NICs, a pair of each of these models of QEMU's.
    #[must_use]
    pub fn with_nics(mut self, models: Vec<String>) -> Self {
        self.nics.extend(models);
        self
    }

    /// Boots, runs the job with `files` beside it in [`super::PAYLOAD_DIR`], and passes on its output. The VM ends with the
    /// job, or when `limit` has passed.
    ///
    /// Call it from the main thread: the VM dies with the thread that started it.
    ///
    /// # Errors
    /// Where QEMU cannot be started. Whatever happens in the VM is a verdict.
    pub fn run(&self, job: &Job, files: &[PathBuf], limit: Duration) -> Result<Ended> {
        let ended = self.run_once(job, files, limit)?;
        if self.accelerator != Accelerator::Tcg || !is_emulators_fault(&fs::read(&ended.console)?) {
            return Ok(ended);
        }
        Ok(Ended { booted_again: true, ..self.run_once(job, files, limit)? })
    }

    fn run_once(&self, job: &Job, files: &[PathBuf], limit: Duration) -> Result<Ended> {
        let folder = self.runs_dir.join(format!("run-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        tidy::ensure_room(&folder, PAYLOAD_MIB, "what the VM needs of this run")?;
        let boot = self.boot(&folder, job, files)?;
        let mut child = qemu(&boot)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("run QEMU")?;
        let (out, err) =
            (child.stdout.take().context("no stdout")?, child.stderr.take().context("no stderr")?);
        let (timed_out, status) = std::thread::scope(|scope| {
            let copies = [
                scope.spawn(move || pass_on(out, std::io::stdout())),
                scope.spawn(move || pass_on(err, std::io::stderr())),
            ];
            let timed_out = !ends_within(&child, limit)?;
            if timed_out {
                child.kill().context("end QEMU")?;
            }
            let status = child.wait().context("wait for QEMU")?;
            for copy in copies {
                copy.join().map_err(|_| anyhow!("passing on the VM's output panicked"))??;
            }
            anyhow::Ok((timed_out, status))
        })?;
        let console = String::from_utf8_lossy(&fs::read(&boot.console)?).into_owned();
        let verdict = Verdict::read(&console, timed_out.then_some(limit), &status.to_string());
        for disk in [&boot.disks[2], &boot.initramfs] {
            drop(fs::remove_file(disk));
        }
        Ok(Ended { verdict, console: boot.console, booted_again: false })
    }

    /// The program that plays the guests of a lab in the VM.
    ///
    /// # Errors
    /// Where it does not build.
    pub fn guest_agent(&self, folders: &Folders) -> Result<PathBuf> {
        static_binary::build(&folders.workspace_root, &folders.target_dir, AGENT)
    }

    fn boot(&self, folder: &Path, job: &Job, files: &[PathBuf]) -> Result<Boot> {
        let (payload, initramfs) = (folder.join("payload.ext4"), folder.join("initramfs.cpio"));
        payload::write(&payload, job, files)?;
        initramfs::write(&initramfs, &self.kernel, &self.init)?;
        Ok(Boot {
            kernel: self.kernel.image.clone(),
            initramfs,
            disks: [self.userland.clone(), self.kernel.modules_disk.clone(), payload],
            console: folder.join("console.log"),
            accelerator: self.accelerator,
            threads: self.threads,
            cpus: CPUS,
            memory_mib: MEMORY_MIB,
            nics: self.nics.clone(),
        })
    }
}

/// Whether the kernel ran into a breakpoint that it had set itself, and taken away again, while it changed its own text:
/// QEMU's emulation with several threads now and then executes what it translated before. Only as long as nothing of ours
/// had begun; from then on a panic is a panic.
fn is_emulators_fault(console: &[u8]) -> bool {
    let text = String::from_utf8_lossy(console);
    text.contains("int3: 0000 [#1]") && !text.contains(TAG)
}

fn pass_on(mut from: impl Read, mut to: impl Write) -> Result<()> {
    let mut buffer = [0; 8192];
    loop {
        let length = from.read(&mut buffer).context("read the VM's output")?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        // A reader that went away does not end the VM.
        drop(to.write_all(bytes).and_then(|()| to.flush()));
    }
}

#[cfg(test)]
mod tests {
    use super::is_emulators_fault;

    #[test]
    fn only_a_breakpoint_before_the_job_is_the_emulators_fault() {
        let oops =
            "[ 4.1] Oops: int3: 0000 [#1] PREEMPT SMP\n[ 4.2] Kernel panic - not syncing: Fatal exception\n";
        assert!(is_emulators_fault(oops.as_bytes()));
        assert!(!is_emulators_fault(format!("[ 3.9] hoptrace-vm: up\n{oops}").as_bytes()));
        assert!(!is_emulators_fault(
            b"[ 4.1] Oops: 0002 [#1]\n[ 4.2] Kernel panic - not syncing: Fatal exception\n"
        ));
    }
}
