//! The same job on the kernel's own LRU hash map: what the in-flight table is held against.
//!
//! It parses and identifies packets with the same code, reads the clock once, keeps the hooks passed and their times
//! per packet, counts per CPU, and has the same histogram. It knows no ambiguity, no overtaking and no withdrawal:
//! what it leaves out makes it faster.

use aya_ebpf::{
    bindings::{__sk_buff, tcx_action_base::TCX_NEXT},
    helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::{classifier, map},
    maps::LruHashMap,
    programs::TcContext,
};
use hoptrace_common::packet::{Frame, parse};

use crate::{
    figures::{self, HOOKS, record},
    reader::Direct,
};

/// As many packets as the in-flight table holds by default.
const FLOWS_MAX: u32 = 65_536;

/// A packet on its way.
#[repr(C)]
struct Way {
    first_ns: u64,
    last_ns: u64,
    passed: u32,
    last: u32,
    deltas_ns: [u32; 8],
}

#[map]
static WAYS: LruHashMap<u64, Way> = LruHashMap::with_max_entries(FLOWS_MAX, 0);

macro_rules! hooks {
    ($($name:ident $number:literal)*) => {$(
        #[classifier]
        #[inline(always)]
        pub(crate) fn $name(ctx: TcContext) -> i32 {
            visit(ctx.skb.skb, $number);
            TCX_NEXT
        }
    )*};
}

hooks! { lru_first 0 lru_last 1 }

#[inline(always)]
fn visit(skb: *mut __sk_buff, hook: u32) {
    // SAFETY: takes nothing and always succeeds.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let Some(counted) = figures::of_hook(cpu, hook) else { return };
    // SAFETY: the context of the running program, and a map value of this CPU.
    let direct = unsafe { Direct::new(skb, counted.scratch.as_mut_ptr()) };
    let Some(frame) = Frame::read(&direct) else { return };
    if frame.source != figures::vm_mac() {
        return;
    }
    let Ok(packet) = parse(&direct, &frame) else { return };
    // SAFETY: takes nothing and always succeeds.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let known = WAYS.get_ptr_mut(packet.identity);
    match known {
        Some(way) if hook != 0 => {
            // SAFETY: a map value; the kernel keeps it while the program runs.
            let way = unsafe { &mut *way };
            record(cpu, hook, now_ns.wrapping_sub(way.last_ns));
            let total_ns = now_ns.wrapping_sub(way.first_ns);
            way.deltas_ns[hook as usize] = total_ns as u32;
            way.last_ns = now_ns;
            way.passed |= 1 << hook;
            way.last = hook;
            counted.passed += 1;
            if hook == HOOKS - 1 {
                record(cpu, HOOKS, total_ns);
                counted.completed += 1;
            }
        }
        _ => {
            let way =
                Way { first_ns: now_ns, last_ns: now_ns, passed: 1 << hook, last: hook, deltas_ns: [0; 8] };
            counted.entered += 1;
            if WAYS.insert(packet.identity, &way, 0).is_err() {
                counted.untracked += 1;
            }
        }
    }
}
