//! The table's rules for everything that is not simple.
//!
//! Global functions: the verifier looks at each of them once, with nothing known about its arguments, and not again
//! for each way a packet can come to it. They can return one number only; the rest goes through this CPU's scratch
//! memory.

use hoptrace_common::{
    counters::HookCounters,
    inflight::{Control, Kind, Outcome, Visit, Withdrawn, place, thoroughly},
};

use crate::{
    maps::{config, counters, inflight::Inflight},
    neighbour,
};

/// Bit of `terms` that lets a packet without a slot have one.
const TERMS_ADMIT: u32 = 1;
/// Above it: what the sight means.
const TERMS_SIGHT_SHIFT: u32 = 1;

/// What [`hop_thoroughly`] needs to know besides, in one number.
#[inline(always)]
pub(crate) const fn terms(admit: bool, sight: u32) -> u32 {
    (admit as u32) | (sight << TERMS_SIGHT_SHIFT)
}

/// Applies all rules of the table to the packet `key` at hook `number`; `terms` is from [`terms`]. Gives the number of the outcome's [`Kind`];
/// [`outcome`] has the rest.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_thoroughly(number: u32, key: u64, now_ns: u64, terms: u32) -> u32 {
    let Some(counted) = counters::of(counters::cpu(), number) else { return Kind::Untracked as u32 };
    let sight = terms >> TERMS_SIGHT_SHIFT;
    let hook = config::hook(number).for_rules(number, neighbour::ends_here(sight));
    let table = Inflight(counted.scratch.as_mut_ptr());
    let admit = terms & TERMS_ADMIT != 0;
    let outcome = thoroughly(table, &Visit { hook, key, now_ns, admit, aside: neighbour::aside(sight) });
    let [_, index, control, latency_ns, total_ns, hook, withdrawn, _] = &mut counted.scratch;
    *index = u64::from(outcome.index);
    *control = outcome.control.0;
    *latency_ns = outcome.latency_ns;
    *total_ns = outcome.total_ns;
    *hook = u64::from(outcome.hook) | (u64::from(outcome.before) << 8);
    *withdrawn = u64::from(outcome.withdrawn.number());
    outcome.kind as u32
}

/// [`place::look`]: the slot found in the lower half, the vacant one in the upper.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_look(key: u64, now_ns: u64) -> u64 {
    let Some(counted) = counters::of(counters::cpu(), 0) else { return u64::MAX };
    let look = place::look(Inflight(counted.scratch.as_mut_ptr()), key, now_ns);
    u64::from(look.found) | (u64::from(look.vacant) << 32)
}

/// [`place::twin`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_twin(key: u64, own: u32) -> u32 {
    let Some(counted) = counters::of(counters::cpu(), 0) else { return place::NONE };
    place::twin(Inflight(counted.scratch.as_mut_ptr()), key, own)
}

/// What [`hop_thoroughly`] found, given the number it returned.
#[inline(always)]
pub(crate) fn outcome(kind: u32, counted: &HookCounters) -> Outcome {
    let [_, index, control, latency_ns, total_ns, hook, withdrawn, _] = counted.scratch;
    Outcome {
        kind: Kind::from_number(kind),
        hook: hook as u8,
        before: (hook >> 8) as u8,
        withdrawn: Withdrawn::from_number(withdrawn as u8),
        index: index as u32,
        control: Control(control),
        latency_ns,
        total_ns,
    }
}
