//! What a report needs of each hook and segment, counted as simply as can be, per CPU.

use aya_ebpf::{Global, macros::map, maps::Array};
use hoptrace_common::{
    counters::SegmentStats,
    histogram::{BUCKETS, bucket_of},
};

/// Hooks: the first of a way and the last.
pub(crate) const HOOKS: u32 = 2;
const CPUS_MAX: u32 = 64;

/// The VM's MAC address, its six bytes read as a little-endian number; the loader sets it.
#[unsafe(no_mangle)]
static VM_MAC: Global<u64> = Global::new(0);

/// Counters of one hook on one CPU.
#[repr(C)]
pub(crate) struct Counted {
    pub(crate) entered: u64,
    pub(crate) passed: u64,
    pub(crate) completed: u64,
    pub(crate) untracked: u64,
    pub(crate) scratch: [u64; 4],
}

#[map]
static COUNTED: Array<Counted> = Array::with_max_entries(CPUS_MAX * HOOKS, 0);

#[map]
static FIGURES: Array<SegmentStats> = Array::with_max_entries(CPUS_MAX * (HOOKS + 1), 0);

#[map]
static BINS: Array<u64> = Array::with_max_entries(CPUS_MAX * (HOOKS + 1) * BUCKETS, 0);

#[inline(always)]
pub(crate) fn vm_mac() -> u64 {
    VM_MAC.load()
}

/// The counters of `hook` on `cpu`, which must be the running one.
#[inline(always)]
pub(crate) fn of_hook(cpu: u32, hook: u32) -> Option<&'static mut Counted> {
    let counted = COUNTED.get_ptr_mut(cpu * HOOKS + hook)?;
    // SAFETY: a map value of this CPU.
    Some(unsafe { &mut *counted })
}

/// Counts a packet of that segment, of which no latency is known.
#[inline(always)]
pub(crate) fn count(cpu: u32, segment: u32) {
    if let Some(figures) = FIGURES.get_ptr_mut(cpu * (HOOKS + 1) + segment) {
        // SAFETY: a map value of this CPU.
        unsafe { (*figures).unasked += 1 };
    }
}

/// Records a latency of the segment that ends at hook `segment`; [`HOOKS`] is the whole way.
#[inline(always)]
pub(crate) fn record(cpu: u32, segment: u32, latency_ns: u64) {
    let block = cpu * (HOOKS + 1) + segment;
    if let Some(figures) = FIGURES.get_ptr_mut(block) {
        // SAFETY: a map value of this CPU.
        unsafe { (*figures).record(latency_ns) };
    }
    if let Some(bin) = BINS.get_ptr_mut(block * BUCKETS + bucket_of(latency_ns)) {
        // SAFETY: likewise.
        unsafe { *bin += 1 };
    }
}
