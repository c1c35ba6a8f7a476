//! Whether KVM works here.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::qemu::ends_within;
use crate::exec::command;

/// What a CPU can do that KVM runs: all that the real one can.
const ALL: &str = "max";
/// What one can do that is emulated: all but what makes the kernel slow there. With enhanced `rep movsb` and `rep stosb` it copies and clears by
/// the byte, and each byte is emulated on its own; with a fifth level of page tables, each look into them is longer.
const EMULATED: &str = "max,-erms,-la57";
/// A kernel with KVM takes about a second to find out that it has no root file system.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// What it says then.
const NO_ROOT: &str = "Kernel panic - not syncing: VFS";
/// Changes with every start of this machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How QEMU runs the VM's CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// On the real ones.
    Kvm,
    /// Emulated: works everywhere, 5 to 50 times slower.
    Tcg,
}

impl Accelerator {
    /// KVM where `kernel` really runs with it. The device alone says little: inside some VMs it is there and QEMU dies, or
    /// the guest spins without ever executing its kernel. What was found holds until this machine is started again.
    pub(super) fn find(kernel: &Path, cache_dir: &Path) -> Result<Self> {
        if !Path::new("/dev/kvm").exists() {
            return Ok(Self::Tcg);
        }
        let boot_id = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let cache = cache_dir.join("accelerator");
        let known = fs::read_to_string(&cache).unwrap_or_default();
        let found = match known.strip_prefix(&boot_id).filter(|_| !boot_id.is_empty()) {
            Some("kvm") => Self::Kvm,
            Some("tcg") => Self::Tcg,
            _ if boots_with_kvm(kernel, &cache_dir.join(format!("probe.{}", std::process::id())))? => {
                Self::Kvm
            }
            _ => Self::Tcg,
        };
        let word = if found == Self::Kvm { "kvm" } else { "tcg" };
        // Without the note the next run finds out anew.
        drop(fs::write(&cache, boot_id + word));
        Ok(found)
    }

    /// QEMU's name for it. All CPUs are emulated in one thread: with one thread each, a CPU now and then runs into a breakpoint
    /// that another one had set in the kernel's code, and taken away again, while it patched it (static keys, static calls), which
    /// the kernel dies of (`Oops: int3`). Tests take as long either way, as long as a VM seldom uses more than one CPU.
    pub(super) const fn option(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg,thread=single",
        }
    }

    /// QEMU's words for the CPU that every VM gets.
    pub(super) const fn cpu(self) -> &'static str {
        match self {
            Self::Kvm => ALL,
            Self::Tcg => EMULATED,
        }
    }
}

/// Boots the kernel without any disk. It comes as far as to complain about that, if it comes anywhere.
fn boots_with_kvm(kernel: &Path, console: &Path) -> Result<bool> {
    let mut qemu = command("setpriv")
        .args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-accel", "kvm"])
        .args(["-machine", "q35", "-cpu", ALL, "-m", "512", "-nodefaults", "-no-user-config", "-no-reboot"])
        .args([
            "-display",
            "none",
            "-monitor",
            "none",
            "-append",
            "console=ttyS0 panic=-1 no_timer_check",
            "-kernel",
        ])
        .arg(kernel)
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("run QEMU")?;
    if !ends_within(&qemu, PROBE_LIMIT)? {
        qemu.kill().context("end QEMU")?;
    }
    qemu.wait().context("wait for QEMU")?;
    let said = fs::read(console).unwrap_or_default();
    drop(fs::remove_file(console));
    Ok(String::from_utf8_lossy(&said).contains(NO_ROOT))
}
