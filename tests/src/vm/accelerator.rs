//! Whether KVM works here.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use crate::exec::command;

/// The CPU every VM gets: all that the accelerator can offer.
pub(super) const CPU: &str = "max";

/// How QEMU runs the VM's CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// On the real ones.
    Kvm,
    /// Emulated: works everywhere, 5 to 50 times slower.
    Tcg,
}

impl Accelerator {
    /// KVM where a VM really runs with it. The device alone says little: inside some VMs it is there, and QEMU dies.
    pub(super) fn find() -> Self {
        if Path::new("/dev/kvm").exists() && runs_with_kvm() { Self::Kvm } else { Self::Tcg }
    }

    /// QEMU's name for it.
    pub(super) const fn option(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg,thread=multi",
        }
    }
}

/// Starts an empty VM and asks whether it runs.
fn runs_with_kvm() -> bool {
    let started = command("qemu-system-x86_64")
        .args(["-accel", "kvm", "-machine", "q35", "-cpu", CPU, "-m", "64", "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-monitor", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut qemu) = started else { return false };
    if let Some(mut monitor) = qemu.stdin.take() {
        // A QEMU that has died already takes no commands, and its output then says nothing good.
        drop(monitor.write_all(b"info status\nquit\n"));
    }
    qemu.wait_with_output().is_ok_and(|output| {
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("VM status: running")
    })
}
