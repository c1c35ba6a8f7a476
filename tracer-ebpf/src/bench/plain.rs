//! Programs that do nothing, and nothing but read the clock: the floor that a hook stands on.

use aya_ebpf::{
    bindings::{
        tcx_action_base::{TCX_DROP, TCX_NEXT},
        xdp_action::{XDP_ABORTED, XDP_PASS},
    },
    helpers::generated::bpf_ktime_get_ns,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};

/// Does nothing.
#[classifier]
#[inline(always)]
pub(crate) fn empty(_ctx: TcContext) -> i32 {
    TCX_NEXT
}

/// Reads the clock once. What it says decides what is returned, so that the compiler cannot leave the call out.
#[classifier]
#[inline(always)]
pub(crate) fn clock(_ctx: TcContext) -> i32 {
    // SAFETY: takes nothing and always succeeds.
    if unsafe { bpf_ktime_get_ns() } == 0 { TCX_DROP } else { TCX_NEXT }
}

/// [`empty`] for XDP.
#[xdp(frags)]
#[inline(always)]
pub(crate) fn empty_xdp(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// [`clock`] for XDP.
#[xdp(frags)]
#[inline(always)]
pub(crate) fn clock_xdp(_ctx: XdpContext) -> u32 {
    // SAFETY: takes nothing and always succeeds.
    if unsafe { bpf_ktime_get_ns() } == 0 { XDP_ABORTED } else { XDP_PASS }
}
