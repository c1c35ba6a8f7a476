//! From the initramfs to the disks.

use std::ffi::CStr;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use hoptrace_tests::vm::contract::{BOOT_MODULES, MODULES_DISK, PAYLOAD_DISK, USERLAND_DISK};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::mount::{MountFlags, mount};
use rustix::system::init_module;

/// How long a disk may take to appear once its driver is there.
const DISK_TIMEOUT_S: i64 = 20;

/// Loads the drivers and waits for the disks.
pub(crate) fn reach_disks() -> Result<()> {
    // The kernel may have mounted it by itself.
    if !Path::new("/dev/kmsg").exists() {
        filesystem(c"devtmpfs", "/dev")?;
    }
    let order = fs::read_to_string(BOOT_MODULES).context("read the order of modules")?;
    for name in order.lines() {
        let path = Path::new(BOOT_MODULES).with_file_name(name);
        let module = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        match init_module(&module, c"") {
            // Loaded already, or of no use on this CPU.
            Ok(()) | Err(rustix::io::Errno::EXIST | rustix::io::Errno::NODEV) => {}
            Err(error) => bail!("load {name}: {error}"),
        }
    }
    [USERLAND_DISK, MODULES_DISK, PAYLOAD_DISK].iter().try_for_each(|disk| appears(Path::new(disk)))
}

/// Waits until the kernel has made the device's file.
fn appears(disk: &Path) -> Result<()> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).context("watch /dev")?;
    inotify::add_watch(&watch, "/dev", inotify::WatchFlags::CREATE).context("watch /dev")?;
    let limit = Timespec { tv_sec: DISK_TIMEOUT_S, tv_nsec: 0 };
    while !disk.exists() {
        if poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&limit)).context("wait for a disk")? == 0 {
            bail!("there is no {}", disk.display());
        }
        let mut events = [0; 4096];
        rustix::io::read(&watch, &mut events).context("read what happened in /dev")?;
    }
    Ok(())
}

pub(crate) fn filesystem(kind: &CStr, target: &str) -> Result<()> {
    mount(kind, target, kind, MountFlags::empty(), None)
        .with_context(|| format!("mount {} on {target}", kind.to_string_lossy()))
}
