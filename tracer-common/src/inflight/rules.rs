//! The whole set of rules.

use super::{
    Kind, Outcome, Search, Visit, displaced, found,
    found::deferred,
    place::{self, Look},
    quickly,
    slot::SlotCell as _,
};

/// Looks before a visit gives up. Keeping a slot busy takes a few instructions, unless it was interrupted.
pub const ATTEMPTS: u32 = 32;

/// Applies the rules of the table to one packet at one hook.
#[inline(always)]
pub fn visit<T: Search>(table: T, visit: &Visit) -> Outcome {
    let outcome = quickly(table, visit);
    if matches!(outcome.kind, Kind::Retry) { thoroughly(table, visit) } else { outcome }
}

/// The whole set of rules, wherever the packet is.
#[inline(always)]
pub fn thoroughly<T: Search>(table: T, visit: &Visit) -> Outcome {
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
pub fn attempt_once<T: Search>(table: T, visit: &Visit) -> Outcome {
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
        if visit.hook.entry {
            displaced::forget(table, visit.key);
        }
        Outcome::of(Kind::Missing)
    } else if look.vacant == place::NONE {
        Outcome::of(Kind::Untracked)
    } else {
        place::take(table, look.vacant, visit)
    }
}
