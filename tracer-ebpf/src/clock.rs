//! The clock that everything is timed by.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;

/// The time, in nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: takes nothing and always succeeds.
    unsafe { bpf_ktime_get_ns() }
}
