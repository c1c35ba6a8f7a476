//! The least that it takes to follow and count a packet that is not timed: whose it is, its slot by its identity, taken by compare-exchange,
//! the coarse clock for the slot's age, and the counts of the hook, the segment and the whole way. As in [`crate::told`], no rules, no filter, and a
//! way of two hooks: what `--timed 1:N` takes beyond this is its own doing.

use aya_ebpf::{
    bindings::{__sk_buff, tcx_action_base::TCX_NEXT},
    helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_coarse_ns},
    macros::{classifier, map},
    maps::Array,
    programs::TcContext,
};
use hoptrace_common::packet::{Frame, parse_usual};

use crate::{
    atomic,
    figures::{self, HOOKS, count},
    floor::{SLOTS, Slot},
    reader::Direct,
    told::{BUSY, LIVE},
};

#[map]
static FOLLOWED: Array<Slot> = Array::with_max_entries(SLOTS, 0);

/// At the first hook of a way.
#[classifier]
#[inline(always)]
pub(crate) fn counted_first(ctx: TcContext) -> i32 {
    visit(ctx.skb.skb, 0);
    TCX_NEXT
}

/// At the last.
#[classifier]
#[inline(always)]
pub(crate) fn counted_last(ctx: TcContext) -> i32 {
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
    let Some(slot) = FOLLOWED.get_ptr_mut(packet.identity as u32 & (SLOTS - 1)) else { return };
    // SAFETY: takes nothing and always succeeds.
    let now_ns = unsafe { bpf_ktime_get_coarse_ns() };
    // SAFETY: a map value, its fields aligned.
    unsafe {
        let control = atomic::load(&raw const (*slot).control);
        if hook != 0 && (control != LIVE || atomic::load(&raw const (*slot).key) != packet.identity) {
            return;
        }
        if !atomic::compare_exchange(&raw mut (*slot).control, control, BUSY) {
            return;
        }
        if hook == 0 {
            atomic::store(&raw mut (*slot).key, packet.identity);
        }
        atomic::store(&raw mut (*slot).now_ns, now_ns);
        atomic::store(&raw mut (*slot).control, LIVE);
    }
    if hook == 0 {
        counted.entered += 1;
        return;
    }
    count(cpu, hook);
    count(cpu, HOOKS);
    counted.passed += 1;
    counted.completed += 1;
}
