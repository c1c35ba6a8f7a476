//! What is found of checksums, and room to look at them.

use aya_ebpf::{
    macros::map,
    maps::{Array, PerCpuArray},
};
use hoptrace_common::checksum::{ChecksumCounters, PLACES};

use super::MMAPABLE;

/// Bytes that are summed up at once: older kernels' `bpf_csum_diff` takes no more.
pub(crate) const PIECE: u32 = 512;

/// One per possible CPU and port; the loader sets the size.
#[map]
static CHECKSUMS: Array<ChecksumCounters> = Array::with_max_entries(1, MMAPABLE);

/// A piece of a packet, with room for what the verifier takes for possible; and a scratch word.
#[repr(C)]
pub(crate) struct Room {
    pub(crate) piece: [u8; 2 * PIECE as usize],
    pub(crate) word: u64,
}

#[map]
static CHECKSUM_ROOM: PerCpuArray<Room> = PerCpuArray::with_max_entries(1, 0);

/// This CPU's room.
#[inline(always)]
pub(crate) fn room() -> Option<*mut Room> {
    CHECKSUM_ROOM.get_ptr_mut(0)
}

/// Counts a packet that was looked at, in `block` ([`super::counters::block`]).
#[inline(always)]
pub(crate) fn count(block: u32, place: u32, right: bool) {
    let Some(counters) = CHECKSUMS.get_ptr_mut(block) else { return };
    let place = (place & (PLACES as u32 - 1)) as usize;
    // SAFETY: a map value of this CPU, and a place in it.
    unsafe {
        *(&raw mut (*counters).checked).cast::<u64>().add(place) += 1;
        if !right {
            *(&raw mut (*counters).wrong).cast::<u64>().add(place) += 1;
        }
    }
}
