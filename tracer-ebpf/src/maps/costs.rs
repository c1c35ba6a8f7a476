//! What programs at tracepoints cost, measured by themselves.
//!
//! The kernel's own statistics read the clock twice for each run of every program, and are switched by patching the kernel's code
//! where all these programs run. So here one run in so many reads the clock.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use hoptrace_common::counters::MEASURED_ONE_OF;

use crate::clock::now_ns;

#[map]
static COSTS: PerCpuArray<Cost> = PerCpuArray::with_max_entries(1, 0);

/// Of this CPU.
#[repr(C)]
struct Cost {
    /// Runs.
    runs: u64,
    /// Those that were measured.
    measured: u64,
    /// How long these took together.
    time_ns: u64,
}

/// A run begins: when, if it is measured; else 0.
#[inline(always)]
pub(crate) fn begin() -> u64 {
    let Some(cost) = COSTS.get_ptr_mut(0) else { return 0 };
    // SAFETY: a map value of this CPU; what a program that interrupts this one adds may be lost.
    let runs = unsafe {
        (*cost).runs += 1;
        (*cost).runs
    };
    if runs & (MEASURED_ONE_OF - 1) == 0 { now_ns() } else { 0 }
}

/// The run that [`begin`] gave `began` for ends.
#[inline(always)]
pub(crate) fn end(began: u64) {
    if began == 0 {
        return;
    }
    if let Some(cost) = COSTS.get_ptr_mut(0) {
        let time_ns = now_ns().wrapping_sub(began);
        // SAFETY: likewise.
        unsafe {
            (*cost).measured += 1;
            (*cost).time_ns += time_ns;
        }
    }
}
