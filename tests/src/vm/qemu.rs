//! The command that starts a test VM.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::accelerator::Accelerator;
use crate::exec::command;

/// The kernel's own idea of a lockup, in seconds. Emulated CPUs share real ones with whatever else runs: what is well
/// below this happens to a healthy kernel.
const WATCHDOG_S: u32 = 30;

/// Everything QEMU is told.
#[derive(Debug)]
pub(super) struct Boot {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
    /// In the order of [`super::contract`].
    pub(super) disks: [PathBuf; 3],
    /// File for the console.
    pub(super) console: PathBuf,
    pub(super) accelerator: Accelerator,
    pub(super) cpus: u32,
    pub(super) memory_mib: u32,
    /// Models of NICs, of each a pair on a wire of its own. Nothing loads their drivers.
    pub(super) nics: Vec<String>,
}

/// QEMU with the command's output on its own standard streams. It dies with the thread that starts it.
pub(super) fn qemu(boot: &Boot) -> Command {
    let mut qemu = command("setpriv");
    qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
    qemu.args(["-accel", boot.accelerator.option()]);
    qemu.args(["-machine", "q35,hpet=off", "-cpu", boot.accelerator.cpu(), "-nodefaults", "-no-user-config"]);
    qemu.args(["-smp", &boot.cpus.to_string(), "-m", &boot.memory_mib.to_string()]);
    qemu.arg("-kernel").arg(&boot.kernel).arg("-initrd").arg(&boot.initramfs);
    qemu.args(["-append", &kernel_arguments()]);
    for (place, disk) in boot.disks.iter().enumerate() {
        qemu.args(["-drive", &format!("file={},format=raw,if=none,id=d{place},snapshot=on", escaped(disk))]);
        qemu.args(["-device", &format!("virtio-blk-pci,drive=d{place}")]);
    }
    for (place, model) in boot.nics.iter().enumerate() {
        add_pair(&mut qemu, place, model);
    }
    // Entropy, so that nothing waits for it.
    qemu.args(["-device", "virtio-rng-pci"]);
    for (id, path) in [
        ("console", boot.console.as_path()),
        ("out", Path::new("/dev/stdout")),
        ("err", Path::new("/dev/stderr")),
    ] {
        qemu.args([
            "-chardev",
            &format!("file,id={id},path={}", escaped(path)),
            "-serial",
            &format!("chardev:{id}"),
        ]);
    }
    // A panic reboots at once, and a reboot ends QEMU.
    qemu.args(["-display", "none", "-monitor", "none", "-no-reboot"]);
    qemu
}

/// Two NICs on one wire.
fn add_pair(qemu: &mut Command, place: usize, model: &str) {
    for end in 0..2 {
        qemu.args(["-netdev", &format!("hubport,id=n{place}.{end},hubid={place}")]);
        // No program of the NIC's own runs before the kernel.
        let device = format!("{model},netdev=n{place}.{end},mac=52:54:00:99:{place:02x}:0{end},romfile=");
        qemu.args(["-device", &device]);
    }
}

/// Waits for the process; `false` where it still runs when the time is over.
pub(super) fn ends_within(child: &Child, limit: Duration) -> Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("watch QEMU")?;
    let limit =
        Timespec { tv_sec: i64::try_from(limit.as_secs())?, tv_nsec: i64::from(limit.subsec_nanos()) };
    Ok(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)).context("wait for QEMU")? > 0)
}

fn kernel_arguments() -> String {
    [
        "console=ttyS0 quiet loglevel=4 printk.devkmsg=on",
        // QEMU's clock is sound; the kernel would mistrust it when a vCPU has to wait.
        "tsc=reliable clocksource=tsc",
        // So are its timers; the kernel would panic when a tick is late.
        "no_timer_check",
        "mitigations=off nokaslr random.trust_cpu=on",
        // What goes wrong in the kernel is a verdict.
        "panic=-1 oops=panic softlockup_panic=1 hung_task_panic=1 sysctl.kernel.panic_on_rcu_stall=1",
        &format!(
            "sysctl.kernel.watchdog_thresh={WATCHDOG_S} rcupdate.rcu_cpu_stall_timeout={}",
            2 * WATCHDOG_S
        ),
    ]
    .join(" ")
}

/// QEMU's option lists are separated by commas; a comma is written twice.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
