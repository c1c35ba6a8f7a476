//! The wire hook: the raw tracepoint `net_dev_start_xmit`, where the kernel hands a packet to the NIC's driver, behind the
//! queueing discipline.
//!
//! One program for all NICs of a path. The kernel runs it for every packet that any device sends, so it looks at the
//! device first.

use core::ffi::c_void;

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use hoptrace_common::ports::Whose;

use crate::{
    device,
    follow::follow,
    maps::{config, costs, room::Owner, several},
    several::own_number_of,
};

/// Arguments: the packet, the device.
#[raw_tracepoint]
#[inline(always)]
pub(crate) fn hop_wire(ctx: RawTracePointContext) -> i32 {
    let began = costs::begin();
    hop(&ctx);
    costs::end(began);
    0
}

#[inline(always)]
fn hop(ctx: &RawTracePointContext) {
    let dev: *const c_void = ctx.arg(1);
    let ifindex = device::ifindex(dev);
    let is_near = if config::is_of_several() {
        several::whose(ifindex).is_some()
    } else {
        config::wire_hook(ifindex).is_some()
    };
    if !is_near || !device::is_here(dev) {
        return;
    }
    let number = if config::is_of_several() {
        own_number_of(ctx.arg(0), Owner::Wire, ifindex, Whose::WIRE)
    } else {
        config::wire_hook(ifindex)
    };
    if let Some(number) = number {
        // Nothing is merged between the NIC's discipline and its driver.
        follow(Owner::Wire, ctx.arg(0), 0, number);
    }
}
