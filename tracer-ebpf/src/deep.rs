//! More of a copied packet's payload.

use hoptrace_common::packet;

use crate::{
    maps::{counters, room, scratch},
    raw,
    reader::{Copied, end_of_first},
};

/// [`packet::deep_sum`] of a copy of `len` bytes in `place` ([`Copied::SCRATCH`], or the number of a room and one); 0: it is not
/// all there. A global function: the verifier looks at it once, not for each shape a packet can have.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_deep(place: u32, len: u32, start: u32, end: u32) -> u64 {
    let Some((copy, word)) = place_of(place) else { return 0 };
    let end =
        if place == Copied::SCRATCH { end } else { end_of_first(start, end, raw::part_bytes(place - 1)) };
    // SAFETY: such a buffer, and a word beside it.
    let copy = unsafe { Copied::of(copy, len, word) };
    packet::deep_sum(&copy, start, end).unwrap_or(0)
}

/// The copy in `place`, and a scratch word beside it.
#[inline(always)]
pub(crate) fn place_of(place: u32) -> Option<(*const u8, *mut u64)> {
    if place == Copied::SCRATCH {
        let counted = counters::of(counters::cpu(), 0)?;
        return Some((scratch::buffer()?, counted.scratch.as_mut_ptr()));
    }
    let room = room::numbered(place - 1)?;
    // SAFETY: a map value of the running program and CPU.
    unsafe { Some(((&raw const (*room).packet).cast(), &raw mut (*room).word)) }
}
