//! Counts what the table's rules said of a packet.

use aya_ebpf::programs::RawTracePointContext;
use aya_log_ebpf::debug;
use hoptrace_common::{
    config::OFF_PATH_SEGMENT,
    counters::HookCounters,
    inflight::{Control, Fate, Gone, Hook, Kind, Outcome, State},
};

use crate::{
    claim::{CLAIM_LEARN, CLAIM_OWN},
    maps::{
        config, counters, drops,
        hooks::{self, HookFacts},
        latency, upcalls,
    },
    thorough,
};

/// Whether the packet was seen from the first hook of this hook's direction on.
#[inline(always)]
fn whole_way(control: Control, hook: &Hook) -> bool {
    !control.joined() && !control.crossed() && control.direction() == hook.direction
}

/// The segment from hook `from` to this one, for a packet with this control word: behind it stands that of packets which
/// came by user space.
#[inline(always)]
fn segment(facts: HookFacts, from: u8, control: Control) -> u32 {
    let segment = facts.segment_from(from);
    let is_slow = control.slow() && upcalls::after(facts.port()) & (1 << (from & 0xf)) != 0;
    if is_slow && segment != off_path(facts) { segment + 1 } else { segment }
}

/// The segment of hops that the path does not contain.
#[inline(always)]
fn off_path(facts: HookFacts) -> u32 {
    config::first_segment(facts.port()) + u32::from(OFF_PATH_SEGMENT)
}

/// A packet seen for the first time.
#[inline(always)]
pub(crate) fn arrived(cpu: u32, counted: &mut HookCounters, outcome: &Outcome, hook: &Hook) {
    if hook.entry {
        counted.entered += 1;
    } else {
        counted.joined += 1;
    }
    if hook.terminal {
        counted.completed += 1;
    }
    if !outcome.gone.is_none() {
        gone(cpu, outcome.gone.number(), outcome.latency_ns, outcome.total_ns);
    }
}

/// Counts what became of the packet `key` that had the slot before, seen last at `seen_ns`. A function of its own: it rarely
/// happens.
#[inline(never)]
fn gone(cpu: u32, number: u32, seen_ns: u64, key: u64) {
    let gone = Gone::from_number(number);
    let (direction, last) = (gone.direction(), gone.last());
    let seen_last = config::number(config::port_behind(key), last);
    match gone.fate() {
        Fate::Lost => {
            let crossed = direction != hooks::hook(seen_last).direction();
            if let Some(counted) = counters::of(cpu, seen_last) {
                if crossed {
                    counted.lost_crossed += 1;
                } else {
                    counted.lost += 1;
                }
            }
        }
        Fate::Dropped(site) => {
            if let Some(site) = drops::site_at(site) {
                site.settled(direction, last, seen_ns, key);
            }
        }
        Fate::Revived(site) => {
            if let Some(site) = drops::site_at(site) {
                site.revived(direction, last);
            }
        }
        Fate::None => {}
    }
}

/// A packet on its way from one hook to this one. Gives what was recorded for its whole way, in nanoseconds; 0: nothing.
#[inline(always)]
pub(crate) fn passed(
    cpu: u32,
    counted: &mut HookCounters,
    outcome: &Outcome,
    hook: &Hook,
    facts: HookFacts,
) -> u64 {
    counted.passed += 1;
    if !outcome.gone.is_none() {
        gone(cpu, outcome.gone.number(), 0, 0);
    }
    let skewed = outcome.latency_ns == Outcome::SKEWED;
    let segment = segment(facts, outcome.hook, outcome.control);
    if outcome.control.untimed() {
        latency::record_unasked(cpu, segment);
    } else if skewed {
        counted.clock_skew += 1;
        latency::record_untimed(cpu, segment);
    } else {
        latency::record(cpu, segment, outcome.latency_ns);
    }
    if hook.terminal {
        if outcome.control.direction() == hook.direction {
            counted.completed += 1;
        } else {
            counted.completed_crossed += 1;
        }
        if whole_way(outcome.control, hook) {
            let total = facts.total_segment(outcome.control.passed());
            if outcome.control.untimed() {
                latency::record_unasked(cpu, total);
                return 0;
            }
            // Overtaken at its first hook, its first time is that of a later one.
            if skewed || outcome.control.overtaken() {
                latency::record_untimed(cpu, total);
            } else {
                latency::record(cpu, total, outcome.total_ns);
                return outcome.total_ns;
            }
        }
    }
    0
}

/// A packet that a later hook saw before this one: puts right what was recorded between the hooks on both sides.
#[inline(always)]
fn overtaken(cpu: u32, counted: &mut HookCounters, outcome: &Outcome, hook: &Hook, facts: HookFacts) {
    counted.overtaken += 1;
    if outcome.hook == Outcome::NO_HOOK {
        return;
    }
    let after = hooks::hook(config::number(facts.port(), outcome.hook));
    latency::record_untimed(cpu, after.segment_from(hook.id));
    if outcome.before != Outcome::NO_HOOK {
        let segment = segment(after, outcome.before, outcome.control);
        if outcome.control.untimed() {
            latency::take_back_unasked(cpu, segment);
        } else {
            latency::take_back(cpu, segment, outcome.latency_ns);
        }
        latency::record_untimed(cpu, facts.segment_from(outcome.before));
    } else if matches!(outcome.control.state(), State::Done) && !outcome.control.crossed() {
        let last = hooks::hook(config::number(facts.port(), outcome.control.last()));
        latency::record_untimed(cpu, last.total_segment(outcome.control.passed()));
    }
}

/// A packet's first copy beside the path.
#[inline(always)]
fn aside(cpu: u32, counted: &mut HookCounters, outcome: &Outcome, facts: HookFacts) {
    counted.copies += 1;
    let segment = segment(facts, outcome.hook, outcome.control.back_from_upcall());
    if segment == off_path(facts) {
        // It was faster than the sight at the hook before it.
        return;
    }
    if outcome.control.untimed() {
        latency::record_unasked(cpu, segment);
    } else if outcome.latency_ns == Outcome::SKEWED {
        latency::record_untimed(cpu, segment);
    } else {
        latency::record(cpu, segment, outcome.latency_ns);
    }
}

/// One of several packets that look the same: counted as any other, and not timed.
#[inline(always)]
fn grouped(cpu: u32, counted: &mut HookCounters, outcome: &Outcome, hook: &Hook, facts: HookFacts) {
    counted.grouped += 1;
    if outcome.hook == Outcome::NO_HOOK {
        counted.untold += if outcome.begins { 2 } else { 1 };
        if hook.entry {
            counted.entered += 1;
        } else {
            counted.joined += 1;
        }
        return;
    }
    counted.passed += 1;
    latency::record_untimed(cpu, facts.segment_from(outcome.hook));
    if !outcome.ends {
        return;
    }
    if outcome.control.direction() == hook.direction {
        counted.completed += 1;
        latency::record_untimed(cpu, facts.total_segment(0));
    } else {
        counted.completed_crossed += 1;
    }
}

/// What must not be averaged, or not as it came: the packet with this identity at hook `number`, to which the table's rules said
/// `kind`; the rest of the outcome is in the scratch memory. A global function: the verifier looks at it once, and what it needs is
/// not on the stack of its caller.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_strange(kind: u32, number: u32, identity: u64) -> u32 {
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return 0 };
    let outcome = &thorough::outcome(kind, counted);
    let hook = hooks::hook(number);
    match outcome.kind {
        Kind::Overtaken => overtaken(cpu, counted, outcome, &hook.for_rules(number, false), hook),
        Kind::Grouped => grouped(cpu, counted, outcome, &hook.for_rules(number, false), hook),
        Kind::Aside => aside(cpu, counted, outcome, hook),
        Kind::Copy => counted.copies += 1,
        _ => counted.untracked += 1,
    }
    debug!(&nobody(), "hook {}: identity {:x} {}", number, identity, name(outcome.kind));
    0
}

/// A frame at hook `number` that belongs to the VM by `claim`, and has no identity. A function of its own: it rarely happens.
#[inline(never)]
pub(crate) fn unparsed(number: u32, claim: u32, ether_type: u16) {
    if claim != CLAIM_OWN && claim != CLAIM_LEARN {
        return;
    }
    if let Some(counted) = counters::of(counters::cpu(), number) {
        counted.unparsed += 1;
    }
    debug!(&nobody(), "hook {}: no identity, EtherType {:x}", number, ether_type);
}

/// Words need no context.
#[inline(always)]
fn nobody() -> RawTracePointContext {
    RawTracePointContext::new(core::ptr::null_mut())
}

/// For the diagnostics.
const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Grouped => "looks like another one on its way",
        Kind::Copy => "is a copy",
        Kind::Overtaken => "was overtaken",
        Kind::Aside => "went beside the path, too",
        _ => "found no slot",
    }
}
