//! What happens to a packet at a hook.
//!
//! Each hook has a program of its own that reads the headers in place, and knows the shapes that almost every packet
//! has and the cases that almost every packet is. What is not as simple as that goes on, by a tail call, in one program
//! that all hooks share: it copies the head of the packet and knows all rules. So the verifier has the large part to
//! follow once, not once per hook.

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_ktime_get_ns, programs::TcContext};
use aya_log_ebpf::debug;
use hoptrace_common::{
    config::{Control as GateState, HookConfig},
    counters::HookCounters,
    inflight::{Kind, Visit, quickly},
};

use crate::{
    claim::{CLAIM_GROUP, CLAIM_IF_TRACKED, CLAIM_NONE, CLAIM_OWN, claim, concerns_guest},
    emit::{causes, emit},
    guest,
    maps::{config, control, counters, inflight::Inflight, rare},
    neighbour, pieces,
    reader::{Copied, Direct, SkbReader},
    tally, thorough,
};

/// Nothing more to do.
const DONE: u32 = 0;
/// This is one for the program that knows all rules.
const RARE: u32 = 1;

/// A packet at a hook.
#[inline(always)]
pub(crate) fn hop(skb: *mut __sk_buff, number: u32) {
    if in_place(skb, number) == RARE {
        rare::call(skb);
        // The tail call failed: the packet must not go unsaid.
        if let Some(counted) = counters::of(counters::cpu(), number) {
            counted.seen += 1;
            counted.untracked += 1;
        }
    }
}

/// Reads the headers where they are. In line: where returns are guarded against speculation, each takes several
/// nanoseconds.
#[inline(always)]
fn in_place(skb: *mut __sk_buff, number: u32) -> u32 {
    // SAFETY: the context of the running program.
    let direct = unsafe { Direct::new(skb, core::ptr::null_mut()) };
    handle(&direct, skb, number, rare::Note::default())
}

/// The program that all hooks share.
#[inline(always)]
pub(crate) fn rarely(skb: *mut __sk_buff) {
    let Some(note) = rare::note() else { return };
    let Some(counted) = counters::of(counters::cpu(), note.hook & 0xf) else { return };
    let Some(copy) = Copied::new(skb, counted.scratch.as_mut_ptr()) else { return };
    handle(&copy, skb, note.hook & 0xf, note);
}

/// The time, in nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
fn clock() -> u64 {
    // SAFETY: takes nothing and always succeeds.
    unsafe { bpf_ktime_get_ns() }
}

/// `note` says what was decided about the packet already.
#[inline(always)]
fn handle<R: SkbReader>(reader: &R, skb: *mut __sk_buff, number: u32, note: rare::Note) -> u32 {
    let Some(gate) = control::gate() else { return DONE };
    let gate_state = gate.state();
    if gate_state == GateState::CLOSED {
        return DONE;
    }
    let hook = config::hook(number);
    let Some(frame) = reader.frame() else {
        return if R::THOROUGH { DONE } else { rare::leave(rare::Note::undecided(number)) };
    };
    let claim = claim(hook, &frame, gate);
    if claim == CLAIM_NONE {
        return DONE;
    }
    // Without a filter every packet that comes so far is wanted: then the CPU reads its headers while it waits for the
    // clock.
    let early = !config::is_filtering();
    let mut now_ns = note.now_ns;
    if early && !R::THOROUGH {
        now_ns = clock();
    }
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return DONE };
    let packet = match reader.packet(&frame, counted.scratch.as_mut_ptr()) {
        Ok(packet) if R::THOROUGH || claim == CLAIM_OWN => packet,
        // A usual packet to a group is no ARP.
        Ok(_) if claim == CLAIM_GROUP => return DONE,
        _ if !R::THOROUGH => return rare::leave(rare::Note::undecided(number)),
        _ => {
            if claim == CLAIM_OWN {
                counted.unparsed += 1;
                debug!(
                    &TcContext::new(skb),
                    "hook {}: no identity, EtherType {:x}", number, frame.ether_type
                );
            }
            return DONE;
        }
    };
    // The verifier follows what comes next once for all ways to it.
    let claim = if R::THOROUGH { reader.opaque(claim) } else { CLAIM_OWN };
    if claim == CLAIM_GROUP && !concerns_guest(reader, &packet) {
        return DONE;
    }
    if config::is_filtering() && !config::filter().matches(reader, &packet) {
        return DONE;
    }
    let entry = hook.has(HookConfig::ENTRY);
    let sight = neighbour::sight(hook, &frame, skb);
    // What leaves by a neighbour's port came by the path: a packet unknown there is none of ours.
    let mut admit =
        gate_state == GateState::OPEN && claim != CLAIM_IF_TRACKED && !neighbour::leaves_beside(hook);
    if note.is_decided() {
        admit = note.admit();
    } else {
        if entry && admit && config::budgeted() != 0 {
            admit = gate.take();
        }
        if R::THOROUGH || !early {
            now_ns = clock();
        }
    }
    let this = hook.for_rules(number, neighbour::ends_here(sight));
    let admit = if R::THOROUGH { reader.opaque(u32::from(admit)) != 0 } else { admit };
    // SAFETY: the context of the running program.
    let large = pieces::is_large(unsafe { (*skb).len }, &packet);
    let outcome = if R::THOROUGH {
        let kind =
            thorough::thoroughly(number, packet.identity, now_ns, thorough::terms(admit, large, sight));
        thorough::outcome(kind, counted)
    } else {
        let table = Inflight(core::ptr::null_mut());
        let aside = neighbour::aside(sight);
        let outcome =
            quickly(table, &Visit { hook: this, key: packet.identity, now_ns, admit, aside, large });
        if matches!(outcome.kind, Kind::Retry) {
            return rare::leave(rare::Note::decided(number, admit, now_ns));
        }
        outcome
    };
    if matches!(outcome.kind, Kind::Missing) {
        return DONE;
    }
    counted.seen += 1;
    neighbour::count(hook, outcome.kind, sight, skb);
    match outcome.kind {
        Kind::New => {
            tally::arrived(cpu, counted, &outcome, &this);
            if !this.entry && pieces::is_expected(skb, &packet, number) {
                counted.split += 1;
            }
        }
        Kind::Passed => {
            if outcome.control.large() {
                pieces::expect(skb, &packet, number);
            }
            let total_ns = tally::passed(cpu, counted, &outcome, &this, hook);
            if this.terminal && config::sends() {
                let causes = causes(gate, this.direction, packet.identity, total_ns);
                if causes != 0 {
                    if emit(reader, &packet, skb, &outcome, causes) {
                        counted.emitted += 1;
                    } else {
                        counted.ring_lost += 1;
                    }
                }
            }
        }
        _ => {
            if R::THOROUGH {
                strange(outcome.kind as u32, counted, skb, number, packet.identity);
            }
            return DONE;
        }
    }
    if hook.has(HookConfig::GUEST) {
        if this.direction == 0 {
            guest::left(reader, &packet, now_ns, cpu);
        } else {
            guest::arrived(reader, &packet, now_ns);
        }
    }
    DONE
}

/// What must not be averaged, or not as it came. A function, so that what it needs is not on the stack of its caller:
/// with the rules of the table all frames together may not be more than 512 bytes, each rounded up to 32.
#[inline(never)]
fn strange(kind: u32, counted: &mut HookCounters, skb: *mut __sk_buff, number: u32, identity: u64) {
    let cpu = counters::cpu();
    let outcome = &thorough::outcome(kind, counted);
    let hook = config::hook(number);
    if matches!(outcome.kind, Kind::Overtaken) {
        tally::overtaken(cpu, counted, outcome, &hook.for_rules(number, false), hook);
    } else if matches!(outcome.kind, Kind::Aside) {
        tally::aside(cpu, counted, outcome, hook);
    } else {
        tally::strange(cpu, counted, outcome);
    }
    debug!(&TcContext::new(skb), "hook {}: identity {:x} {}", number, identity, tally::name(outcome.kind));
}
