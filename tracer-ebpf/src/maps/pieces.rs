//! Where the next pieces of large packets begin.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::pieces::{Expected, PLACES, place_of};

#[map]
static PIECES: Array<Expected> = Array::with_max_entries(PLACES, 0);

/// The place of the piece of `flow` that begins at `sequence`. Pieces can share one; then one of them, and what follows it,
/// is taken for packets that joined midway.
#[inline(always)]
pub(crate) fn of(flow: u64, sequence: u32) -> Option<*mut Expected> {
    PIECES.get_ptr_mut(place_of(flow, sequence))
}
