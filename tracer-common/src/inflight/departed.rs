//! Packets that have ended and whose slots others have taken.
//!
//! Behind a direction's last hook a packet may still wait, in the NIC's queueing discipline or in the tap's ring, and die there. Its slot
//! is the next packet's as soon as that comes; who it was is remembered apart from the slots, in pairs of places: the newest of a pair
//! stands first, and the one before it second.

use super::{Control, Reach, SlotCell, State, Table};

/// Packets that are remembered at most (a power of two).
pub const DEPARTED: u32 = 1 << 17;

/// What stands in a place: a packet's identity, but for the lowest bits, which say what its last hook was; 0: nothing.
const HOOK: u64 = 0xf;

/// The first place of a packet's pair.
#[inline(always)]
const fn pair_of(key: u64) -> u32 {
    (key >> 40) as u32 & (DEPARTED - 2)
}

#[inline(always)]
const fn is_of(word: u64, key: u64) -> bool {
    word != 0 && (word ^ key) & !HOOK == 0
}

/// Another packet takes the slot of `control`, which holds `key`.
#[inline(always)]
pub(super) fn depart<T: Table>(table: T, slot: T::Slot, control: Control, key: u64) {
    let is_done = matches!(control.state(), State::Done) && !control.dead();
    if is_done && slot.mark().site(control).is_none() {
        let pair = pair_of(key);
        table.set_departed(pair + 1, table.departed(pair));
        table.set_departed(pair, (key & !HOOK) | (control.last() as u64 & HOOK));
    }
}

/// The last hook of a packet that is in no slot any more and was freed at an interface with this `reach`: it had completed, and is dropped.
/// Said once.
#[inline(always)]
pub fn departed<T: Table>(table: T, key: u64, reach: Reach) -> Option<u8> {
    let pair = pair_of(key);
    let (newer, older) = (table.departed(pair), table.departed(pair + 1));
    let (place, word) = if is_of(newer, key) { (pair, newer) } else { (pair + 1, older) };
    let hook = (word & HOOK) as u8;
    if !is_of(word, key) || reach.done_after & (1 << hook) == 0 {
        return None;
    }
    table.set_departed(place, 0);
    Some(hook)
}
