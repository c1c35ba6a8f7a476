//! More of a copied packet's payload.

use hoptrace_common::packet;

use crate::{
    buffered::{Buffered, end_of_first},
    maps::{room, scratch},
    place,
};

/// [`packet::deep_sum`] of a copy of `len` bytes in `place` ([`scratch::PLACE`], or [`place::of_room`]); 0: it is not all there. A global
/// function: the verifier looks at it once, not for each shape a packet can have.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_deep(place: u32, len: u32, start: u32, end: u32) -> u64 {
    let Some((copy, word)) = place::copy(place) else { return 0 };
    let end = if place == scratch::PLACE {
        end
    } else {
        end_of_first(start, end, room::part_bytes(place::room_of(place)))
    };
    // SAFETY: such a buffer, and a word beside it.
    let copy = unsafe { Buffered::new(copy, len, word) };
    packet::deep_sum(&copy, start, end).unwrap_or(0)
}
