//! Packets that look the same and are on their way at the same time.
//!
//! Nothing tells them apart, so none of them is timed from then on. But they can be counted: how many of them passed each hook
//! last, and with every sight one of them goes on from the nearest hook before. So each of them is counted as entered, passed,
//! completed, dropped or lost as any other packet is, and which of them it was does not matter.
//!
//! A group keeps those counts where a packet has its times: sixteen bits for each hook, two hooks a word. It ends when its last
//! packet has left.

use core::hint::black_box;

use super::{Control, Hook, Kind, Outcome, SlotCell, State, Table, Visit, slot::DELTAS, table::left};

/// Packets of one group behind one hook at most; further ones find no room.
const MOST: u32 = 0xffff;

/// How many packets of the group passed `hook` last. Of a slot that is `BUSY` and ours, or to be compared with later.
#[inline(always)]
pub(super) fn behind<S: SlotCell>(slot: S, hook: u8) -> u32 {
    (slot.delta_ns(word_of(hook)) >> shift_of(hook)) & MOST
}

#[inline(always)]
const fn word_of(hook: u8) -> u32 {
    (hook as u32 >> 1) & (DELTAS - 1)
}

#[inline(always)]
const fn shift_of(hook: u8) -> u32 {
    (hook as u32 & 1) * 16
}

#[inline(always)]
fn set_behind<S: SlotCell>(slot: S, hook: u8, count: u32) {
    let word = slot.delta_ns(word_of(hook)) & !(MOST << shift_of(hook));
    slot.set_delta_ns(word_of(hook), word | (count << shift_of(hook)));
}

#[inline(always)]
const fn bit(hook: u8) -> u16 {
    1 << (hook & 0xf)
}

/// One more behind `hook`, and the hooks that have any.
#[inline(always)]
fn come<S: SlotCell>(slot: S, hooks: u16, hook: u8) -> u16 {
    set_behind(slot, hook, behind(slot, hook).wrapping_add(1));
    hooks | bit(hook)
}

/// One less behind `hook`, and the hooks that have any left.
#[inline(always)]
fn go<S: SlotCell>(slot: S, hooks: u16, hook: u8) -> u16 {
    let count = behind(slot, hook).wrapping_sub(1);
    set_behind(slot, hook, count);
    if count == 0 { hooks & !bit(hook) } else { hooks }
}

/// The last of `hooks`, a bit each; [`Outcome::NO_HOOK`] where there are none.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "below 16")]
pub(super) fn last_of(hooks: u16) -> u8 {
    // Without a branch for each, all of which the eBPF verifier would follow.
    // And the mask is for the verifier, which knows less of the number than the compiler would.
    if hooks == 0 { Outcome::NO_HOOK } else { (black_box(u16::BITS - 1 - hooks.leading_zeros()) & 0xf) as u8 }
}

/// The hook that a packet comes from which `hook` sees: of those that have any, `hooks`, the nearest before it. Hooks are
/// numbered in the order in which packets of their direction pass them.
#[inline(always)]
fn before(hooks: u16, hook: &Hook) -> u8 {
    let there = hooks & !hook.later & !bit(hook.id);
    let near = last_of(there & (bit(hook.id) - 1));
    if near == Outcome::NO_HOOK { last_of(there) } else { near }
}

/// A second packet with this identity enters while the first, whose control word is `control`, is on its way. It is followed also
/// where nothing is admitted any more: its further sights would be taken for the first one's.
#[inline(always)]
pub(super) fn begin<S: SlotCell>(slot: S, control: Control, visit: &Visit) -> Outcome {
    if !visit.admit && !visit.hook.entry {
        return Outcome::of(Kind::Missing);
    }
    if !slot.exchange(control, control.busy()) {
        return Outcome::retry();
    }
    let mut word = 0;
    while word < DELTAS {
        slot.set_delta_ns(word, 0);
        word += 1;
    }
    let hooks = come(slot, come(slot, 0, control.last()), visit.hook.id);
    slot.set_first_ns(visit.now_ns);
    slot.set_hooks(0);
    let group = control.timed_by(visit.clock).group(hooks);
    slot.publish(group);
    Outcome { control: group, begins: true, ..grouped(Outcome::NO_HOOK) }
}

#[inline(always)]
const fn grouped(from: u8) -> Outcome {
    Outcome { hook: from, ..Outcome::of(Kind::Grouped) }
}

/// A packet of a group is seen: one goes on from the hook before, or one more enters.
#[inline(always)]
pub(super) fn seen<S: SlotCell>(slot: S, control: Control, visit: &Visit) -> Outcome {
    let hook = &visit.hook;
    let from = if hook.entry { Outcome::NO_HOOK } else { before(control.passed(), hook) };
    if from == Outcome::NO_HOOK && !hook.entry {
        return if slot.control() == control { Outcome::of(Kind::Copy) } else { Outcome::retry() };
    }
    if !slot.exchange(control, control.busy()) {
        return Outcome::retry();
    }
    let mut hooks = control.passed();
    if !hook.terminal {
        if behind(slot, hook.id) == MOST {
            slot.publish(control);
            return Outcome::of(Kind::Untracked);
        }
        hooks = come(slot, hooks, hook.id);
    }
    if from != Outcome::NO_HOOK {
        hooks = go(slot, hooks, from);
    }
    slot.set_first_ns(visit.now_ns);
    let control = control.timed_by(visit.clock);
    let after = if hooks == 0 {
        slot.set_delta_ns(0, 0);
        slot.set_hooks(u32::from(hook.id));
        control.last_of_group(hook.id)
    } else {
        control.group(hooks)
    };
    slot.publish(after);
    Outcome { control: after, ends: hook.terminal, ..grouped(from) }
}

/// Tries before a free is given up: hooks change the group, too.
const ATTEMPTS: u32 = 3;

/// One of the packets of the group in the slot at `index`, whose control word was `control`, was freed behind one of the hooks
/// `after`, a bit each. Gives that hook; [`Outcome::NO_HOOK`]: there are none behind those; `None`: the group changed too often
/// meanwhile, or has ended.
#[inline(always)]
pub(super) fn freed<T: Table>(table: T, index: u32, control: Control, after: u16) -> Option<u8> {
    let slot = table.slot(index)?;
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        attempt += 1;
        let now = slot.control();
        if now.state() != State::Group || now.generation() != control.generation() {
            return None;
        }
        let hook = last_of(now.passed() & after);
        if hook == Outcome::NO_HOOK {
            return Some(hook);
        }
        if !slot.exchange(now, now.busy()) {
            continue;
        }
        let hooks = go(slot, now.passed(), hook);
        if hooks == 0 {
            let key = slot.key();
            slot.publish(now.free());
            left(table, key, index);
        } else {
            slot.publish(now.group(hooks));
        }
        return Some(hook);
    }
    None
}
