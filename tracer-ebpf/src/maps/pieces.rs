//! Where the next pieces of large packets begin.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::pieces::{SETS, Set, set_of};

#[map]
static PIECES: Array<Set> = Array::with_max_entries(SETS, 0);

/// The set that holds the piece of `flow` that begins at `sequence`. Where more pieces are expected in it than it has room
/// for, one of them, and what follows it, is taken for packets that joined midway.
#[inline(always)]
pub(crate) fn of(flow: u64, sequence: u32) -> Option<*mut Set> {
    PIECES.get_ptr_mut(set_of(flow, sequence))
}
