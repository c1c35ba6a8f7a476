//! Packets that have ended and whose slots others have taken.
//!
//! Behind a direction's last hook a packet may still wait, in the NIC's queueing discipline or in the tap's ring, and die there. Its slot
//! is the next packet's as soon as that comes; who it was is remembered apart from the slots, in sets of a few places each.

use super::{Control, Reach, SlotCell, State, Table};

/// Packets that are remembered at most (a power of two).
pub const DEPARTED: u32 = 1 << 17;

/// Places of a set.
const PLACES: u32 = 4;

/// What stands in a place: a packet's identity, but for the lowest bits, which say what its last hook was; 0: nothing.
const HOOK: u64 = 0xf;

/// The first place of a packet's set.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "masked")]
const fn set_of(key: u64) -> u32 {
    (key >> 40) as u32 & (DEPARTED - PLACES)
}

/// Another packet takes the slot of `control`, which holds `key`.
#[inline(always)]
pub(super) fn depart<T: Table>(table: T, slot: T::Slot, control: Control, key: u64) {
    // One that crossed over ended at a hook of the other direction, whose ledger it is not in.
    let is_done = matches!(control.state(), State::Done) && !control.dead() && !control.crossed();
    if !is_done || slot.mark().site(control).is_some() {
        return;
    }
    let set = set_of(key);
    let mut place = 0;
    while place < PLACES && table.departed(set + place) != 0 {
        place += 1;
    }
    if place == PLACES {
        // Full: any one of them.
        #[allow(clippy::cast_possible_truncation, reason = "two bits")]
        let any = (key >> 8) as u32 & (PLACES - 1);
        place = any;
    }
    table.set_departed(set + place, (key & !HOOK) | (u64::from(control.last()) & HOOK));
}

/// The last hook of a packet that is in no slot any more and was freed at an interface with this `reach`: it had completed, and is dropped.
/// Said once.
#[inline(always)]
pub fn departed<T: Table>(table: T, key: u64, reach: Reach) -> Option<u8> {
    let set = set_of(key);
    let mut place = 0;
    while place < PLACES {
        let word = table.departed(set + place);
        #[allow(clippy::cast_possible_truncation, reason = "four bits")]
        let hook = (word & HOOK) as u8;
        let is_it = word != 0 && (word ^ key) & !HOOK == 0 && reach.done_after & (1 << hook) != 0;
        if is_it && table.take_departed(set + place, word) {
            return Some(hook);
        }
        place += 1;
    }
    None
}
