//! From the disks to a Debian that works.

use std::fs;

use anyhow::{Context as _, Result};
use hoptrace_tests::vm::contract::{MODULES_DISK, PAYLOAD_DIR, PAYLOAD_DISK, USERLAND_DISK};
use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{chdir, chroot};
use rustix::system::sethostname;

use crate::boot::filesystem;

const ROOT: &str = "/root";

/// Makes the userland the root, with everything mounted that programs expect.
pub(crate) fn enter() -> Result<()> {
    disk(USERLAND_DISK, ROOT)?;
    disk(MODULES_DISK, &format!("{ROOT}/usr/lib/modules"))?;
    disk(PAYLOAD_DISK, &format!("{ROOT}{PAYLOAD_DIR}"))?;
    mount_move("/dev", format!("{ROOT}/dev")).context("move /dev")?;
    chdir(ROOT).context("enter the userland")?;
    mount_move(".", "/").context("make the userland the root")?;
    chroot(".").context("make the userland the root")?;
    chdir("/").context("enter the root")?;
    mounts()?;
    settings()
}

fn disk(device: &str, target: &str) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("create {target}"))?;
    mount(device, target, c"ext4", MountFlags::NOATIME, None)
        .with_context(|| format!("mount {device} on {target}"))
}

fn mounts() -> Result<()> {
    filesystem(c"proc", "/proc")?;
    filesystem(c"sysfs", "/sys")?;
    filesystem(c"bpf", "/sys/fs/bpf")?;
    filesystem(c"cgroup2", "/sys/fs/cgroup")?;
    for folder in ["/run", "/tmp"] {
        filesystem(c"tmpfs", folder)?;
    }
    for folder in ["/dev/pts", "/dev/shm", "/run/lock", "/run/netns", "/run/openvswitch"] {
        fs::create_dir_all(folder).with_context(|| format!("create {folder}"))?;
    }
    filesystem(c"devpts", "/dev/pts")?;
    filesystem(c"tmpfs", "/dev/shm")?;
    for (kind, folder) in [(c"debugfs", "/sys/kernel/debug"), (c"tracefs", "/sys/kernel/tracing")] {
        // Not every kernel has them, and not every job needs them.
        drop(filesystem(kind, folder));
    }
    Ok(())
}

/// What tools for developers of kernels want to see, and the names of the VM.
fn settings() -> Result<()> {
    for (setting, value) in [("kernel/kptr_restrict", "0"), ("kernel/perf_event_paranoid", "-1")] {
        let path = format!("/proc/sys/{setting}");
        fs::write(&path, value).with_context(|| format!("write {path}"))?;
    }
    sethostname(b"compute").context("set the host name")
}
