//! One packet at one hook.

use super::{
    Control, Gone, Pass, Table, WAYS, found, found::deferred, gone::GivenUp, place, place::Look, quickly,
    slot::SlotCell as _,
};

/// What the rules need to know about the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// Its number, below 16.
    pub id: u8,
    /// The direction it sees: 0 egress, 1 ingress.
    pub direction: u8,
    /// Whether a packet of that direction passes it first.
    pub entry: bool,
    /// Whether a packet of that direction passes it last.
    pub terminal: bool,
    /// The hooks behind it in that direction, a bit each.
    pub later: u16,
    /// The hooks beside the path that packets may leave by after it, a bit each.
    pub beside: u16,
}

/// What a hook beside the path sees: a port of the switch that the path leads through, but not along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// The hook is on the path; or the packet is for whom that port belongs to, so its way ends here.
    No,
    /// A packet for somebody else: flooded, mirrored, or forwarded on. Another one may still go on along the path.
    Copy,
    /// A copy of a broadcast, which must go on along the path, too; or one that a mirror made.
    Broadcast,
    /// A packet for one address, at the port of another one. It may still go on to whom it is for.
    Astray,
    /// The same where the switch floods: it knew no better.
    Flooded,
}

/// A packet at a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The hook.
    pub hook: Hook,
    /// The packet's identity.
    pub key: u64,
    /// The time there, in nanoseconds of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// Whether a packet without a slot shall get one.
    pub admit: bool,
    /// What the sight means where the hook is beside the path.
    pub aside: Aside,
    /// Whether the packet may be cut into pieces on its way.
    pub large: bool,
}

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
    /// It is one for [`deferred`], because of the packet in the slot at [`Outcome::index`].
    Deferred,
    /// The slot changed meanwhile: look again. [`quickly`]: not as simple as that.
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
    /// [`Kind::Passed`], [`Kind::Aside`]: nanoseconds since the hook before, or [`Outcome::SKEWED`].
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

    /// What `pass` does with the slot at `index`.
    #[inline(always)]
    #[must_use]
    pub const fn passed(index: u32, pass: &Pass) -> Self {
        Self {
            hook: pass.from(),
            index,
            control: pass.after,
            latency_ns: pass.latency_ns as u64,
            total_ns: pass.total_ns() as u64,
            ..Self::of(Kind::Passed)
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

/// Looks before a visit gives up. Whoever keeps a slot busy needs a few instructions, unless it was interrupted.
pub const ATTEMPTS: u32 = 32;

/// Applies the rules of the table to one packet at one hook.
#[inline(always)]
pub fn visit<T: Table>(table: T, visit: &Visit) -> Outcome {
    let outcome = quickly(table, visit);
    if matches!(outcome.kind, Kind::Retry) { thoroughly(table, visit) } else { outcome }
}

/// The whole set of rules, wherever the packet is.
#[inline(always)]
pub fn thoroughly<T: Table>(table: T, visit: &Visit) -> Outcome {
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        attempt += 1;
        let mut outcome = attempt_once(table, visit);
        if matches!(outcome.kind, Kind::Deferred) {
            outcome = deferred(table, outcome.index, visit);
        }
        if !matches!(outcome.kind, Kind::Retry) {
            return outcome;
        }
    }
    Outcome::of(Kind::Untracked)
}

/// One attempt of [`thoroughly`]. [`Kind::Retry`]: the slot was busy, or changed meanwhile. [`Kind::Deferred`]: [`deferred`] goes on.
#[inline(always)]
pub fn attempt_once<T: Table>(table: T, visit: &Visit) -> Outcome {
    let mut look = Look { found: table.look_home(visit.key), vacant: place::NONE };
    if look.found == place::NONE {
        look = table.look(visit.key, visit.now_ns);
    }
    if look.found == place::BUSY {
        Outcome::retry()
    } else if look.found != place::NONE {
        let Some(slot) = table.slot(look.found) else { return Outcome::of(Kind::Untracked) };
        let control = slot.control();
        if slot.key() == visit.key {
            found::step(table, look.found, slot, control, visit)
        } else {
            Outcome::retry()
        }
    } else if !visit.admit {
        Outcome::of(Kind::Missing)
    } else if look.vacant == place::NONE {
        Outcome::of(Kind::Untracked)
    } else {
        place::take(table, look.vacant, visit)
    }
}

/// Index of the first slot of the set that the slot at `index` is in.
#[inline(always)]
pub(super) const fn base_of(index: u32) -> u32 {
    index & !(WAYS - 1)
}
