//! What became of the packet that had a slot before.

use super::{Control, SlotCell, slot::last_seen_ns};

/// A packet that had to be given up, or that came back, as one number: bits 0..2 what · 2 its direction · 4..8 its last hook ·
/// 16..32 the drop site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone(u32);

const LOST: u32 = 1;
const DROPPED: u32 = 2;
const REVIVED: u32 = 3;
const WHAT: u32 = 0b11;

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing; there was none.
    None,
    /// It was not seen again in time.
    Lost,
    /// It was freed by the kernel, at this drop site.
    Dropped(u32),
    /// It was counted as dropped at this drop site, and has been seen again.
    Revived(u32),
}

impl Gone {
    /// There was none, or it had ended before.
    pub const NONE: Self = Self(0);

    /// The packet of `control`, whose slot is `slot`: dropped where its mark says so, else lost.
    #[inline(always)]
    pub(super) fn of<S: SlotCell>(slot: S, control: Control) -> Self {
        match slot.mark().site(control) {
            Some(site) => Self::new(DROPPED, control, site),
            None => Self::new(LOST, control, 0),
        }
    }

    /// The dead packet of `control` goes on.
    #[inline(always)]
    pub(super) fn revived<S: SlotCell>(slot: S, control: Control) -> Self {
        match slot.mark().site(control) {
            Some(site) => Self::new(REVIVED, control, site),
            None => Self::NONE,
        }
    }

    #[inline(always)]
    const fn new(what: u32, control: Control, site: u32) -> Self {
        Self(what | (control.direction() as u32) << 2 | (control.last() as u32) << 4 | site << 16)
    }

    /// What happened to it.
    #[inline(always)]
    #[must_use]
    pub const fn fate(self) -> Fate {
        match self.0 & WHAT {
            LOST => Fate::Lost,
            DROPPED => Fate::Dropped(self.0 >> 16),
            REVIVED => Fate::Revived(self.0 >> 16),
            _ => Fate::None,
        }
    }

    /// Whether there is nothing to count.
    #[inline(always)]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The direction it entered in: 0 egress, 1 ingress.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "one bit")]
    pub const fn direction(self) -> u8 {
        (self.0 >> 2 & 1) as u8
    }

    /// The hook that saw it last.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "four bits")]
    pub const fn last(self) -> u8 {
        (self.0 >> 4 & 0xf) as u8
    }

    /// As a number, for [`Gone::from_number`].
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// What [`Gone::number`] gave a number for.
    #[inline(always)]
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// The live packet of `control` in `slot` as it is given up: what became of it, when it was seen last, and its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GivenUp {
    pub(super) gone: Gone,
    pub(super) seen_ns: u64,
    pub(super) key: u64,
}

impl GivenUp {
    pub(super) const NONE: Self = Self { gone: Gone::NONE, seen_ns: 0, key: 0 };

    #[inline(always)]
    pub(super) fn of<S: SlotCell>(slot: S, control: Control) -> Self {
        Self { gone: Gone::of(slot, control), seen_ns: last_seen_ns(slot, control), key: slot.key() }
    }
}
