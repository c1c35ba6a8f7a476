//! The kernel frees a packet without delivering it.
//!
//! That may be the packet's end, or that of a copy while the packet lives: bridges flood, ports are mirrored, and next to
//! a userspace datapath the host drops its own copy of every frame. So a mark on a live packet is provisional. It names the
//! hooks passed so far, and the next hook that sees the packet makes it void without having to look at it.
//!
//! The mark is a word of its own beside the control word, and is set without owning the slot: the drop program may be
//! interrupted at any instruction by a hook's program on the same CPU, which must not find the slot `BUSY`. The generation in the mark is
//! what keeps it from the next packet in the slot.

use super::{Control, Mark, SlotCell, State, Table, WAYS, home_of, set_of, visit::base_of};

/// A packet in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracked {
    /// Its slot.
    pub index: u32,
    /// The slot's control word: live or done.
    pub control: Control,
}

/// Where a packet freed at an interface may have ended. The hooks, a bit each, are those that saw the packet last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Hooks behind which a live packet comes to this interface.
    pub live_after: u16,
    /// Last hooks of a direction behind which it still is at this interface.
    pub done_after: u16,
}

impl Reach {
    /// Whether the packet of `control` can end at this interface. If not, what was freed there is a copy.
    #[inline(always)]
    #[must_use]
    pub const fn covers(&self, control: Control) -> bool {
        let hooks = if matches!(control.state(), State::Done) { self.done_after } else { self.live_after };
        hooks & (1 << (control.last() & 0xf)) != 0
    }
}

/// What a mark did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// The packet is lost to this cause, unless a hook sees it again.
    Provisional,
    /// The packet had passed its last hook and counted as completed: it is dropped. Said once for each packet.
    Dropped,
    /// A copy: the packet went on meanwhile, or was dropped already.
    Copy,
}

/// Looks for the packet with this identity; ambiguous ones are left out.
#[inline(always)]
pub fn find<T: Table>(table: T, key: u64) -> Option<Tracked> {
    let mask = table.set_mask();
    let home = home_of(key, mask);
    if let Some(control) = holds(table, home, key) {
        return Some(Tracked { index: home, control });
    }
    if table.spilled(set_of(key, mask)) == 0 {
        return None;
    }
    let base = base_of(key, mask);
    let mut way = 0;
    while way < WAYS {
        let index = table.opaque(base + way);
        way += 1;
        if let Some(control) = holds(table, index, key) {
            return Some(Tracked { index, control });
        }
    }
    None
}

/// The control word of the slot at `index` if a live or done packet with this identity is in it.
#[inline(always)]
fn holds<T: Table>(table: T, index: u32, key: u64) -> Option<Control> {
    let slot = table.slot(index)?;
    // Before the key: a slot that changes in between has another generation, and the mark is void.
    let control = slot.control();
    (matches!(control.state(), State::Live | State::Done) && slot.key() == key).then_some(control)
}

/// Tries before a mark is given up: another CPU frees copies of the same packet.
const ATTEMPTS: u32 = 3;

/// Marks a packet that [`find`] found. Of several marks the last one stays: it is that of the last living copy.
#[inline(always)]
pub fn mark<S: SlotCell>(slot: S, control: Control, site: u32) -> Marked {
    let new = Mark::new(site, control);
    let done = matches!(control.state(), State::Done);
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        attempt += 1;
        let old = slot.mark();
        if done && old.site(control).is_some() {
            return Marked::Copy;
        }
        if slot.exchange_mark(old, new) {
            return if done { Marked::Dropped } else { Marked::Provisional };
        }
    }
    Marked::Copy
}
