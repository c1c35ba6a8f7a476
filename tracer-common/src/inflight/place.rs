//! A place for a packet that is not in the table.

use super::{
    Control, Kind, Outcome, SlotCell, State, Table, Visit, WAYS, Withdrawn, home_of, set_of, slot::last_seen_ns, visit::base_of,
};

/// [`find`]: not in the set.
pub(super) const NONE: u32 = u32::MAX;
/// [`find`]: a slot is being written, so nothing can be said.
pub(super) const BUSY: u32 = u32::MAX - 1;

/// The word a packet starts with here.
#[inline(always)]
const fn first_word(visit: &Visit) -> Control {
    let hook = &visit.hook;
    Control::first(hook.id, hook.direction, !hook.entry, hook.terminal)
}

/// Writes a new packet into a slot that is `BUSY` and ours.
#[inline(always)]
fn fill<S: SlotCell>(slot: S, key: u64, now_ns: u64, word: Control) {
    slot.set_key(key);
    slot.set_first_ns(now_ns);
    slot.set_delta_ns(0, 0);
    slot.set_hooks(u32::from(word.last()));
    slot.publish(word);
}

/// Takes over the slot of an earlier packet with the same identity.
#[inline(always)]
pub(super) fn renew<S: SlotCell>(slot: S, index: u32, control: Control, visit: &Visit) -> Outcome {
    if !visit.admit {
        return Outcome::of(Kind::Missing);
    }
    let word = first_word(visit).generation_after(control);
    if !slot.exchange(control, word.busy()) {
        return Outcome::retry();
    }
    fill(slot, visit.key, visit.now_ns, word);
    Outcome::new(index, 0)
}

/// The common case: the home slot is free or done. [`Kind::Retry`]: look again.
#[inline(always)]
pub(super) fn at_home<T: Table>(
    table: T,
    index: u32,
    slot: T::Slot,
    control: Control,
    visit: &Visit,
) -> Outcome {
    if !visit.admit {
        return Outcome::of(Kind::Missing);
    }
    if !matches!(control.state(), State::Free | State::Done) {
        return anywhere(table, visit);
    }
    // No slot of the set is spilled, so the packet that leaves was at its home too.
    let word = first_word(visit).generation_after(control);
    if !slot.exchange(control, word.busy()) {
        return Outcome::retry();
    }
    fill(slot, visit.key, visit.now_ns, word);
    let new = Outcome::new(index, 0);
    if table.spilled(set_of(visit.key, table.set_mask())) == 0 {
        return new;
    }
    settle_twins(table, slot, word, visit.key, new)
}

/// Where `key` is in its set: an index, [`NONE`] or [`BUSY`].
#[inline(never)]
pub(super) fn find<T: Table>(table: T, key: u64) -> u32 {
    let base = base_of(key, table.set_mask());
    let mut way = 0;
    while way < WAYS {
        let Some(slot) = table.slot(base + way) else { return NONE };
        let state = slot.control().state();
        if state == State::Busy {
            return BUSY;
        }
        if state != State::Free && slot.key() == key {
            return base + way;
        }
        way += 1;
    }
    NONE
}

/// A place anywhere in the set, home first. [`Kind::Retry`]: look again.
#[inline(always)]
pub(super) fn anywhere<T: Table>(table: T, visit: &Visit) -> Outcome {
    if !visit.admit {
        return Outcome::of(Kind::Missing);
    }
    let word = first_word(visit);
    let claimed = claim(table, visit.key, visit.now_ns, word.0);
    if claimed == u64::from(NONE) {
        return Outcome::of(Kind::Untracked);
    }
    #[allow(clippy::cast_possible_truncation, reason = "packed by claim")]
    let (index, evicted) = (claimed as u32, (claimed >> 32) as u8);
    let new = Outcome::new(index, evicted);
    let Some(slot) = table.slot(index) else { return new };
    let control = slot.control();
    if slot.key() != visit.key || control.state() != State::Live {
        return new;
    }
    settle_twins(table, slot, control, visit.key, new)
}

/// Claims a slot of the set for `key` and fills it: its index, with 1 + the last hook of a packet that was evicted
/// for it in the upper half; [`NONE`] when every slot is taken.
#[inline(never)]
fn claim<T: Table>(table: T, key: u64, now_ns: u64, word: u64) -> u64 {
    let mask = table.set_mask();
    let base = base_of(key, mask);
    let home = home_of(key, mask);
    let mut probe = 0;
    while probe < WAYS {
        let index = base + ((home + probe) & (WAYS - 1));
        probe += 1;
        let Some(slot) = table.slot(index) else { return u64::from(NONE) };
        let control = slot.control();
        let (free, evicted) = match control.state() {
            State::Free | State::Done => (true, 0),
            State::Live if !control.crossed() => {
                let age_ns = now_ns.wrapping_sub(last_seen_ns(slot, control));
                (age_ns > table.timeout_ns() && age_ns < u64::MAX / 2, control.last() + 1)
            }
            _ => (false, 0),
        };
        if !free {
            continue;
        }
        let word = Control(word).generation_after(control);
        // Told to the others before the slot shows it, so that who misses the slot sees the count.
        if index != home {
            table.add_spilled(set_of(key, mask), 1);
        }
        let old_key = slot.key();
        if slot.exchange(control, word.busy()) {
            if control.state() != State::Free && home_of(old_key, mask) != index {
                table.add_spilled(set_of(old_key, mask), u32::MAX);
            }
            fill(slot, key, now_ns, word);
            return u64::from(index) | (u64::from(evicted) << 32);
        }
        if index != home {
            table.add_spilled(set_of(key, mask), u32::MAX);
        }
    }
    u64::from(NONE)
}

/// The other slots of the set that hold a live `key`: how many, or with `mark` what marking the first of them as
/// ambiguous took back, as [`Withdrawn`] has it.
#[inline(never)]
fn twins<T: Table>(table: T, key: u64, own: u32, mark: bool) -> u32 {
    let base = base_of(key, table.set_mask());
    let mut way = 0;
    let mut seen = 0;
    while way < WAYS {
        let index = base + way;
        way += 1;
        let Some(slot) = table.slot(index) else { break };
        let control = slot.control();
        if index == own || slot.key() != key {
            continue;
        }
        if !mark {
            seen += u32::from(matches!(control.state(), State::Live | State::Ambiguous));
        } else if control.state() == State::Live && slot.exchange(control, control.ambiguous(1)) {
            return u32::from(Withdrawn::of(control).0);
        }
    }
    if mark { 0 } else { seen }
}

/// The packet has its slot. Did another CPU place one with the same identity elsewhere in the set at the same time?
/// Each of the two shows its slot before it looks at the other's, so at least one of them notices; each marks its own
/// before the other's, so every packet is taken back exactly once.
#[inline(always)]
fn settle_twins<T: Table>(table: T, slot: T::Slot, word: Control, key: u64, new: Outcome) -> Outcome {
    if word.state() != State::Live || twins(table, key, new.index, false) == 0 {
        return new;
    }
    if !slot.exchange(word, word.ambiguous(1)) {
        // The other CPU was faster and has taken ours back.
        return new;
    }
    #[allow(clippy::cast_possible_truncation, reason = "at most four")]
    Outcome::ambiguous(Withdrawn(twins(table, key, new.index, true) as u8))
}
