//! What the rules need of a table.

use super::{Displaced, SlotCell, set_of};

/// A packet that the kernel freed and that no hook has seen for so long is dead: in nanoseconds. A hook that sees it later all the
/// same takes that back.
pub const SETTLED_NS: u64 = 5_000_000;

/// A table of slots.
pub trait Table: Copy {
    /// Its slots.
    type Slot: SlotCell;
    /// Where the count of a set is.
    type Spills: Copy;
    /// The slot at `index`; `None` beyond the end.
    fn slot(self, index: u32) -> Option<Self::Slot>;
    /// The index of an identity's home slot.
    fn home(self, key: u64) -> u32;
    /// Where it is counted how many slots of `set` hold a packet whose home is another slot.
    fn spills(self, set: u32) -> Self::Spills;
    /// How many there are now.
    fn spilled_at(self, spills: Self::Spills) -> u32;
    /// The same, for who asks once.
    #[inline(always)]
    fn spilled(self, set: u32) -> u32 {
        self.spilled_at(self.spills(set))
    }
    /// Adds to that number (wrapping); a full barrier.
    fn add_spilled(self, set: u32, change: u32);
    /// How long a packet may stay away before its slot can be taken, in nanoseconds.
    fn timeout_ns(self) -> u64;
    /// How long a packet may stay away that the kernel is known to have freed, in nanoseconds.
    #[inline(always)]
    fn settled_ns(self) -> u64 {
        SETTLED_NS
    }
    /// How long a packet that has ended is remembered if no other one needs the slot, in nanoseconds.
    #[inline(always)]
    fn done_ns(self) -> u64 {
        self.timeout_ns()
    }
    /// A packet that ended no longer ago than this may wait in a queue behind its last hook; in nanoseconds.
    #[inline(always)]
    fn waiting_ns(self) -> u64 {
        0
    }
    /// What is kept at a place, below [`super::DISPLACED`], of packets whose slots others needed.
    #[inline(always)]
    fn displaced(self, _place: u32) -> Displaced {
        Displaced(0)
    }
    /// Keeps one there.
    #[inline(always)]
    fn set_displaced(self, _place: u32, _packet: Displaced) {}
    /// Takes it away if it still is there.
    #[inline(always)]
    fn take_displaced(self, _place: u32, _packet: Displaced) -> bool {
        false
    }
    /// The same value, but unknown to the eBPF verifier (see [`crate::packet::Reader::opaque`]).
    #[inline(always)]
    fn opaque(self, value: u32) -> u32 {
        value
    }
}

/// The slot at `index`, which held `key`, is free again: tells the others if it was not at its home.
#[inline(always)]
pub(super) fn left<T: Table>(table: T, key: u64, index: u32) {
    if table.home(key) != index {
        table.add_spilled(set_of(index), u32::MAX);
    }
}
