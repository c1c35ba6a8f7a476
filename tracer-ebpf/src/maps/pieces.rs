//! Where the next piece of a large packet begins, per flow.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::pieces::{Expected, FLOWS};

#[map]
static PIECES: Array<Expected> = Array::with_max_entries(FLOWS, 0);

/// The place of `flow`. Flows can share one; then one of them is not followed. A flow's pieces come one after the other on
/// one CPU; should that not be so, a piece is taken for a packet that joined midway.
#[inline(always)]
pub(crate) fn of(flow: u64) -> Option<*mut Expected> {
    PIECES.get_ptr_mut((flow >> 32) as u32 & (FLOWS - 1))
}
