//! Memory of the programs at tracepoints, for each program and CPU.
//!
//! A tracepoint can be hit anywhere: in a process, in a softirq, in a hard interrupt, also in the middle of a TC
//! program of this CPU. So these programs share no scratch memory with TC programs, nor with each other. With itself no
//! program has to share: the kernel does not run one again on a CPU that is in the middle of it (since 6.1), and counts
//! that as `recursion_misses`.

use core::ffi::c_void;

use aya_ebpf::{macros::map, maps::PerCpuArray};
use hoptrace_common::skb::MAX_BLOCK;

use super::{layout, scratch};
use crate::{
    kept::{Freed, Sighted},
    probe::probe,
};

/// What one program needs.
#[repr(C)]
pub(crate) struct Room {
    /// The block of `struct sk_buff` that [`hoptrace_common::skb::SkbLayout`] describes, with room for a whole field
    /// behind its last offset.
    pub(crate) block: [u64; MAX_BLOCK as usize / 8 + 1],
    /// For [`scratch::through`].
    pub(crate) word: u64,
    /// Where what goes with the packet's data begins (`skb_shared_info`).
    pub(crate) shared: u64,
    /// What the program at `kfree_skb` knows of the packet.
    pub(crate) freed: Freed,
    /// What those of hooks know of it.
    pub(crate) sighted: Sighted,
    /// The head of the packet.
    pub(crate) packet: scratch::Buffer,
}

/// Whose it is.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Owner {
    /// The program at `net_dev_start_xmit`.
    Wire,
    /// The program at `kfree_skb`.
    Drops,
    /// The program at `ovs_dp_upcall`.
    Upcalls,
    /// The programs at `netif_receive_skb` and `net_dev_queue`, and what they go on in: none of them interrupts another one.
    Hooks,
}

#[map]
static ROOMS: PerCpuArray<Room> = PerCpuArray::with_max_entries(4, 0);

/// This CPU's room of `owner`.
#[inline(always)]
pub(crate) fn of(owner: Owner) -> Option<*mut Room> {
    numbered(owner as u32)
}

/// This CPU's room of the owner with this number.
#[inline(always)]
pub(crate) fn numbered(owner: u32) -> Option<*mut Room> {
    ROOMS.get_ptr_mut(owner)
}

/// Payload of each part but the last one of the packet that was read last to the room of the owner with this number, in bytes; 0: it has no parts.
#[inline(always)]
pub(crate) fn part_bytes(owner: u32) -> u32 {
    let Some(room) = numbered(owner) else { return 0 };
    // SAFETY: a map value of the running program and CPU.
    let shared = unsafe { (*room).shared };
    u32::from(probe::<u16>(shared as *const c_void, layout::gso_size()))
}
