//! Open vSwitch itself: its daemons `ovsdb-server` and `ovs-vswitchd`, which speak JSON-RPC (RFC 7047), and the kernel's
//! datapath.
//!
//! No stage: `discover` asks the one before, and `collect`, `explain` and `predict` the others. [`Client`] answers the
//! server's `echo` probes, keeps update notifications that arrive between answers, and bounds the size of what it reads.
//!
//! The `ovsdb` crate's codec and messages are not used: the codec prints every message to stdout and miscounts escaped
//! quotes, the requests know no `monitor_cond`, and the responses take no ids but UUIDs and no errors but strings.

mod client;
mod codec;
mod datapath;
mod error;
mod fdb;
mod ports;
mod remote;
mod unixctl;

pub use client::{Client, Update};
pub use codec::{JsonCodec, MAX_MESSAGE_BYTES};
pub use datapath::{DatapathPort, KernelDatapath, kernel_datapaths};
pub use error::OvsError;
pub use fdb::{Learned, learned};
pub use ports::{SwitchPort, switch_ports};
pub use remote::{ParseRemoteError, Remote};
pub use unixctl::{CALL_TIME_LIMIT, Unixctl, UnixctlError};
