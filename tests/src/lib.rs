//! The lab: real VMs behind a real Open vSwitch, in namespaces of their own, and what end-to-end tests need in it.
//!
//! Builds on a bare machine: no libvirt headers, no libpcap, no eBPF compiler. Tests run the `hoptrace` binary as a
//! child process and never link it.

mod binary;
mod capture;
mod cpio;
pub mod exchange;
mod exec;
pub mod faults;
mod fingerprint;
pub mod frames;
mod kernel_version;
mod kernels;
pub mod lab;
pub mod payload;
pub mod prelude;
pub mod report;
pub mod soak;
mod static_binary;
pub mod together;
mod tracer;
pub mod vm;

pub use binary::{BINARY_ENV, hoptrace};
pub use capture::{Capture, Captures, Seen};
pub use exec::run;
pub use kernel_version::kernel_version;
pub use tracer::{Ended, Tracer};
