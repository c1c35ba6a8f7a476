//! Running a job in a test VM.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::accelerator::Accelerator;
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
    init: PathBuf,
    runs_dir: PathBuf,
    nics: Vec<String>,
    name: Option<String>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// What the console says about it.
    pub verdict: Verdict,
    /// The console's words, in a file. It stays until the next run of this machine.
    pub console: PathBuf,
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
            kernel,
            init: static_binary::build(&folders.workspace_root, &folders.target_dir, INIT)?,
            runs_dir,
            nics: NICS.map(str::to_owned).to_vec(),
            name: None,
        })
    }

    /// The same machine beside others of this process: each line of its job's output begins with the name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
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
    /// The VM dies with the thread that called.
    ///
    /// # Errors
    /// Where QEMU cannot be started. Whatever happens in the VM is a verdict.
    pub fn run(&self, job: &Job, files: &[PathBuf], limit: Duration) -> Result<Ended> {
        let folder = self.runs_dir.join(format!("run-{}{}", std::process::id(), self.suffix()));
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
                scope.spawn(|| pass_on(out, std::io::stdout(), self.name.as_deref())),
                scope.spawn(|| pass_on(err, std::io::stderr(), self.name.as_deref())),
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
        Ok(Ended { verdict, console: boot.console })
    }

    /// The program that plays the guests of a lab in the VM.
    ///
    /// # Errors
    /// Where it does not build.
    pub fn guest_agent(&self, folders: &Folders) -> Result<PathBuf> {
        static_binary::build(&folders.workspace_root, &folders.target_dir, AGENT)
    }

    /// What tells this machine's folder from that of another one of this process.
    fn suffix(&self) -> String {
        self.name.as_ref().map(|name| format!("-{name}")).unwrap_or_default()
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
            cpus: CPUS,
            memory_mib: MEMORY_MIB,
            nics: self.nics.clone(),
        })
    }
}

/// Passes on what the VM says, line by line where lines have a name in front.
fn pass_on(mut from: impl Read, mut to: impl Write, name: Option<&str>) -> Result<()> {
    // A reader that went away does not end the VM.
    let Some(name) = name else {
        let mut buffer = [0; 8192];
        loop {
            let length = from.read(&mut buffer).context("read the VM's output")?;
            let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            drop(to.write_all(bytes).and_then(|()| to.flush()));
        }
    };
    for line in BufReader::new(from).split(b'\n') {
        let line = line.context("read the VM's output")?;
        let line = [name.as_bytes(), b" | ", &line, b"\n"].concat();
        drop(to.write_all(&line).and_then(|()| to.flush()));
    }
    Ok(())
}
