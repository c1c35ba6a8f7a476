//! The least that any exact tracer of this kind does with a packet at a hook: reads the clock and the headers, finds the
//! packet's slot by its identity, takes it by compare-exchange, and gives it back with the time. No rules, no counters, no
//! figures: what a hook takes beyond this is its own doing, what this takes is not.

use aya_ebpf::{
    bindings::{__sk_buff, tcx_action_base::TCX_NEXT},
    helpers::generated::bpf_ktime_get_ns,
    macros::{classifier, map},
    maps::Array,
    programs::TcContext,
};
use hoptrace_common::packet::{Frame, parse_usual};

use crate::{atomic, reader::Direct};

/// As many as the in-flight table has by default.
pub(crate) const SLOTS: u32 = 65_536;

/// A cache line.
#[repr(C, align(64))]
pub(crate) struct Slot {
    pub(crate) control: u64,
    pub(crate) key: u64,
    pub(crate) now_ns: u64,
    rest: [u64; 5],
}

#[map]
static FLOOR: Array<Slot> = Array::with_max_entries(SLOTS, 0);

/// See the module.
#[classifier]
#[inline(always)]
pub(crate) fn floor(ctx: TcContext) -> i32 {
    visit(ctx.skb.skb);
    TCX_NEXT
}

#[inline(always)]
fn visit(skb: *mut __sk_buff) {
    // SAFETY: the context of the running program.
    let direct = unsafe { Direct::new(skb, core::ptr::null_mut()) };
    let Some(frame) = Frame::read_untagged(&direct) else { return };
    let Some(packet) = parse_usual(&direct, &frame) else { return };
    let Some(slot) = FLOOR.get_ptr_mut(packet.identity as u32 & (SLOTS - 1)) else { return };
    // SAFETY: takes nothing and always succeeds.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: a map value, its fields aligned.
    unsafe {
        let control = atomic::load(&raw const (*slot).control);
        if atomic::compare_exchange(&raw mut (*slot).control, control, control | 1) {
            atomic::store(&raw mut (*slot).key, packet.identity);
            atomic::store(&raw mut (*slot).now_ns, now_ns);
            atomic::store(&raw mut (*slot).control, control);
        }
    }
}
