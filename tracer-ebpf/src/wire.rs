//! The wire hook: the raw tracepoint `net_dev_start_xmit`, where the kernel hands a packet to the NIC's driver, behind the
//! queueing discipline.
//!
//! One program for all NICs of a path. The kernel runs it for every packet that any device sends, so it looks at the
//! device first.

use core::ffi::c_void;

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{
    device,
    follow::follow,
    maps::{config, costs, room::Owner},
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
    let Some(number) = config::wire_hook(ifindex) else { return };
    if device::is_here(dev) {
        // Nothing is merged between the NIC's discipline and its driver.
        follow(Owner::Wire, ctx.arg(0), 0, number);
    }
}
