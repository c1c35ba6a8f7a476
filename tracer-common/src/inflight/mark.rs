//! The mark that the drop program leaves on a packet's slot.

use super::{Control, State};

/// Drop sites that a mark can name.
pub const MAX_SITES: u32 = 1_024;

/// Where the kernel freed a copy of the packet, as far as that may have been its end. Bits: 0..11 number of the drop
/// site + 1 · 11..14 hooks passed less one · 14 done · 15..32 generation. The upper bits are those of the control word that
/// the mark was meant for: it says nothing about a packet that went on, nor about the next one in the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u32);

const SITE: u32 = (1 << 11) - 1;
const COUNT_SHIFT: u32 = 11;
const DONE: u32 = 1 << 14;
const GENERATION_SHIFT: u32 = 15;
const _: () = assert!(MAX_SITES <= SITE);

impl Mark {
    /// No mark.
    pub const NONE: Self = Self(0);

    /// The mark of drop site number `site`, below [`MAX_SITES`], for the packet of `control` as far as it has come.
    #[inline(always)]
    #[must_use]
    pub const fn new(site: u32, control: Control) -> Self {
        Self(((site + 1) & SITE) | Self::upper(control))
    }

    /// The drop site, if the mark was meant for the packet of `control` and that packet was not seen since.
    #[inline(always)]
    #[must_use]
    pub const fn site(self, control: Control) -> Option<u32> {
        let number = self.0 & SITE;
        if number == 0 || self.0 & !SITE != Self::upper(control) { None } else { Some(number - 1) }
    }

    #[inline(always)]
    const fn upper(control: Control) -> u32 {
        let count = (control.count().wrapping_sub(1) & 7) << COUNT_SHIFT;
        let done = if matches!(control.state(), State::Done) && !control.dead() { DONE } else { 0 };
        count | done | (control.generation() << GENERATION_SHIFT)
    }
}
