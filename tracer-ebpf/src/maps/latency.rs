//! Latency figures per CPU and segment: exact sums, and a log-linear histogram.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::{
    counters::SegmentStats,
    histogram::{BUCKETS, bucket_of},
};

use super::{MMAPABLE, config, counters, hooks::Scope};
use crate::atomic;

/// One entry per possible CPU and segment; the loader sets the size.
#[map]
static SEGMENTS: Array<SegmentStats> = Array::with_max_entries(1, MMAPABLE);

/// `BUCKETS` entries per possible CPU and segment; of several ports per segment only, for all CPUs together. The loader sets the
/// size.
#[map]
static LATENCIES: Array<u64> = Array::with_max_entries(BUCKETS, MMAPABLE);

/// Records one latency on `cpu`, which must be the running one.
#[inline(always)]
pub(crate) fn record(cpu: u32, segment: u32, latency_ns: u64) {
    record_of(cpu, segment, latency_ns, Scope::Asked);
}

/// The same in a program that is for `scope` only.
#[inline(always)]
pub(crate) fn record_of(cpu: u32, segment: u32, latency_ns: u64, scope: Scope) {
    let block = cpu * config::segments() + segment;
    if let Some(stats) = SEGMENTS.get_ptr_mut(block) {
        // SAFETY: a map value that only this CPU writes.
        unsafe { (*stats).record(latency_ns) };
    }
    add(block, latency_ns, 1, scope);
}

/// Adds `change` to the bucket of `latency_ns`, of a segment's figures on the running CPU.
#[inline(always)]
fn add(block: u32, latency_ns: u64, change: u64, scope: Scope) {
    if scope.is_of_several() {
        let segment = block.wrapping_sub(counters::cpu() * config::segments());
        if let Some(bucket) = LATENCIES.get_ptr_mut(segment * BUCKETS + bucket_of(latency_ns)) {
            // SAFETY: a map value, aligned to eight bytes.
            unsafe { atomic::fetch_add_u64(bucket, change) };
        }
        return;
    }
    if let Some(bucket) = LATENCIES.get_ptr_mut(block * BUCKETS + bucket_of(latency_ns)) {
        // SAFETY: a map value that only this CPU writes; user space adds up two's complements.
        unsafe { *bucket = (*bucket).wrapping_add(change) };
    }
}

/// Counts a packet on `cpu` that passed a segment in unknown time.
#[inline(always)]
pub(crate) fn record_untimed(cpu: u32, segment: u32) {
    if let Some(stats) = SEGMENTS.get_ptr_mut(cpu * config::segments() + segment) {
        // SAFETY: a map value that only this CPU writes.
        unsafe { (*stats).untimed += 1 };
    }
}

/// Counts a packet on `cpu` that passed a segment and was not to be timed.
#[inline(always)]
pub(crate) fn record_unasked(cpu: u32, segment: u32) {
    change_unasked(cpu, segment, 1);
}

/// Takes such a packet back.
#[inline(always)]
pub(crate) fn take_back_unasked(cpu: u32, segment: u32) {
    change_unasked(cpu, segment, u64::MAX);
}

#[inline(always)]
fn change_unasked(cpu: u32, segment: u32, change: u64) {
    if let Some(stats) = SEGMENTS.get_ptr_mut(cpu * config::segments() + segment) {
        // SAFETY: a map value that only this CPU writes; user space adds up two's complements.
        unsafe { (*stats).unasked = (*stats).unasked.wrapping_add(change) };
    }
}

/// Takes back a latency that some CPU recorded.
#[inline(always)]
pub(crate) fn take_back(cpu: u32, segment: u32, latency_ns: u64) {
    let block = cpu * config::segments() + segment;
    if let Some(stats) = SEGMENTS.get_ptr_mut(block) {
        // SAFETY: a map value that only this CPU writes.
        unsafe { (*stats).take_back(latency_ns) };
    }
    add(block, latency_ns, u64::MAX, Scope::Asked);
}
