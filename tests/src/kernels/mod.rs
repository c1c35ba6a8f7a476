//! Debian's cloud kernels: fetched with apt and unpacked, never installed. The lab's guests boot one, the test VMs all.

mod modules;
mod package;

pub(crate) use modules::{boot_order, read_module};
pub(crate) use package::Unpacked;
