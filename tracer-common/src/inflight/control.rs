//! The control word of a slot.

use super::Clock;

/// Who owns a slot and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Free.
    Free,
    /// Being written; the writer publishes it in a few instructions.
    Busy,
    /// A packet on its way.
    Live,
    /// A packet that passed its terminal hook: the first to be reused.
    Done,
    /// Packets with one identity, more than one of them on their way at some time: counted by hook, not told apart.
    Group,
}

/// Bits: 0..3 state · 3 joined · 4 direction · 5 crossed · 6 overtaken · 7 elsewhere ·
/// 8..12 count · 12..16 last hook · 16..32 hooks passed · 32 large · 33 upcalled · 34 slow · 35 dead · 36 astray ·
/// 37 flooded · 38 untimed · 39..64 generation. In state `Group` bits 8..16 change with each change of the group, and the hooks are those behind which
/// its packets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control(pub u64);

const STATE: u64 = 0b111;
const JOINED: u64 = 1 << 3;
const DIRECTION: u64 = 1 << 4;
const CROSSED: u64 = 1 << 5;
const OVERTAKEN: u64 = 1 << 6;
const ELSEWHERE: u64 = 1 << 7;
const COUNT_SHIFT: u32 = 8;
const COUNT: u64 = 0xf << COUNT_SHIFT;
const LAST_SHIFT: u32 = 12;
const LAST: u64 = 0xf << LAST_SHIFT;
const MASK_SHIFT: u32 = 16;
const LARGE: u64 = 1 << 32;
const UPCALLED: u64 = 1 << 33;
const SLOW: u64 = 1 << 34;
const DEAD: u64 = 1 << 35;
const ASTRAY: u64 = 1 << 36;
const FLOODED: u64 = 1 << 37;
const UNTIMED: u64 = 1 << 38;
const TURN: u64 = COUNT | LAST;
const TURN_ONE: u64 = 1 << COUNT_SHIFT;
const GENERATION_SHIFT: u32 = Control::GENERATION_SHIFT;
const GENERATION: u64 = u64::MAX << GENERATION_SHIFT;

const FREE: u64 = 0;
const BUSY: u64 = 1;
const LIVE: u64 = 2;
const DONE: u64 = 3;
const GROUP: u64 = 4;

/// What the control word of a packet must look like that a hook sees in its turn: computed from what the hook is, before there is a word to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InTurn {
    mask: u64,
    word: u64,
}

impl InTurn {
    /// A packet on its way, seen in `direction` only and by each hook in its turn, that `hook`, before the hooks `later`, has not seen, and that
    /// did not come there by user space. If it is `large` now, it was before: else others may have been merged into it.
    #[inline(always)]
    #[must_use]
    pub const fn at(hook: u8, direction: u8, later: u16, large: bool) -> Self {
        let not_yet = (later as u64 | (1 << (hook & 0xf))) << MASK_SHIFT;
        let direction = if direction == 0 { 0 } else { DIRECTION };
        let large = if large { LARGE } else { 0 };
        Self {
            mask: STATE | DIRECTION | CROSSED | OVERTAKEN | UPCALLED | not_yet | large,
            word: LIVE | direction | large,
        }
    }

    #[inline(always)]
    pub(super) const fn is(self, control: Control) -> bool {
        control.0 & self.mask == self.word
    }
}

impl Control {
    /// The bits that say which path through a switch the packet took.
    pub const PATH_BITS: u64 = UPCALLED | SLOW;
    /// Where the generation begins; it goes on to the word's end.
    pub const GENERATION_SHIFT: u32 = 39;

    /// The word of a packet seen at its first hook, generation 0.
    #[inline(always)]
    #[must_use]
    pub const fn first(hook: u8, direction: u8, joined: bool, terminal: bool) -> Self {
        let state = if terminal { DONE } else { LIVE };
        let joined = if joined { JOINED } else { 0 };
        let direction = if direction == 0 { 0 } else { DIRECTION };
        Self(state | joined | direction | (1 << COUNT_SHIFT)).with_last(hook).with_passed(hook)
    }

    /// The slot's state.
    #[inline(always)]
    #[must_use]
    pub const fn state(self) -> State {
        match self.0 & STATE {
            BUSY => State::Busy,
            LIVE => State::Live,
            DONE => State::Done,
            GROUP => State::Group,
            _ => State::Free,
        }
    }

    /// Whether the packet was first seen at a hook that is not the first of its direction.
    #[inline(always)]
    #[must_use]
    pub const fn joined(self) -> bool {
        self.0 & JOINED != 0
    }

    /// The direction of the hook that saw the packet first: 0 egress, 1 ingress.
    #[inline(always)]
    #[must_use]
    pub const fn direction(self) -> u8 {
        if self.0 & DIRECTION == 0 { 0 } else { 1 }
    }

    /// Whether the packet passed a hook of the other direction.
    #[inline(always)]
    #[must_use]
    pub const fn crossed(self) -> bool {
        self.0 & CROSSED != 0
    }

    /// Whether a hook saw the packet after a later one had seen it: the times in the slot are not those of all hooks.
    #[inline(always)]
    #[must_use]
    pub const fn overtaken(self) -> bool {
        self.0 & OVERTAKEN != 0
    }

    /// Whether the first hook saw a packet larger than the wire carries: what comes next may be pieces of it.
    #[inline(always)]
    #[must_use]
    pub const fn large(self) -> bool {
        self.0 & LARGE != 0
    }

    /// Whether the switch gave the packet to user space since the last hook saw it.
    #[inline(always)]
    #[must_use]
    pub const fn upcalled(self) -> bool {
        self.0 & UPCALLED != 0
    }

    /// Whether the packet came by user space from one hook to another.
    #[inline(always)]
    #[must_use]
    pub const fn slow(self) -> bool {
        self.0 & SLOW != 0
    }

    /// Whether a copy of the packet was seen leaving the host's switch by a port beside the path.
    #[inline(always)]
    #[must_use]
    pub const fn elsewhere(self) -> bool {
        self.0 & ELSEWHERE != 0
    }

    /// Whether the packet was seen leaving the switch by a wrong port.
    #[inline(always)]
    #[must_use]
    pub const fn astray(self) -> bool {
        self.0 & ASTRAY != 0
    }

    /// Whether copies of the packet were seen beside the path because the switch floods it.
    #[inline(always)]
    #[must_use]
    pub const fn flooded(self) -> bool {
        self.0 & FLOODED != 0
    }

    /// Whether some hook has not taken the exact time: then no latency of the packet is known.
    #[inline(always)]
    #[must_use]
    pub const fn untimed(self) -> bool {
        self.0 & UNTIMED != 0
    }

    /// Whether this is a done packet that did not reach its end: it was dropped, and that is counted. A hook that sees it all
    /// the same takes that back.
    #[inline(always)]
    #[must_use]
    pub const fn dead(self) -> bool {
        self.0 & DEAD != 0
    }

    /// How many hooks the packet passed; at most [`super::DELTAS`].
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "four bits")]
    pub const fn count(self) -> u32 {
        ((self.0 & COUNT) >> COUNT_SHIFT) as u32
    }

    /// The hook that saw the packet last.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "four bits")]
    pub const fn last(self) -> u8 {
        ((self.0 & LAST) >> LAST_SHIFT) as u8
    }

    /// The hooks the packet passed, a bit each. In state `Group`: those that some of its packets passed last.
    #[inline(always)]
    #[must_use]
    pub const fn passed(self) -> u16 {
        ((self.0 >> MASK_SHIFT) & 0xffff) as u16
    }

    /// The low bits of the generation.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "25 bits")]
    pub(super) const fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    /// Marks `hook` as passed.
    #[inline(always)]
    #[must_use]
    pub const fn with_passed(self, hook: u8) -> Self {
        Self(self.0 | (1 << (MASK_SHIFT + (hook & 0xf) as u32)))
    }

    /// The word of that packet behind `hook`, the number of hooks it passed being below [`super::DELTAS`].
    #[inline(always)]
    pub(super) const fn passed_on(self, hook: u8, terminal: bool) -> Self {
        let on = Self(self.0.wrapping_add(1 << COUNT_SHIFT)).with_last(hook).with_passed(hook);
        if terminal { on.done() } else { on }
    }

    #[inline(always)]
    pub(super) const fn with_last(self, hook: u8) -> Self {
        Self((self.0 & !LAST) | (((hook & 0xf) as u64) << LAST_SHIFT))
    }

    #[inline(always)]
    pub(super) const fn with_count(self, count: u32) -> Self {
        Self((self.0 & !COUNT) | (((count & 0xf) as u64) << COUNT_SHIFT))
    }

    #[inline(always)]
    pub(super) const fn with_crossed(self) -> Self {
        Self(self.0 | CROSSED)
    }

    #[inline(always)]
    pub(super) const fn with_overtaken(self) -> Self {
        Self(self.0 | OVERTAKEN)
    }

    #[inline(always)]
    pub(super) const fn with_large(self, large: bool) -> Self {
        Self(if large { self.0 | LARGE } else { self.0 })
    }

    #[inline(always)]
    pub(super) const fn with_upcalled(self) -> Self {
        Self(self.0 | UPCALLED)
    }

    /// A hook has seen the packet again: how it came there is remembered.
    #[inline(always)]
    #[must_use]
    pub const fn back_from_upcall(self) -> Self {
        if self.upcalled() { Self((self.0 & !UPCALLED) | SLOW) } else { self }
    }

    #[inline(always)]
    pub(super) const fn with_elsewhere(self) -> Self {
        Self(self.0 | ELSEWHERE)
    }

    #[inline(always)]
    pub(super) const fn with_astray(self) -> Self {
        Self(self.0 | ASTRAY)
    }

    #[inline(always)]
    pub(super) const fn with_flooded(self) -> Self {
        Self(self.0 | FLOODED)
    }

    /// Marks the packet as one whose times are not known, if the clock at this hook says so.
    #[inline(always)]
    pub(super) const fn timed_by(self, clock: Clock) -> Self {
        Self(if matches!(clock, Clock::Coarse) { self.0 | UNTIMED } else { self.0 })
    }

    #[inline(always)]
    pub(super) const fn without_joined(self) -> Self {
        Self(self.0 & !JOINED)
    }

    #[inline(always)]
    const fn with_state(self, state: u64) -> Self {
        Self((self.0 & !STATE) | state)
    }

    #[inline(always)]
    pub(super) const fn busy(self) -> Self {
        self.with_state(BUSY)
    }

    #[inline(always)]
    pub(super) const fn done(self) -> Self {
        self.with_state(DONE)
    }

    /// A dropped packet whose drop is counted.
    #[inline(always)]
    pub(super) const fn died(self) -> Self {
        Self(self.0 | DEAD).with_state(DONE)
    }

    /// A dropped packet that goes on all the same.
    #[inline(always)]
    pub(super) const fn revived(self) -> Self {
        Self(self.0 & !DEAD).with_state(LIVE)
    }

    /// A group of packets, the hooks that they passed last being `hooks`, a bit each.
    #[inline(always)]
    pub(super) const fn group(self, hooks: u16) -> Self {
        let kept =
            (self.0 & (DIRECTION | UNTIMED | GENERATION)) | (self.0 & TURN).wrapping_add(TURN_ONE) & TURN;
        Self(kept | GROUP | (hooks as u64) << MASK_SHIFT)
    }

    /// The last packet of a group, which ended at `hook`. What comes late at an earlier hook puts nothing right.
    #[inline(always)]
    pub(super) const fn last_of_group(self, hook: u8) -> Self {
        let kept = self.0 & (DIRECTION | UNTIMED | GENERATION);
        Self(kept | DONE | OVERTAKEN | (1 << COUNT_SHIFT)).with_last(hook).with_passed(hook)
    }

    /// Free again; the generation stays, so that an old value cannot come back.
    #[inline(always)]
    pub(super) const fn free(self) -> Self {
        Self((self.0 & GENERATION) | FREE)
    }

    /// This word with the generation behind that of `old`.
    #[inline(always)]
    pub(super) const fn generation_after(self, old: Self) -> Self {
        Self((self.0 & !GENERATION) | (old.0 & GENERATION).wrapping_add(1 << GENERATION_SHIFT))
    }
}
