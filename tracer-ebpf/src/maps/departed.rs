//! Packets that have ended and whose slots others have taken.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::inflight::DEPARTED;

use crate::atomic;

#[map]
static DEPARTED_PACKETS: Array<u64> = Array::with_max_entries(DEPARTED, 0);

/// What stands in `place`.
#[inline(always)]
pub(crate) fn read(place: u32) -> u64 {
    // SAFETY: a map value, aligned to eight bytes.
    DEPARTED_PACKETS.get_ptr(place).map_or(0, |word| unsafe { atomic::load(word) })
}

/// Puts `word` there.
#[inline(always)]
pub(crate) fn write(place: u32, word: u64) {
    if let Some(target) = DEPARTED_PACKETS.get_ptr_mut(place) {
        // SAFETY: as above.
        unsafe { atomic::store(target, word) };
    }
}

/// Empties `place` if `word` is still there.
#[inline(always)]
pub(crate) fn take(place: u32, word: u64) -> bool {
    // SAFETY: as above.
    DEPARTED_PACKETS
        .get_ptr_mut(place)
        .is_some_and(|target| unsafe { atomic::compare_exchange(target, word, 0) })
}
