//! The cases that almost every packet is, in as few steps as can be.
//!
//! A hook spends most of its time waiting: for the clock, and for the compare-exchange, which starts when everything before
//! it is done and holds up everything behind it. So what can be known without it is read and computed before it
//! ([`Pass::plan`]), and nothing but stores is left for after it.

use super::{
    Aside, Control, DELTAS, Kind, Outcome, Search, SlotCell, State, Visit, found, place, slot::delta_of,
};

/// What becomes of the slot of a packet that comes from the hook before to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// The slot's control word as it was read.
    before: Control,
    /// The word that will be published.
    pub after: Control,
    position: u32,
    hooks: u32,
    delta_ns: u32,
    /// Nanoseconds since the hook before, of a packet that is timed.
    pub latency_ns: u32,
}

impl Pass {
    /// Reads the packet's home slot, whose control word is `control`. `None`: it is not there, or not as simple as that.
    ///
    /// What is read is valid if the control word has not changed until the slot is taken, because it changes with
    /// everything else in the slot.
    #[inline(always)]
    pub fn plan<S: SlotCell>(slot: S, control: Control, visit: &Visit) -> Option<Self> {
        let hook = &visit.hook;
        if !control.is_live_before(hook.id, hook.direction, hook.later) || slot.key() != visit.key {
            return None;
        }
        // It became larger: others may have been merged into it.
        if visit.large && !control.large() {
            return None;
        }
        let count = control.count();
        let total_ns = visit.now_ns.wrapping_sub(slot.first_ns());
        let before_ns = slot.delta_ns(count.wrapping_sub(1) & (DELTAS - 1));
        let after = control.timed_by(visit.clock).passed_on(hook.id, hook.terminal);
        // Earlier than the hook before, or too late for the slot's figures.
        let is_odd = total_ns < u64::from(before_ns) || total_ns > u64::from(u32::MAX);
        if count >= DELTAS || (is_odd && !after.untimed()) {
            return None;
        }
        let delta_ns = delta_of(total_ns, before_ns);
        Some(Self {
            before: control,
            after,
            position: count,
            hooks: slot.hooks() | (u32::from(hook.id) << (count * 4)),
            delta_ns,
            latency_ns: delta_ns.wrapping_sub(before_ns),
        })
    }

    /// The hook before.
    #[inline(always)]
    #[must_use]
    pub const fn from(&self) -> u8 {
        self.before.last()
    }

    /// Nanoseconds since the first hook, likewise.
    #[inline(always)]
    #[must_use]
    pub const fn total_ns(&self) -> u32 {
        self.delta_ns
    }

    /// What it does with the slot at `index`.
    #[inline(always)]
    #[must_use]
    pub const fn outcome(&self, index: u32) -> Outcome {
        Outcome {
            hook: self.from(),
            index,
            control: self.after,
            latency_ns: self.latency_ns as u64,
            total_ns: self.total_ns() as u64,
            ..Outcome::of(Kind::Passed)
        }
    }

    /// Takes the slot and changes it. `false`: it was changed meanwhile.
    #[inline(always)]
    pub fn carry_out<S: SlotCell>(&self, slot: S) -> bool {
        if !slot.exchange(self.before, self.before.busy()) {
            return false;
        }
        slot.set_delta_ns(self.position & (DELTAS - 1), self.delta_ns);
        slot.set_hooks(self.hooks);
        slot.publish(self.after);
        true
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
    let Some(pass) = Pass::plan(slot, control, visit) else {
        return arrive(table, home, slot, control, visit);
    };
    if pass.carry_out(slot) { pass.outcome(home) } else { Outcome::retry() }
}
