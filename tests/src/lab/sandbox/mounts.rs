//! What the lab sees of the file system: its own `/run`, `/sys`, and state folders of libvirt and OVS.

use std::ffi::CStr;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::lab::spec::LAB_RUN_DIR;

/// Folders of the host that daemons in the lab would write to.
const PRIVATE: [&str; 7] = [
    "/etc/libvirt",
    "/etc/openvswitch",
    "/var/cache/libvirt",
    "/var/lib/libvirt",
    "/var/lib/openvswitch",
    "/var/log/libvirt",
    "/var/log/openvswitch",
];

const BELOW_RUN: [&str; 5] = ["/run/libvirt", "/run/lock", "/run/netns", "/run/openvswitch", LAB_RUN_DIR];

/// Rearranges the mounts of this mount namespace, which must be private already.
pub(super) fn arrange() -> Result<()> {
    fresh_sys()?;
    filesystem(c"tmpfs", "/run", Some(c"mode=0755"))?;
    if !Path::new("/var/run").is_symlink() {
        rustix::mount::mount_bind("/run", "/var/run").context("bind /run to /var/run")?;
    }
    for folder in BELOW_RUN {
        fs::create_dir_all(folder).with_context(|| format!("create {folder}"))?;
    }
    for folder in PRIVATE.into_iter().filter(|folder| Path::new(folder).is_dir()) {
        filesystem(c"tmpfs", folder, Some(c"mode=0755"))?;
    }
    Ok(())
}

/// A sysfs of this network namespace. The old one goes entirely, with its control groups: they are global, two labs
/// would meet in them and leave folders behind. libvirt does without where none is mounted.
fn fresh_sys() -> Result<()> {
    unmount("/sys", UnmountFlags::DETACH).context("detach /sys")?;
    filesystem(c"sysfs", "/sys", None)?;
    filesystem(c"bpf", "/sys/fs/bpf", None)?;
    // Not every kernel has it, and nothing in the lab depends on it.
    drop(filesystem(c"tracefs", "/sys/kernel/tracing", None));
    Ok(())
}

fn filesystem(kind: &CStr, target: &str, data: Option<&CStr>) -> Result<()> {
    mount(kind, target, kind, MountFlags::NOSUID, data)
        .with_context(|| format!("mount {} on {target}", kind.to_string_lossy()))
}
