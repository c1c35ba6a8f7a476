//! The table's rules for everything that is not simple.
//!
//! Global functions: the verifier looks at each of them once, with nothing known about its arguments, and not again
//! for each way a packet can come to it. They can return one number only; the rest goes through this CPU's scratch
//! memory.

use hoptrace_common::{
    counters::HookCounters,
    inflight::{self, ATTEMPTS, Clock, Control, Gone, Kind, Outcome, Visit, attempt_once, quickly},
};

use crate::{
    maps::{counters, hooks, inflight::Inflight},
    neighbour,
};

/// Bit of `terms` that lets a packet without a slot have one.
const TERMS_ADMIT: u32 = 1;
/// Bit of `terms` of a packet that may be cut into pieces.
const TERMS_LARGE: u32 = 2;
/// Bit of `terms` of a packet that is not timed.
const TERMS_COARSE: u32 = 4;
/// Above them: what the sight means.
const TERMS_SIGHT_SHIFT: u32 = 3;

/// What [`thoroughly`] needs to know besides, in one number.
#[inline(always)]
pub(crate) const fn terms(admit: bool, large: bool, clock: Clock, sight: u32) -> u32 {
    let clock = if matches!(clock, Clock::Coarse) { TERMS_COARSE } else { 0 };
    (admit as u32) | ((large as u32) << 1) | clock | (sight << TERMS_SIGHT_SHIFT)
}

/// Applies all rules of the table to the packet `key` at hook `number`; `terms` is from [`terms`]. Gives the number of the
/// outcome's [`Kind`]; [`outcome`] has the rest.
///
/// The attempts are made here, not in [`hop_thoroughly`]: what a loop keeps for its next turn would take room on the stack
/// below it, where there is none left.
#[inline(always)]
pub(crate) fn thoroughly(number: u32, key: u64, now_ns: u64, terms: u32) -> u32 {
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        attempt += 1;
        let mut kind = hop_thoroughly(number, key, now_ns, terms);
        if kind == Kind::Deferred as u32 {
            kind = hop_deferred(number, key, now_ns, terms);
        }
        if kind != Kind::Retry as u32 {
            return kind;
        }
    }
    Kind::Untracked as u32
}

/// [`inflight::quickly`] first, where no other program has tried that; else as [`thoroughly`]. A global function likewise.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_decide(number: u32, key: u64, now_ns: u64, terms: u32) -> u32 {
    let Some(counted) = counters::of(counters::cpu(), number) else { return Kind::Untracked as u32 };
    let outcome =
        quickly(Inflight::through(counted.scratch.as_mut_ptr()), &visit(number, key, now_ns, terms));
    if matches!(outcome.kind, Kind::Retry) {
        return thoroughly(number, key, now_ns, terms);
    }
    leave(counted, &outcome)
}

/// One attempt of [`thoroughly`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_thoroughly(number: u32, key: u64, now_ns: u64, terms: u32) -> u32 {
    let Some(counted) = counters::of(counters::cpu(), number) else { return Kind::Untracked as u32 };
    let table = Inflight::through(counted.scratch.as_mut_ptr());
    let outcome = attempt_once(table, &visit(number, key, now_ns, terms));
    leave(counted, &outcome)
}

/// [`inflight::deferred`], of the slot that [`hop_thoroughly`] has left the index of.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_deferred(number: u32, key: u64, now_ns: u64, terms: u32) -> u32 {
    let Some(counted) = counters::of(counters::cpu(), number) else { return Kind::Untracked as u32 };
    let [_, index, ..] = counted.scratch;
    let table = Inflight::through(counted.scratch.as_mut_ptr());
    let outcome = inflight::deferred(table, index as u32, &visit(number, key, now_ns, terms));
    leave(counted, &outcome)
}

#[inline(always)]
pub(crate) fn visit(number: u32, key: u64, now_ns: u64, terms: u32) -> Visit {
    let sight = terms >> TERMS_SIGHT_SHIFT;
    Visit {
        hook: hooks::hook(number).for_rules(number, neighbour::ends_here(sight)),
        key,
        now_ns,
        clock: if terms & TERMS_COARSE != 0 { Clock::Coarse } else { Clock::Exact },
        admit: terms & TERMS_ADMIT != 0,
        aside: neighbour::aside(sight),
        large: terms & TERMS_LARGE != 0,
    }
}

/// Leaves for [`outcome`] what a function can not return, and gives what it can.
#[inline(always)]
pub(crate) fn leave(counted: &mut HookCounters, outcome: &Outcome) -> u32 {
    let [_, index, control, latency_ns, total_ns, hook, gone, _] = &mut counted.scratch;
    *index = u64::from(outcome.index);
    *control = outcome.control.0;
    *latency_ns = outcome.latency_ns;
    *total_ns = outcome.total_ns;
    *hook = u64::from(outcome.hook)
        | (u64::from(outcome.before) << 8)
        | (u64::from(outcome.grown) << 16)
        | (u64::from(outcome.begins) << 17)
        | (u64::from(outcome.ends) << 18);
    *gone = u64::from(outcome.gone.number());
    outcome.kind as u32
}

/// What [`thoroughly`] found, given the number it returned.
#[inline(always)]
pub(crate) fn outcome(kind: u32, counted: &HookCounters) -> Outcome {
    let [_, index, control, latency_ns, total_ns, hook, gone, _] = counted.scratch;
    Outcome {
        kind: Kind::from_number(kind),
        hook: hook as u8,
        before: (hook >> 8) as u8,
        gone: Gone::from_number(gone as u32),
        index: index as u32,
        control: Control(control),
        latency_ns,
        total_ns,
        grown: (hook >> 16) & 1 != 0,
        begins: (hook >> 17) & 1 != 0,
        ends: (hook >> 18) & 1 != 0,
    }
}
