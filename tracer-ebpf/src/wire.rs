//! The wire hook: the raw tracepoint `net_dev_start_xmit`, where the kernel hands a packet to the NIC's driver, behind the
//! queueing discipline.
//!
//! One program for all NICs of a path. The kernel runs it for every packet that any device sends, so it looks at the
//! device first. It can not go on in the program that the TC hooks share, so it knows all rules itself.
//!
//! The kernel sends with bottom halves off, as it runs TC programs: neither interrupts the other on one CPU, so this
//! program may use the counters and the scratch words of its own hooks, and the table's, as they do. Only the packet's
//! head goes to a room of its own (see [`crate::maps::room`]).

use core::ffi::c_void;

use aya_ebpf::{EbpfContext as _, macros::raw_tracepoint, programs::RawTracePointContext};
use aya_log_ebpf::debug;
use hoptrace_common::{
    config::Control as GateState,
    counters::HookCounters,
    inflight::{Aside, Kind, Visit, quickly},
    packet::ParseError,
};

use crate::{
    claim::{CLAIM_IF_TRACKED, CLAIM_NONE, CLAIM_OWN, claim},
    emit::emit_if_wanted,
    hop::clock,
    maps::{config, control, counters, inflight::Inflight, room},
    merged,
    neighbour::SIGHT_ON_PATH,
    pieces,
    raw::{self, RawSkb},
    reader::SkbReader as _,
    tally, thorough,
};

/// Arguments: the packet, the device.
#[raw_tracepoint]
pub(crate) fn hop_wire(ctx: RawTracePointContext) -> i32 {
    hop(&ctx);
    0
}

#[inline(always)]
fn hop(ctx: &RawTracePointContext) {
    let dev: *const c_void = ctx.arg(1);
    let Some(number) = config::wire_hook(raw::ifindex(dev)) else { return };
    let Some(gate) = control::gate() else { return };
    let gate_state = gate.state();
    if gate_state == GateState::CLOSED || !raw::is_here(dev) {
        return;
    }
    let Some(room) = room::of(room::Owner::Wire) else { return };
    let Some(skb) = RawSkb::read(ctx.arg(0), room, room::Owner::Wire) else { return };
    let head = skb.head;
    let hook = config::hook(number);
    let Some(frame) = head.frame() else { return };
    let claim = claim(hook, &frame);
    if claim == CLAIM_NONE {
        return;
    }
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return };
    let word = counted.scratch.as_mut_ptr();
    let packet = match head.packet(&frame, word) {
        Ok(packet) => packet,
        // Its end was told by the hook before, which reads more than the linear part.
        Err(ParseError::Truncated) if skb.linear_bytes < skb.len_bytes => return,
        Err(_) => {
            if claim == CLAIM_OWN {
                counted.unparsed += 1;
            }
            return;
        }
    };
    if config::is_filtering() && !config::filter().matches(&head, &packet) {
        return;
    }
    let admit = gate_state == GateState::OPEN && claim != CLAIM_IF_TRACKED;
    let large = merged::can_be(packet.protocol) & pieces::is_large(skb.len_bytes);
    let now_ns = clock();
    let this = hook.for_rules(number, false);
    let visit = Visit { hook: this, key: packet.identity, now_ns, admit, aside: Aside::No, large };
    let mut outcome = quickly(Inflight(word), &visit);
    if matches!(outcome.kind, Kind::Retry) {
        let terms = thorough::terms(admit, large, SIGHT_ON_PATH);
        let kind = thorough::thoroughly(number, packet.identity, now_ns, terms);
        outcome = thorough::outcome(kind, counted);
    }
    match outcome.kind {
        Kind::Missing => return,
        Kind::New => {
            tally::arrived(cpu, counted, &outcome, &this);
            if pieces::is_expected_in(&head, &packet, skb.len_bytes, number, false) {
                counted.split += 1;
            }
        }
        Kind::Passed => {
            if outcome.control.large() {
                pieces::is_expected_in(&head, &packet, skb.len_bytes, number, true);
            }
            let total_ns = tally::passed(cpu, counted, &outcome, &this, hook);
            let what = (gate, this.direction, total_ns);
            emit_if_wanted(&head, &packet, skb.len_bytes, what, &outcome, counted);
        }
        _ => strange(outcome.kind as u32, counted, ctx.as_ptr(), number, packet.identity),
    }
    counted.seen += 1;
}

/// What must not be averaged, or not as it came; the rest of the outcome is in the scratch memory.
#[inline(never)]
fn strange(kind: u32, counted: &mut HookCounters, ctx: *mut c_void, number: u32, identity: u64) {
    let outcome = &thorough::outcome(kind, counted);
    if matches!(outcome.kind, Kind::Grouped) {
        let hook = config::hook(number);
        tally::grouped(counters::cpu(), counted, outcome, &hook.for_rules(number, false), hook);
    } else {
        tally::strange(counted, outcome);
    }
    let name = tally::name(outcome.kind);
    debug!(&RawTracePointContext::new(ctx), "hook {}: identity {:x} {}", number, identity, name);
}
