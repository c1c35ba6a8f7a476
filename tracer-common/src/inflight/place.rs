//! A place for a packet that is not in the table.

use super::{
    Control, Kind, Outcome, SlotCell, State, Table, Visit, WAYS, displaced,
    gone::GivenUp,
    set_of,
    slot::{age_ns, base_of, is_over},
    table::left,
};

/// No slot.
pub const NONE: u32 = u32::MAX;
/// It is not known yet.
pub const BUSY: u32 = u32::MAX - 1;

/// The word a packet starts with here.
#[inline(always)]
const fn first_word(visit: &Visit) -> Control {
    let hook = &visit.hook;
    let first = Control::first(hook.id, hook.direction, !hook.entry, hook.terminal);
    first.with_large(visit.large).timed_by(visit.clock)
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

/// Whether a packet comes after nothing is admitted any more that looks the same as one which has ended.
#[inline(always)]
pub(super) fn is_after_the_end(control: Control, visit: &Visit) -> bool {
    !visit.admit && visit.hook.entry && matches!(control.state(), State::Done)
}

/// Then that one is forgotten: further sights are not its copies.
#[inline(always)]
pub(super) fn forget<T: Table>(
    table: T,
    slot: T::Slot,
    index: u32,
    control: Control,
    visit: &Visit,
) -> Outcome {
    if slot.exchange(control, control.free()) {
        left(table, visit.key, index);
    }
    Outcome::of(Kind::Missing)
}

/// Takes over the slot of an earlier packet with the same identity: one that has ended, or is given up now. One that enters while such
/// a one is on its way is followed whether or not it is to be admitted: its further sights would be taken for the other's.
#[inline(always)]
pub(super) fn renew<S: SlotCell>(slot: S, index: u32, control: Control, visit: &Visit) -> Outcome {
    let enters_beside = visit.hook.entry && matches!(control.state(), State::Live);
    if !visit.admit && !enters_beside {
        return Outcome::of(Kind::Missing);
    }
    let word = first_word(visit).generation_after(control);
    let before = given_up(slot, control);
    if !slot.exchange(control, word.busy()) {
        return Outcome::retry();
    }
    fill(slot, visit.key, visit.now_ns, word);
    Outcome::new(index, before)
}

/// What becomes of the packet of `control`, if it has not ended before. Valid if the control word is still the same later.
#[inline(always)]
fn given_up<S: SlotCell>(slot: S, control: Control) -> GivenUp {
    if control.state() == State::Live { GivenUp::of(slot, control) } else { GivenUp::NONE }
}

/// The common case: the home slot is free or done, and no packet of the set had to move over. [`Kind::Retry`]: it is
/// not so.
#[inline(always)]
pub(super) fn at_home<T: Search>(
    table: T,
    index: u32,
    slot: T::Slot,
    control: Control,
    visit: &Visit,
) -> Outcome {
    let spills = table.spills(set_of(index));
    // With no slot of the set spilled, the packet that leaves was at its home too.
    if table.spilled_at(spills) != 0 {
        return Outcome::retry();
    }
    let word = first_word(visit).generation_after(control);
    let may_wait = displaced::may_wait(table, slot, control, visit.now_ns);
    if !slot.exchange(control, word.busy()) {
        return Outcome::retry();
    }
    if may_wait {
        displaced::keep(table, slot, control);
    }
    fill(slot, visit.key, visit.now_ns, word);
    let new = Outcome::new(index, GivenUp::NONE);
    // Another CPU may have placed a packet of the same identity elsewhere in the set meanwhile.
    if table.spilled_at(spills) == 0 { new } else { settle_twins(table, slot, word, visit.key, new) }
}

/// A look at a whole set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The slot that holds the key, or [`NONE`], or [`BUSY`]: a slot is being written, so nothing is certain.
    pub found: u32,
    /// A slot that can be taken, or [`NONE`]: home before others, and one of a packet that is known to be dead or timed out only if
    /// there is no other.
    pub vacant: u32,
}

/// The home slot of `key` if it holds it, and not as one that is done; else [`NONE`], which says nothing. What [`look`] would find, in
/// few steps: most packets are at home.
#[inline(always)]
pub fn look_home<T: Table>(table: T, key: u64) -> u32 {
    let home = table.home(key);
    let Some(slot) = table.slot(home) else { return NONE };
    let is_there = matches!(slot.control().state(), State::Live | State::Group) && slot.key() == key;
    if is_there { home } else { NONE }
}

/// A table in which packets get a place.
pub trait Search: Table {
    /// [`look`]; a method so that the eBPF side can make it a function of its own to the verifier.
    #[inline(always)]
    fn look(self, key: u64, now_ns: u64) -> Look {
        look(self, key, now_ns)
    }
    /// [`look_home`], likewise.
    #[inline(always)]
    fn look_home(self, key: u64) -> u32 {
        look_home(self, key)
    }
    /// [`twin`], likewise.
    #[inline(always)]
    fn twin(self, key: u64, own: u32) -> u32 {
        twin(self, key, own)
    }
}

/// Looks through the set of `key`.
#[inline(always)]
pub fn look<T: Table>(table: T, key: u64, now_ns: u64) -> Look {
    let home = table.home(key);
    let base = base_of(home);
    // A constant here would be one more case to the eBPF verifier, at each slot behind it.
    let mut look = Look { found: table.opaque(NONE), vacant: table.opaque(NONE) };
    let mut timed_out = table.opaque(NONE);
    let mut probe = 0;
    while probe < WAYS {
        // From the last on, so that home, if it is vacant, is what stays.
        probe += 1;
        let index = base + ((home + WAYS - probe) & (WAYS - 1));
        let Some(slot) = table.slot(index) else { break };
        let control = slot.control();
        let state = control.state();
        if state == State::Busy {
            if look.found == NONE {
                look.found = table.opaque(BUSY);
            }
        } else if state != State::Free && slot.key() == key {
            // One that is done hides none that is on its way: another CPU may have had them both at the same time.
            if look.found == NONE || look.found == BUSY || state != State::Done {
                look.found = table.opaque(index);
            }
        } else if matches!(state, State::Free | State::Done) {
            look.vacant = table.opaque(index);
        } else if is_vacant(table, slot, control, now_ns) {
            timed_out = table.opaque(index);
        }
    }
    // The sweeper shall count who timed out, unless there is no other place.
    if look.vacant == NONE {
        look.vacant = timed_out;
    }
    look
}

/// Free, done, or kept by a packet that is known to be dead, or timed out, and was not swept yet.
#[inline(always)]
fn is_vacant<T: Table>(table: T, slot: T::Slot, control: Control, now_ns: u64) -> bool {
    match control.state() {
        State::Free | State::Done => true,
        State::Live => {
            let age_ns = age_ns(slot, control, now_ns);
            let is_marked = slot.mark().site(control).is_some();
            is_over(age_ns, if is_marked { table.settled_ns() } else { table.timeout_ns() })
        }
        _ => false,
    }
}

/// Takes the vacant slot at `index` for a new packet. [`Kind::Retry`]: it is not vacant any more.
#[inline(always)]
pub(super) fn take<T: Search>(table: T, index: u32, visit: &Visit) -> Outcome {
    let set = set_of(index);
    let Some(slot) = table.slot(index) else { return Outcome::of(Kind::Untracked) };
    let control = slot.control();
    if !is_vacant(table, slot, control, visit.now_ns) {
        return Outcome::retry();
    }
    let word = first_word(visit).generation_after(control);
    let moved = index != table.home(visit.key);
    // Told to the others before the slot shows it, so that who misses the slot sees the count.
    if moved {
        table.add_spilled(set, 1);
    }
    let old_key = slot.key();
    let before = given_up(slot, control);
    let may_wait = displaced::may_wait(table, slot, control, visit.now_ns);
    if !slot.exchange(control, word.busy()) {
        if moved {
            table.add_spilled(set, u32::MAX);
        }
        return Outcome::retry();
    }
    if control.state() != State::Free {
        left(table, old_key, index);
    }
    if may_wait {
        displaced::keep(table, slot, control);
    }
    fill(slot, visit.key, visit.now_ns, word);
    settle_twins(table, slot, word, visit.key, Outcome::new(index, before))
}

/// Another slot of the set that holds a live `key`, or [`NONE`], or [`BUSY`]: the home slot is being written, perhaps
/// with `key` (see [`at_home`], which looks for others without a barrier).
#[inline(always)]
pub fn twin<T: Table>(table: T, key: u64, own: u32) -> u32 {
    let home = table.home(key);
    let base = base_of(home);
    // As in `look`.
    let mut twin = table.opaque(NONE);
    let mut busy = table.opaque(0);
    let mut way = 0;
    while way < WAYS {
        // The verifier would learn from each comparison which of them is one's own.
        let index = table.opaque(base + way);
        way += 1;
        let Some(slot) = table.slot(index) else { break };
        if index == own {
            continue;
        }
        // Before the key: it may be the one of the packet before.
        let state = slot.control().state();
        if matches!(state, State::Live | State::Group) && slot.key() == key {
            twin = table.opaque(index);
        } else if state == State::Busy && index == home {
            busy = table.opaque(1);
        }
    }
    if busy != 0 && twin == NONE {
        twin = BUSY;
    }
    twin
}

/// The packet has its slot. Did another CPU place one with the same identity elsewhere in the set at the same time?
/// Each of the two shows its slot before it looks at the other's, so at least one of them notices: that one gives its slot back and
/// comes again ([`Kind::Retry`]), to find the other's.
#[inline(always)]
fn settle_twins<T: Search>(table: T, slot: T::Slot, word: Control, key: u64, new: Outcome) -> Outcome {
    // What became of the packet that had the slot before can be told once only.
    if word.state() != State::Live || !new.gone.is_none() {
        return new;
    }
    // A full barrier: the slot is shown to the others, not only on its way to be.
    if !slot.exchange(word, word) {
        return new;
    }
    let mut twin = table.twin(key, new.index);
    if twin == BUSY {
        twin = table.twin(key, new.index);
    }
    if twin == NONE || twin == BUSY || !slot.exchange(word, word.free()) {
        return new;
    }
    left(table, key, new.index);
    Outcome::retry()
}
