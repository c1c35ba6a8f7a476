//! Packets that have ended, and whose slots others needed.
//!
//! Behind its last hook a packet may wait in a queue, and die there. Its slot is the first to be reused, as it must be where many packets
//! come, so a packet that waits while another one comes whose home is the same slot would be forgotten, and count as completed whatever becomes of
//! it. What is needed to say that it died is kept in one word of an array of its own, until another one is kept there. Where many come, most
//! slots are taken from packets that ended long ago, as queues go ([`Table::waiting_ns`]), and nothing is kept.

use super::{Control, SlotCell, State, Table, slot::last_seen_ns};

/// Words of the array: a power of two.
pub const DISPLACED: u32 = 1 << PLACE_BITS;

const PLACE_BITS: u32 = 12;
/// What the place says of an identity is not said again: there the word has direction and hook.
const IDENTITY: u64 = (1 << HOOK_SHIFT) - 1;
const HOOK_SHIFT: u32 = 56;
const DIRECTION: u64 = 1 << 60;
const KEPT: u64 = 1 << 61;
const _: () = assert!(HOOK_SHIFT >= 64 - PLACE_BITS);

/// A packet that has ended: bits 0..56 of its identity · 56..60 last hook · 60 direction · 61 set. 0: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Displaced(pub u64);

impl Displaced {
    #[inline(always)]
    const fn of(key: u64, control: Control) -> Self {
        let direction = if control.direction() == 0 { 0 } else { DIRECTION };
        Self(key & IDENTITY | (control.last() as u64) << HOOK_SHIFT | direction | KEPT)
    }

    /// Where a packet with this identity is kept.
    #[inline(always)]
    const fn place(key: u64) -> u32 {
        (key >> (64 - PLACE_BITS)) as u32
    }

    /// Its control word, as far as that is known, if it is the one with this identity.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "four bits")]
    const fn control(self, key: u64) -> Option<Control> {
        if self.0 & KEPT == 0 || (self.0 ^ key) & IDENTITY != 0 {
            return None;
        }
        let direction = if self.0 & DIRECTION == 0 { 0 } else { 1 };
        Some(Control::first((self.0 >> HOOK_SHIFT & 0xf) as u8, direction, false, true))
    }
}

/// Whether the packet of `control` in `slot` has ended so lately, at `now_ns`, that it may still die. Valid if the control word is still the same
/// later.
#[inline(always)]
pub(super) fn may_wait<T: Table>(table: T, slot: T::Slot, control: Control, now_ns: u64) -> bool {
    if !matches!(control.state(), State::Done) || control.dead() {
        return false;
    }
    // Another CPU's clock may be ahead.
    now_ns.saturating_sub(last_seen_ns(slot, control)) <= table.waiting_ns()
}

/// That packet, which [`may_wait`], makes room for another one, and its slot is `BUSY` and ours: it is kept if nobody has counted it as dropped.
#[inline(always)]
pub(super) fn keep<T: Table>(table: T, slot: T::Slot, control: Control) {
    if slot.mark().site(control).is_none() {
        let key = slot.key();
        table.set_displaced(Displaced::place(key), Displaced::of(key, control));
    }
}

/// The packet with this identity, if it is kept.
#[inline(always)]
pub(super) fn kept<T: Table>(table: T, key: u64) -> Option<Control> {
    table.displaced(Displaced::place(key)).control(key)
}

/// Forgets it, where one comes that looks the same and is not followed.
#[inline(always)]
pub(super) fn forget<T: Table>(table: T, key: u64) {
    if let Some(control) = kept(table, key) {
        take(table, control, key);
    }
}

/// Takes it away. `false`: somebody else did, or another one is kept there.
#[inline(always)]
pub(super) fn take<T: Table>(table: T, control: Control, key: u64) -> bool {
    table.take_displaced(Displaced::place(key), Displaced::of(key, control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_which_packet_it_is_and_where_it_was_last() {
        for key in [0, u64::MAX, 0x1234_5678_9abc_def0] {
            for (hook, direction) in [(0, 0), (3, 0), (15, 1)] {
                let kept = Displaced::of(key, Control::first(hook, direction, false, true));
                let control = kept.control(key).unwrap();
                assert_eq!(
                    (control.last(), control.direction(), control.state()),
                    (hook, direction, State::Done)
                );
                assert!(control.passed() & 1 << hook != 0 && !control.dead());
                assert!(Displaced::place(key) < DISPLACED);
                for bit in 0..HOOK_SHIFT {
                    assert_eq!(kept.control(key ^ 1 << bit), None);
                }
                // The others are those of the place.
                assert!(
                    (HOOK_SHIFT..64).all(|bit| Displaced::place(key) != Displaced::place(key ^ 1 << bit))
                );
            }
        }
        assert_eq!(Displaced(0).control(0), None);
    }
}
