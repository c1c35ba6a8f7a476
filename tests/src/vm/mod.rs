//! Test VMs: real kernels under QEMU, with a Debian userland that holds OVS and the tools, and this checkout's programs.
//!
//! ```text
//! kernel    Debian's package (or any other kernel)   → boot image, disk with its modules     cached
//! userland  mmdebstrap                               → disk                                  cached
//! payload   hoptrace, xtask, tests, what to run      → disk                                  each run
//! initramfs `vm-init` and the modules of the disks                                           each run
//! ```
//!
//! `vm-init` mounts the disks, runs the command and writes its exit code to the kernel's log. The console, which carries
//! that log, is where the [`Verdict`] is read from: also that the kernel panicked, locked up, or had nothing to say until
//! the time was over. The command's own words come over two more serial ports.

mod accelerator;
mod console;
mod disk;
mod initramfs;
mod inside;
mod kernel;
mod machine;
mod payload;
mod qemu;
mod tidy;
mod userland;

pub use console::Verdict;
pub use contract::PAYLOAD_DIR;
pub use inside::{STAGE_COMMAND, VETHS, run_stage};
pub use kernel::{KernelChoice, Series};
pub use machine::{Ended, Machine};
pub use payload::Job;

/// What `vm-init` and the host agree on.
pub mod contract {
    /// Each line of `vm-init` in the kernel's log begins with this.
    pub const TAG: &str = "hoptrace-vm:";
    /// Behind the tag: the command ended, with this exit code.
    pub const EXIT: &str = "exit";
    /// Behind the tag: there was no way to run the command.
    pub const FAILED: &str = "failed:";
    /// The disks, in the order QEMU gets them.
    pub const USERLAND_DISK: &str = "/dev/vda";
    /// The modules of the kernel.
    pub const MODULES_DISK: &str = "/dev/vdb";
    /// The payload.
    pub const PAYLOAD_DISK: &str = "/dev/vdc";
    /// Where the payload is mounted.
    pub const PAYLOAD_DIR: &str = "/payload";
    /// What to run: a [`Job`](super::Job) as JSON, in the payload.
    pub const JOB_FILE: &str = "/payload/job.json";
    /// Names of modules to load before the disks are there, a line each, in the initramfs.
    pub const BOOT_MODULES: &str = "/modules/order";
    /// The command's standard output.
    pub const STDOUT_PORT: &str = "/dev/ttyS1";
    /// The command's standard error.
    pub const STDERR_PORT: &str = "/dev/ttyS2";
}
