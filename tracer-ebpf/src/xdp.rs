//! The XDP program: the first hook on the way in, before the kernel makes an skb of the frame.
//!
//! One program for all NICs of a path: it finds its hook's number by the interface. It can not go on in the program that
//! the TC hooks share, so it knows all rules and all shapes itself.

use aya_ebpf::{
    bindings::{xdp_action::XDP_PASS, xdp_md},
    helpers::generated::bpf_xdp_get_buff_len,
    macros::xdp,
    programs::XdpContext,
};
use aya_log_ebpf::debug;
use hoptrace_common::{
    config::{Control as GateState, HookConfig},
    counters::HookCounters,
    inflight::{Aside, Kind, Visit, quickly},
};

use crate::{
    claim::{CLAIM_GROUP, CLAIM_NONE, CLAIM_OWN, claim, concerns_guest},
    clock::now_ns,
    maps::{config, control, counters, inflight::Inflight},
    merged,
    neighbour::SIGHT_ON_PATH,
    pieces,
    reader::{Copied, Direct, SkbReader},
    tally, thorough,
};

/// In the driver. `frags`: drivers that keep large frames in several buffers take it, too.
#[xdp(frags)]
#[inline(always)]
pub(crate) fn hop_xdp_native(ctx: XdpContext) -> u32 {
    hop(ctx.ctx);
    XDP_PASS
}

/// In the stack. Not for several buffers: then kernels from 6.9 on copy frames in a way that forgets how long the
/// Ethernet header is (`mac_len`), and programs at TC ingress see packets without it.
#[xdp]
#[inline(always)]
pub(crate) fn hop_xdp_generic(ctx: XdpContext) -> u32 {
    hop(ctx.ctx);
    XDP_PASS
}

/// Nothing more to do.
const DONE: u32 = 0;
/// The headers are not as usual, or not all in linear memory.
const UNUSUAL: u32 = 1;

#[inline(always)]
fn hop(ctx: *mut xdp_md) {
    // SAFETY: the context of the running program.
    let Some(number) = config::xdp_hook(unsafe { (*ctx).ingress_ifindex }) else { return };
    let Some(counted) = counters::of(counters::cpu(), number) else { return };
    let scratch = counted.scratch.as_mut_ptr();
    // SAFETY: the context of the running program, and a map value of this CPU.
    let direct = unsafe { Direct::at_xdp(ctx, scratch) };
    if handle(&direct, ctx, number) != UNUSUAL {
        return;
    }
    // SAFETY: the context of the running program.
    let frame_len = unsafe { bpf_xdp_get_buff_len(ctx) } as u32;
    if let Some(copy) = Copied::at_xdp(ctx, frame_len, scratch) {
        handle(&copy, ctx, number);
    }
}

#[inline(always)]
fn handle<R: SkbReader>(reader: &R, ctx: *mut xdp_md, number: u32) -> u32 {
    let Some(gate) = control::gate() else { return DONE };
    let gate_state = gate.state();
    if gate_state == GateState::CLOSED {
        return DONE;
    }
    let hook = config::hook(number);
    let Some(frame) = reader.frame() else { return if R::THOROUGH { DONE } else { UNUSUAL } };
    let claim = claim(hook, &frame, gate);
    if claim == CLAIM_NONE {
        return DONE;
    }
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return DONE };
    let packet = match reader.packet(&frame, counted.scratch.as_mut_ptr()) {
        Ok(packet) => packet,
        Err(_) if !R::THOROUGH => return UNUSUAL,
        Err(_) => {
            if claim == CLAIM_OWN {
                counted.unparsed += 1;
                let ether_type = frame.ether_type;
                debug!(&XdpContext::new(ctx), "hook {}: no identity, EtherType {:x}", number, ether_type);
            }
            return DONE;
        }
    };
    if claim == CLAIM_GROUP && !concerns_guest(reader, &packet) {
        return DONE;
    }
    if config::is_filtering() && !config::filter().matches(reader, &packet) {
        return DONE;
    }
    let now_ns = now_ns();
    let mut admit = gate_state == GateState::OPEN;
    // Before generic XDP there may be a hook at a tracepoint.
    if admit && hook.has(HookConfig::ENTRY) && config::budgeted() != 0 {
        admit = gate.take();
    }
    let this = hook.for_rules(number, false);
    // SAFETY: the context of the running program.
    let frame_len = unsafe { bpf_xdp_get_buff_len(ctx) } as u32;
    let large = merged::can_be(packet.protocol) & pieces::is_large(frame_len);
    let visit = Visit { hook: this, key: packet.identity, now_ns, admit, aside: Aside::No, large };
    let mut outcome = quickly(Inflight(counted.scratch.as_mut_ptr()), &visit);
    if matches!(outcome.kind, Kind::Retry) {
        let terms = thorough::terms(admit, large, SIGHT_ON_PATH);
        outcome = thorough::outcome(thorough::thoroughly(number, packet.identity, now_ns, terms), counted);
    }
    match outcome.kind {
        Kind::Missing => return DONE,
        Kind::New => tally::arrived(cpu, counted, &outcome, &this),
        Kind::Passed => {
            tally::passed(cpu, counted, &outcome, &this, hook);
        }
        _ => strange(outcome.kind as u32, counted, ctx, number, packet.identity),
    }
    counted.seen += 1;
    DONE
}

/// What must not be averaged, or not as it came; the rest of the outcome is in the scratch memory.
#[inline(never)]
fn strange(kind: u32, counted: &mut HookCounters, ctx: *mut xdp_md, number: u32, identity: u64) {
    let cpu = counters::cpu();
    let outcome = &thorough::outcome(kind, counted);
    let hook = config::hook(number);
    if matches!(outcome.kind, Kind::Overtaken) {
        tally::overtaken(cpu, counted, outcome, &hook.for_rules(number, false), hook);
    } else if matches!(outcome.kind, Kind::Grouped) {
        tally::grouped(cpu, counted, outcome, &hook.for_rules(number, false), hook);
    } else {
        tally::strange(counted, outcome);
    }
    debug!(&XdpContext::new(ctx), "hook {}: identity {:x} {}", number, identity, tally::name(outcome.kind));
}
