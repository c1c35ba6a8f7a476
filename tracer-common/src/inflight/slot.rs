//! A slot: its layout, where it is, and what the rules need of it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Control, Mark};

/// Slots of one set.
pub const WAYS: u32 = 8;
/// Hooks whose times a slot keeps; of a longer journey the last one is overwritten.
pub const DELTAS: u32 = 8;

/// One packet: exactly one cache line, since the array starts at a page. Shared with user space through `mmap`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Slot {
    /// [`Control`].
    pub control: u64,
    /// The packet's identity.
    pub key: u64,
    /// When the first hook saw it, in nanoseconds of `CLOCK_MONOTONIC`. Of a group: when any hook saw any of its packets last.
    pub first_ns: u64,
    /// The hooks passed, four bits each, the first in the lowest.
    pub hooks: u32,
    /// [`Mark`].
    pub mark: u32,
    /// Nanoseconds from the first hook to each hook passed; the first is 0. Of a group: see [`super::group`].
    pub deltas_ns: [u32; DELTAS as usize],
}

const _: () = assert!(size_of::<Slot>() == 64 && align_of::<Slot>() == 8);
const _: () = assert!(core::mem::offset_of!(Slot, deltas_ns) == 32);
// One aligned word together.
const _: () = assert!(core::mem::offset_of!(Slot, hooks) == 24 && core::mem::offset_of!(Slot, mark) == 28);

/// Access to one slot in shared memory. Plain reads and writes may be torn by others unless the slot is `BUSY` and
/// one's own; the rules re-check the control word where that matters.
pub trait SlotCell: Copy {
    /// Reads the control word, before anything that follows.
    fn control(self) -> Control;
    /// Replaces the control word if it still is `old`; a full barrier.
    fn exchange(self, old: Control, new: Control) -> bool;
    /// Writes the control word of a `BUSY` slot, behind everything before.
    fn publish(self, control: Control);
    /// The identity.
    fn key(self) -> u64;
    /// Sets the identity.
    fn set_key(self, key: u64);
    /// When the first hook saw the packet.
    fn first_ns(self) -> u64;
    /// Sets the first time.
    fn set_first_ns(self, first_ns: u64);
    /// The hooks passed.
    fn hooks(self) -> u32;
    /// Sets the hooks passed and takes the mark away: one store of both.
    fn set_hooks(self, hooks: u32);
    /// The mark.
    fn mark(self) -> Mark;
    /// Replaces the mark if it still is `old`, no matter who owns the slot; a full barrier.
    fn exchange_mark(self, old: Mark, new: Mark) -> bool;
    /// Nanoseconds from the first hook to the one at `position` (below [`DELTAS`]).
    fn delta_ns(self, position: u32) -> u32;
    /// Sets them.
    fn set_delta_ns(self, position: u32, delta_ns: u32);
}

/// The set of the slot at `index`.
#[inline(always)]
#[must_use]
pub const fn set_of(index: u32) -> u32 {
    index / WAYS
}

/// The index of an identity's home slot. `seed` is an odd number that is not known beforehand, so that no sender can aim packets
/// that all have their home in one set; `shift` is 64 less the number of bits of an index.
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "the upper bits are meant")]
pub const fn home_of(key: u64, seed: u64, shift: u32) -> u32 {
    (key.wrapping_mul(seed) >> (shift & 63)) as u32
}

/// Index of the first slot of the set that the slot at `index` is in.
#[inline(always)]
pub(super) const fn base_of(index: u32) -> u32 {
    index & !(WAYS - 1)
}

/// Whether `age_ns` is long ago: a time before the packet's own is no age.
#[inline(always)]
pub(super) const fn is_over(age_ns: u64, limit_ns: u64) -> bool {
    age_ns > limit_ns && age_ns < u64::MAX / 2
}

/// What a slot keeps for a hook that saw the packet `total_ns` after the first one, and the hook before `before_ns` after it: no hook
/// is earlier than the one before, and the figures have an end.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "compared")]
pub(super) const fn delta_of(total_ns: u64, before_ns: u32) -> u32 {
    if total_ns > u64::MAX / 2 || total_ns < before_ns as u64 {
        before_ns
    } else if total_ns > u32::MAX as u64 {
        u32::MAX
    } else {
        total_ns as u32
    }
}

/// The coarse clock is late by so much at most: a tick of the timer of a kernel with 100 of them a second, in nanoseconds.
const COARSE_NS: u64 = 10_000_000;

/// How long after `seen_ns` it is at `now_ns` at least, where the packet of `control` was seen then; less than nothing, as a two's
/// complement, where the clocks disagree.
#[inline(always)]
pub(super) const fn age_of(control: Control, seen_ns: u64, now_ns: u64) -> u64 {
    let late_ns = if control.untimed() { COARSE_NS } else { 0 };
    now_ns.wrapping_sub(seen_ns).wrapping_sub(late_ns)
}

/// How long the packet in `slot` was not seen, read without protection.
#[inline(always)]
pub(super) fn age_ns<S: SlotCell>(slot: S, control: Control, now_ns: u64) -> u64 {
    age_of(control, last_seen_ns(slot, control), now_ns)
}

/// When the packet in `slot` was seen last, read without protection.
#[inline(always)]
pub(super) fn last_seen_ns<S: SlotCell>(slot: S, control: Control) -> u64 {
    let position = control.count().wrapping_sub(1) & (DELTAS - 1);
    slot.first_ns().wrapping_add(u64::from(slot.delta_ns(position)))
}
