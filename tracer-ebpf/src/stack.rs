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
    maps::{
        config, control, costs,
        hooks::{self, HookFacts},
        layout, neighbours, rare,
        room::Owner,
    },
    merged, neighbour, raw,
    several::{number_beside_of, own_number_of},
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
    if let Some(note) = rare::note() {
        checksum::check_at_tracepoint(&ctx, config::port(note.hook));
    }
    0
}

/// Of several ports: the hooks beside their paths. Programs of their own, because what is beside one port's path may be on another's, and
/// each of both can have something to go on in.
#[raw_tracepoint]
#[inline(always)]
pub(crate) fn hop_received_beside(ctx: RawTracePointContext) -> i32 {
    go_on(&ctx, measured(|| several_beside(&ctx, INGRESS)))
}

/// Likewise.
#[raw_tracepoint]
#[inline(always)]
pub(crate) fn hop_queued_beside(ctx: RawTracePointContext) -> i32 {
    go_on(&ctx, measured(|| several_beside(&ctx, EGRESS)))
}

/// One run, and what it cost: all but what it goes on in.
#[inline(always)]
fn run(ctx: &RawTracePointContext, side: usize) -> i32 {
    go_on(ctx, measured(|| hop(ctx, side)))
}

#[inline(always)]
fn measured(hop: impl FnOnce() -> u32) -> u32 {
    let began = costs::begin();
    let left = hop();
    costs::end(began);
    left
}

#[inline(always)]
fn go_on(ctx: &RawTracePointContext, left: u32) -> i32 {
    match left {
        PARTS => rare::call_seen(ctx, rare::PARTS),
        CHECK => rare::call_seen(ctx, rare::SUMS),
        EXCHANGE => rare::call_seen(ctx, rare::EXCHANGES),
        _ => {}
    }
    0
}

/// The interface that a packet is at.
struct At {
    ifindex: u32,
    namespace: u32,
}

/// `None`: there are no hooks on this `side` of it, or the packet was there before.
#[inline(always)]
fn interface_of(skb: *const c_void, side: usize) -> Option<At> {
    let dev = device::of(skb)?;
    let ifindex = device::ifindex(dev);
    if !config::is_near(side, ifindex) || (side == INGRESS && raw::is_given_back(skb)) {
        return None;
    }
    Some(At { ifindex, namespace: device::namespace(dev) })
}

/// Gives [`PARTS`] or one of its siblings, or 0.
#[inline(always)]
fn hop(ctx: &RawTracePointContext, side: usize) -> u32 {
    let skb: *const c_void = ctx.arg(0);
    let Some(At { ifindex, namespace }) = interface_of(skb, side) else { return 0 };
    let on_path = if namespace != layout::here_inum() {
        None
    } else if config::is_of_several() {
        own_number_of(skb, Owner::Hooks, ifindex, side)
    } else {
        hooks::hook_on(side, ifindex).map(HookFacts::number)
    };
    if let Some(number) = on_path {
        if side == INGRESS && is_inactive(number, ifindex) {
            return 0;
        }
        return follow(Owner::Hooks, skb, 0, number);
    }
    if config::is_of_several() {
        return 0;
    }
    let Some(port) = neighbours::key_in(ifindex, namespace) else { return 0 };
    let Some(inward) = neighbour::is_inward(port) else { return 0 };
    let side = if inward { 1 - side } else { side };
    // Not by an index: the compiler would add it to the stack's address in a way that the verifier does not know.
    let [ingress, egress] = config::beside(0);
    let number = if side == INGRESS { ingress } else { egress };
    follow(Owner::Hooks, skb, port, u32::from(number & 0xf))
}

/// Whether a bond throws away what it receives there, as the page of the hook's port says.
#[inline(always)]
fn is_inactive(number: u32, ifindex: u32) -> bool {
    control::gate(config::port(number)).is_some_and(|gate| gate.is_inactive(ifindex))
}

#[inline(always)]
fn several_beside(ctx: &RawTracePointContext, side: usize) -> u32 {
    let skb: *const c_void = ctx.arg(0);
    let Some(At { ifindex, namespace }) = interface_of(skb, side) else { return 0 };
    let Some(port) = neighbours::key_in(ifindex, namespace) else { return 0 };
    let own = if namespace == layout::here_inum() { ifindex } else { 0 };
    let Some(number) = number_beside_of(skb, port, own, side) else { return 0 };
    follow(Owner::Hooks, ctx.arg(0), port, number)
}
