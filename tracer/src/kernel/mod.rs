//! What the running kernel says about itself: its structures, its reasons for drops, the names of its functions.
//!
//! No stage: `attach` needs it before, and `collect` after a packet has come.

mod btf;
mod code;
mod drops;
pub mod ethtool;
mod interfaces;
mod meanings;
mod memory;
mod reasons;
mod sockets;
mod symbols;
mod upcalls;

pub use btf::{BtfError, KERNEL_BTF, kernel_btf, skb_layout};
pub use code::{CodePlaces, Prefix};
pub use drops::drop_config;
pub use interfaces::interface_index;
pub use meanings::{is_in_queue, is_nf_queue, is_purge, is_queue_s};
pub use memory::{MemoryBases, places_and_memory};
pub use reasons::{Reason, Reasons};
pub use sockets::{PacketSocket, packet_sockets};
pub use symbols::Symbols;
pub use upcalls::upcall_config;
