//! What `floor` does, and the least that a report needs beside it: whose packet it is, whether the slot is its own, what the
//! hook counts, and the latencies of the segment and of the whole way with sum, extremes and histogram. No rules for what
//! goes wrong (two packets with one identity, a slot that is taken, copies, drops), no filter, and a way of two hooks.

use aya_ebpf::{
    bindings::{__sk_buff, tcx_action_base::TCX_NEXT},
    helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::{classifier, map},
    maps::Array,
    programs::TcContext,
};
use hoptrace_common::packet::{Frame, parse_usual};

use crate::{
    atomic,
    figures::{self, HOOKS, record},
    floor::{SLOTS, Slot},
    reader::Direct,
};

/// States of a slot here.
pub(crate) const LIVE: u64 = 1;
pub(crate) const BUSY: u64 = 2;

#[map]
static TOLD: Array<Slot> = Array::with_max_entries(SLOTS, 0);

/// At the first hook of a way.
#[classifier]
#[inline(always)]
pub(crate) fn told_first(ctx: TcContext) -> i32 {
    visit(ctx.skb.skb, 0);
    TCX_NEXT
}

/// At the last.
#[classifier]
#[inline(always)]
pub(crate) fn told_last(ctx: TcContext) -> i32 {
    visit(ctx.skb.skb, HOOKS - 1);
    TCX_NEXT
}

#[inline(always)]
fn visit(skb: *mut __sk_buff, hook: u32) {
    // SAFETY: the context of the running program.
    let direct = unsafe { Direct::new(skb, core::ptr::null_mut()) };
    let Some(frame) = Frame::read_untagged(&direct) else { return };
    if frame.source != figures::vm_mac() {
        return;
    }
    // SAFETY: takes nothing and always succeeds.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let Some(counted) = figures::of_hook(cpu, hook) else { return };
    let Some(packet) = parse_usual(&direct, &frame) else { return };
    let Some(slot) = TOLD.get_ptr_mut(packet.identity as u32 & (SLOTS - 1)) else { return };
    // SAFETY: takes nothing and always succeeds.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: a map value, its fields aligned.
    let first_ns = unsafe {
        let control = atomic::load(&raw const (*slot).control);
        let first_ns = if hook == 0 { now_ns } else { atomic::load(&raw const (*slot).now_ns) };
        if hook != 0 && (control != LIVE || atomic::load(&raw const (*slot).key) != packet.identity) {
            return;
        }
        if !atomic::compare_exchange(&raw mut (*slot).control, control, BUSY) {
            return;
        }
        if hook == 0 {
            atomic::store(&raw mut (*slot).key, packet.identity);
            atomic::store(&raw mut (*slot).now_ns, now_ns);
        }
        atomic::store(&raw mut (*slot).control, LIVE);
        first_ns
    };
    if hook == 0 {
        counted.entered += 1;
        return;
    }
    let latency_ns = now_ns.wrapping_sub(first_ns);
    record(cpu, hook, latency_ns);
    record(cpu, HOOKS, latency_ns);
    counted.passed += 1;
    counted.completed += 1;
}
