//! The maps, an owner module each.

pub(crate) mod addresses;
pub(crate) mod answers;
pub(crate) mod checksums;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod conversations;
pub(crate) mod costs;
pub(crate) mod counters;
pub(crate) mod drops;
pub(crate) mod heads;
pub(crate) mod hooks;
pub(crate) mod inflight;
pub(crate) mod latency;
pub(crate) mod layout;
pub(crate) mod memory;
pub(crate) mod neighbours;
pub(crate) mod pieces;
pub(crate) mod questions;
pub(crate) mod rare;
pub(crate) mod records;
pub(crate) mod room;
pub(crate) mod scratch;
pub(crate) mod several;
pub(crate) mod upcalls;

/// `BPF_F_MMAPABLE`: user space maps the array and reads it without system calls.
const MMAPABLE: u32 = 1 << 10;
