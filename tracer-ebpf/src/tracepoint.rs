//! The programs at tracepoints. They only look; the kernel goes on as without them.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{freed, upcall};

/// At `kfree_skb`.
#[raw_tracepoint]
pub(crate) fn hop_freed(ctx: RawTracePointContext) -> i32 {
    freed::freed(&ctx);
    0
}

/// At `ovs_dp_upcall`.
#[raw_tracepoint]
pub(crate) fn hop_upcall(ctx: RawTracePointContext) -> i32 {
    upcall::upcall(&ctx);
    0
}
