//! The path's hooks without traffic control: at the raw tracepoints `netif_receive_skb`, where the network stack takes a
//! packet over from an interface, and `net_dev_queue`, where it gives one to an interface's queueing discipline.
//!
//! The first is hit before generic XDP, packet sockets and `tc ingress`, the second behind `tc egress`: so what others do to
//! the packet is inside what is measured, as with the programs at TC. Nothing is attached to the interfaces. In return each
//! program runs for all interfaces of the host, so it looks at the device first, and says no to most others with one test.
//!
//! A program never runs inside of itself, which the kernel would not let it: the kernel forwards a packet after the program
//! has returned, and both tracepoints are hit with bottom halves off.

use core::ffi::c_void;

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{
    answers, checksum, device,
    follow::follow,
    left::{CHECK, EXCHANGE, PARTS},
    maps::{config, control, costs, layout, neighbours, rare, room::Owner},
    merged, neighbour, raw,
};

const INGRESS: usize = 0;
const EGRESS: usize = 1;

/// Argument: the packet.
#[raw_tracepoint]
#[inline(always)]
pub(crate) fn hop_received(ctx: RawTracePointContext) -> i32 {
    run(&ctx, INGRESS)
}

/// Argument: the packet.
#[raw_tracepoint]
#[inline(always)]
pub(crate) fn hop_queued(ctx: RawTracePointContext) -> i32 {
    run(&ctx, EGRESS)
}

/// What both go on in with packets that other packets are part of.
#[raw_tracepoint]
#[inline(always)]
pub(crate) fn hop_parts(ctx: RawTracePointContext) -> i32 {
    merged::merged_at_tracepoint(&ctx);
    0
}

/// With questions that the switch may answer, and their answers.
#[raw_tracepoint]
#[inline(always)]
pub(crate) fn hop_switch(ctx: RawTracePointContext) -> i32 {
    if let Some(note) = rare::note() {
        answers::exchange_at_tracepoint(ctx.arg(0), note);
    }
    0
}

/// And with those of which the checksum is looked at.
#[raw_tracepoint]
#[inline(always)]
pub(crate) fn hop_sums(ctx: RawTracePointContext) -> i32 {
    checksum::check_at_tracepoint(&ctx);
    0
}

/// One run, and what it cost: all but what it goes on in.
#[inline(always)]
fn run(ctx: &RawTracePointContext, side: usize) -> i32 {
    let began = costs::begin();
    let left = hop(ctx, side);
    costs::end(began);
    match left {
        PARTS => rare::call_seen(ctx, rare::PARTS),
        CHECK => rare::call_seen(ctx, rare::SUMS),
        EXCHANGE => rare::call_seen(ctx, rare::EXCHANGES),
        _ => {}
    }
    0
}

/// Gives [`PARTS`] or one of its siblings, or 0.
#[inline(always)]
fn hop(ctx: &RawTracePointContext, side: usize) -> u32 {
    let skb: *const c_void = ctx.arg(0);
    let Some(dev) = device::of(skb) else { return 0 };
    let ifindex = device::ifindex(dev);
    if !config::is_near(side, ifindex) || (side == INGRESS && raw::is_given_back(skb)) {
        return 0;
    }
    let namespace = device::namespace(dev);
    let on_path = if namespace == layout::here_inum() { config::hook_on(side, ifindex) } else { None };
    if let Some(hook) = on_path {
        if side == INGRESS && control::gate().is_some_and(|gate| gate.is_inactive(ifindex)) {
            return 0;
        }
        return follow(Owner::Hooks, skb, 0, hook.number());
    }
    let Some(port) = neighbours::key_in(ifindex, namespace) else { return 0 };
    let Some(inward) = neighbour::is_inward(port) else { return 0 };
    let side = if inward { 1 - side } else { side };
    follow(Owner::Hooks, skb, port, u32::from(config::beside()[side & 1] & 0xf))
}
