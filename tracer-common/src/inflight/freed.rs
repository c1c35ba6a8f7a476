//! The kernel frees a packet without delivering it.
//!
//! That may be the packet's end, or that of a copy while the packet lives: bridges flood, ports are mirrored, and next to
//! a userspace datapath the host drops its own copy of every frame. So a mark on a live packet is provisional. It names the
//! hooks passed so far, and the next hook that sees the packet makes it void without having to look at it.
//!
//! The mark is a word of its own beside the control word, and is set without owning the slot: the drop program may be
//! interrupted at any instruction by a hook's program on the same CPU, which must not find the slot `BUSY`. The generation in the mark is
//! what keeps it from the next packet in the slot.

use super::{
    Control, Mark, Outcome, SlotCell, State, Table, WAYS, displaced, group, place, set_of, slot::base_of,
};

/// A packet in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracked {
    /// Its slot; [`place::NONE`]: another packet has it now.
    pub index: u32,
    /// The slot's control word: live, done, or of a group.
    pub control: Control,
    /// Its identity.
    pub key: u64,
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
        let last = 1 << (control.last() & 0xf);
        match control.state() {
            State::Done if !control.dead() => self.done_after & last != 0,
            // Of a group some have passed their last hook already.
            State::Group => control.passed() & self.live_after != 0 || self.done_after != 0,
            _ => self.live_after & last != 0,
        }
    }
}

/// What a mark did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// The packet is lost to this cause, unless a hook sees it again.
    Provisional,
    /// The packet had passed this hook as its last one, and counted as completed: it is dropped. Said once for each packet.
    Dropped(u8),
    /// One of several packets that look the same: dropped behind this hook.
    DroppedOfGroup(u8),
    /// A copy: the packet went on meanwhile, or was dropped already.
    Copy,
}

/// Looks for the packet with this identity.
#[inline(always)]
pub fn find<T: Table>(table: T, key: u64) -> Option<Tracked> {
    let home = table.home(key);
    if let Some(control) = holds(table, home, key) {
        return Some(Tracked { index: home, control, key });
    }
    if table.spilled(set_of(home)) == 0 {
        return without_slot(table, key);
    }
    let base = base_of(home);
    let mut way = 0;
    while way < WAYS {
        let index = table.opaque(base + way);
        way += 1;
        if let Some(control) = holds(table, index, key) {
            return Some(Tracked { index, control, key });
        }
    }
    without_slot(table, key)
}

/// A packet that has ended, and whose slot another one has.
#[inline(always)]
fn without_slot<T: Table>(table: T, key: u64) -> Option<Tracked> {
    displaced::kept(table, key).map(|control| Tracked { index: place::NONE, control, key })
}

/// The control word of the slot at `index` if a packet with this identity is in it.
#[inline(always)]
fn holds<T: Table>(table: T, index: u32, key: u64) -> Option<Control> {
    let slot = table.slot(index)?;
    // Before the key: a slot that changes in between has another generation, and the mark is void.
    let control = slot.control();
    (matches!(control.state(), State::Live | State::Done | State::Group) && slot.key() == key)
        .then_some(control)
}

/// Tries before a mark is given up: another CPU frees copies of the same packet.
const ATTEMPTS: u32 = 3;

/// Marks a packet that [`find`] found, freed at an interface with this `reach`. Of several marks the last one stays: it is that of
/// the last living copy.
#[inline(always)]
pub fn mark<T: Table>(table: T, tracked: Tracked, reach: Reach, site: u32) -> Marked {
    let control = tracked.control;
    if !reach.covers(control) {
        return Marked::Copy;
    }
    if tracked.index == place::NONE {
        let is_it = displaced::take(table, control, tracked.key);
        return if is_it { Marked::Dropped(control.last()) } else { Marked::Copy };
    }
    let Some(slot) = table.slot(tracked.index) else { return Marked::Copy };
    if control.state() == State::Group {
        return of_group(table, tracked, reach);
    }
    let done = control.state() == State::Done;
    if control.dead() {
        return Marked::Copy;
    }
    let new = Mark::new(site, control);
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        attempt += 1;
        let old = slot.mark();
        if done && old.site(control).is_some() {
            return Marked::Copy;
        }
        if slot.exchange_mark(old, new) {
            return if done { Marked::Dropped(control.last()) } else { Marked::Provisional };
        }
    }
    Marked::Copy
}

/// One packet of a group is freed: the one that came farthest of those that can be here. Where none can, one that has passed its
/// last hook.
#[inline(always)]
fn of_group<T: Table>(table: T, tracked: Tracked, reach: Reach) -> Marked {
    match group::freed(table, tracked.index, tracked.control, reach.live_after) {
        Some(Outcome::NO_HOOK) => match group::last_of(reach.done_after) {
            Outcome::NO_HOOK => Marked::Copy,
            hook => Marked::Dropped(hook),
        },
        Some(hook) => Marked::DroppedOfGroup(hook),
        None => Marked::Copy,
    }
}
