//! What a visit did.

use super::{Control, Gone, gone::GivenUp};

/// What a visit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not in the table, and not to be added.
    Missing,
    /// A new packet: it got a slot.
    New,
    /// Came from another hook.
    Passed,
    /// Entered beside a live packet of the same identity, or came from another hook as one of several such packets: it is
    /// counted, and not timed.
    Grouped,
    /// A further copy of a packet that passed here already.
    Copy,
    /// Seen here after a later hook had seen it.
    Overtaken,
    /// Its first copy beside the path.
    Aside,
    /// No slot, or another CPU kept it busy.
    Untracked,
    /// It is one for [`super::deferred`], because of the packet in the slot at [`Outcome::index`].
    Deferred,
    /// The slot changed meanwhile: look again. [`super::quickly`]: not as simple as that.
    Retry,
}

impl Kind {
    /// The kind of a number that was one.
    #[inline(always)]
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Missing,
            1 => Self::New,
            2 => Self::Passed,
            3 => Self::Grouped,
            4 => Self::Copy,
            5 => Self::Overtaken,
            6 => Self::Aside,
            7 => Self::Untracked,
            8 => Self::Deferred,
            _ => Self::Retry,
        }
    }
}

/// What a visit did, with its figures. One flat record, every field always set: the compiler must not leave any of it
/// undefined, because the eBPF verifier would see that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What it did.
    pub kind: Kind,
    /// [`Kind::Passed`], [`Kind::Aside`]: the hook before. [`Kind::Grouped`]: likewise, or [`Outcome::NO_HOOK`] when it entered here.
    /// [`Kind::Overtaken`]: the later hook that saw the packet first, or [`Outcome::NO_HOOK`] when nothing is to be put right.
    pub hook: u8,
    /// [`Kind::Overtaken`]: the hook that the slot has before that one, or [`Outcome::NO_HOOK`].
    pub before: u8,
    /// [`Kind::New`]: what became of the packet that had the slot before. [`Kind::Passed`]: whether it was counted as dropped.
    pub gone: Gone,
    /// [`Kind::New`], [`Kind::Passed`], [`Kind::Deferred`]: the slot.
    pub index: u32,
    /// [`Kind::Passed`], [`Kind::Overtaken`], [`Kind::Aside`], [`Kind::Grouped`]: the slot's control word as published.
    pub control: Control,
    /// [`Kind::Passed`], [`Kind::Aside`]: nanoseconds since the hook before, or [`Outcome::SKEWED`]; nothing where [`Control::untimed`].
    /// [`Kind::Overtaken`]: what was recorded between `before` and `hook`. Else: when the packet that is gone was seen last.
    pub latency_ns: u64,
    /// [`Kind::Passed`]: nanoseconds since the first hook. Else: the identity of the packet that is gone.
    pub total_ns: u64,
    /// [`Kind::Passed`]: whether the packet became larger than a frame since the hook before.
    pub grown: bool,
    /// [`Kind::Grouped`]: whether the other packet is in a group from here on, too.
    pub begins: bool,
    /// [`Kind::Grouped`]: whether the packet's way ends here.
    pub ends: bool,
}

impl Outcome {
    /// No latency: the clocks contradict each other.
    pub const SKEWED: u64 = u64::MAX;
    /// No hook.
    pub const NO_HOOK: u8 = u8::MAX;

    /// Nothing but what kind it is.
    #[inline(always)]
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self {
            kind,
            hook: 0,
            before: 0,
            gone: Gone::NONE,
            index: 0,
            control: Control(0),
            latency_ns: 0,
            total_ns: 0,
            grown: false,
            begins: false,
            ends: false,
        }
    }

    #[inline(always)]
    pub(super) const fn new(index: u32, before: GivenUp) -> Self {
        Self {
            index,
            gone: before.gone,
            latency_ns: before.seen_ns,
            total_ns: before.key,
            ..Self::of(Kind::New)
        }
    }

    #[inline(always)]
    pub(super) const fn retry() -> Self {
        Self::of(Kind::Retry)
    }
}
