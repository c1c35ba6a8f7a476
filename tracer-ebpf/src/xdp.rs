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
use hoptrace_common::{
    config::Control as GateState,
    counters::HookCounters,
    inflight::{Kind, Outcome, quickly},
};

use crate::{
    admit,
    claim::{CLAIM_NONE, claim},
    clock,
    left::DONE,
    maps::{config, control, counters, hooks, inflight::Inflight},
    merged,
    neighbour::SIGHT_ON_PATH,
    reader::{Copied, Direct, SkbReader},
    rules::is_wanted,
    several::own_number_at_xdp,
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

/// The headers are not as usual, or not all in linear memory: for the other way of reading.
const UNUSUAL: u32 = 1;

#[inline(always)]
fn hop(ctx: *mut xdp_md) {
    // SAFETY: the context of the running program.
    let ifindex = unsafe { (*ctx).ingress_ifindex };
    let number =
        if config::is_of_several() { own_number_at_xdp(ctx, ifindex) } else { config::xdp_hook(ifindex) };
    let Some(number) = number else { return };
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
    let Some(gate) = control::gate(config::port(number)) else { return DONE };
    let gate_state = gate.state();
    if gate_state == GateState::CLOSED {
        return DONE;
    }
    let hook = hooks::hook(number);
    let Some(frame) = reader.frame() else { return if R::THOROUGH { DONE } else { UNUSUAL } };
    let claim = claim(hook, &frame, gate);
    if claim == CLAIM_NONE {
        return DONE;
    }
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return DONE };
    let packet = match reader.packet(&frame, counted.scratch.as_mut_ptr()) {
        Ok(packet) => config::keyed(packet, config::port(number)),
        Err(_) if !R::THOROUGH => return UNUSUAL,
        Err(_) => {
            tally::unparsed(number, claim, frame.ether_type);
            return DONE;
        }
    };
    if !is_wanted(reader, &packet, claim, config::port(number)) {
        return DONE;
    }
    let moment = clock::moment(gate, packet.identity);
    // Before generic XDP there may be a hook at a tracepoint.
    let admit = admit::admits(gate, gate_state, hook, admit::is_admissible(hook, claim, SIGHT_ON_PATH));
    // SAFETY: the context of the running program.
    let frame_len = unsafe { bpf_xdp_get_buff_len(ctx) } as u32;
    let terms =
        thorough::terms(admit, merged::is_large(packet.protocol, frame_len), moment.clock, SIGHT_ON_PATH);
    if hop_quick_xdp(number, packet.identity, moment.ns, terms) == 0 {
        let kind = thorough::thoroughly(number, packet.identity, moment.ns, terms);
        hop_settle_xdp(number, packet.identity, kind);
    }
    DONE
}

/// The usual packet: nothing of it goes through memory from one function to the next, which would cost a tenth. 0: it is not as simple as
/// that; nothing was done. A function, because its frame must not be below those of the table's other rules.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_quick_xdp(number: u32, key: u64, now_ns: u64, terms: u32) -> u32 {
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return 0 };
    let visit = thorough::visit(number, key, now_ns, terms);
    let outcome = quickly(Inflight::through(counted.scratch.as_mut_ptr()), &visit);
    if matches!(outcome.kind, Kind::Retry) {
        return 0;
    }
    count(number, key, counted, &outcome);
    1
}

/// Counts the packet with this identity at hook `number`, to which the table's rules said `kind`. A global function, so that the verifier
/// looks at it once, not for each way of reading.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_settle_xdp(number: u32, identity: u64, kind: u32) -> u32 {
    let Some(counted) = counters::of(counters::cpu(), number) else { return 0 };
    let outcome = thorough::outcome(kind, counted);
    count(number, identity, counted, &outcome);
    0
}

/// Counts the packet with this identity at hook `number`.
#[inline(always)]
fn count(number: u32, identity: u64, counted: &mut HookCounters, outcome: &Outcome) {
    let cpu = counters::cpu();
    let hook = hooks::hook(number);
    let this = hook.for_rules(number, false);
    match outcome.kind {
        Kind::Missing => return,
        Kind::New => tally::arrived(cpu, counted, outcome, &this),
        Kind::Passed => {
            tally::passed(cpu, counted, outcome, &this, hook);
        }
        _ => {
            tally::hop_strange(thorough::leave(counted, outcome), number, identity);
        }
    }
}
