//! The cases that almost every packet is, in as few steps as can be.
//!
//! A hook spends most of its time waiting: for the clock, which does not begin before everything earlier is done, and for the
//! compare-exchange, which holds up everything behind it. So what a slot's word must look like is computed before the clock ([`InTurn`]), the slot
//! is taken as soon as its word and key are right, and what that changes is computed behind it, where the CPU has the next packet to look at, too.

use super::{
    Aside, Control, DELTAS, InTurn, Kind, Outcome, Search, SlotCell, State, Visit, found, place,
    slot::delta_of,
};

/// What becomes of the slot of a packet that comes from the hook before to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// The hook before.
    pub from: u8,
    /// The slot's control word now.
    pub after: Control,
    /// Nanoseconds since the first hook, of a packet that is timed.
    pub total_ns: u32,
    /// Nanoseconds since the hook before, likewise.
    pub latency_ns: u32,
}

impl Pass {
    /// Takes the packet's home slot, whose control word is `control`, and changes it. `None`: it is not there, or not as simple as that, or was
    /// changed meanwhile; the slot is as it was.
    #[inline(always)]
    pub fn carry_out<S: SlotCell>(slot: S, control: Control, turn: InTurn, visit: &Visit) -> Option<Self> {
        if !turn.is(control) || slot.key() != visit.key || !slot.exchange(control, control.busy()) {
            return None;
        }
        let hook = &visit.hook;
        let count = control.count();
        let total_ns = visit.now_ns.wrapping_sub(slot.first_ns());
        let before_ns = slot.delta_ns(count.wrapping_sub(1) & (DELTAS - 1));
        let after = control.timed_by(visit.clock).passed_on(hook.id, hook.terminal);
        // Earlier than the hook before, or too late for the slot's figures.
        let is_odd = total_ns < u64::from(before_ns) || total_ns > u64::from(u32::MAX);
        if count >= DELTAS || (is_odd && !after.untimed()) {
            slot.publish(control);
            return None;
        }
        let delta_ns = delta_of(total_ns, before_ns);
        slot.set_delta_ns(count & (DELTAS - 1), delta_ns);
        slot.set_hooks(slot.hooks() | (u32::from(hook.id) << (count * 4)));
        slot.publish(after);
        Some(Self {
            from: control.last(),
            after,
            total_ns: delta_ns,
            latency_ns: delta_ns.wrapping_sub(before_ns),
        })
    }

    /// What it does with the slot at `index`.
    #[inline(always)]
    #[must_use]
    pub const fn outcome(&self, index: u32) -> Outcome {
        Outcome {
            hook: self.from,
            index,
            control: self.after,
            latency_ns: self.latency_ns as u64,
            total_ns: self.total_ns as u64,
            ..Outcome::of(Kind::Passed)
        }
    }
}

/// A packet that is new, with its home vacant or left by an earlier packet of its identity. [`Kind::Retry`]: it is not as
/// simple as that, or was changed by others meanwhile.
#[inline(always)]
pub fn arrive<T: Search>(table: T, home: u32, slot: T::Slot, control: Control, visit: &Visit) -> Outcome {
    let state = control.state();
    if slot.key() == visit.key {
        if state == State::Done && visit.admit && visit.hook.entry && found::has_passed(control, &visit.hook)
        {
            return place::renew(slot, home, control, visit);
        }
    } else if visit.admit && matches!(state, State::Free | State::Done) {
        return place::at_home(table, home, slot, control, visit);
    }
    Outcome::retry()
}

/// The cases that almost every packet is: on its way and at its home ([`Pass`]), or new ([`arrive`]). [`Kind::Retry`]: it is
/// not as simple as that, or was changed by others meanwhile; then [`super::thoroughly`] knows.
#[inline(always)]
pub fn quickly<T: Search>(table: T, visit: &Visit) -> Outcome {
    if !matches!(visit.aside, Aside::No) {
        return Outcome::retry();
    }
    let home = table.home(visit.key);
    let Some(slot) = table.slot(home) else { return Outcome::retry() };
    let control = slot.control();
    let turn = InTurn::at(visit.hook.id, visit.hook.direction, visit.hook.later, visit.large);
    match Pass::carry_out(slot, control, turn, visit) {
        Some(pass) => pass.outcome(home),
        None => arrive(table, home, slot, control, visit),
    }
}
