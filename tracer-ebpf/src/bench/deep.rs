//! As in the tracer's object; copies are in one place only.

use hoptrace_common::packet;

use crate::{buffered::Buffered, figures, maps::scratch};

/// [`packet::deep_sum`] of a copy of `len` bytes; 0: it is not all there.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_deep(_place: u32, len: u32, start: u32, end: u32) -> u64 {
    let Some(copy) = scratch::buffer() else { return 0 };
    // SAFETY: takes nothing and always succeeds.
    let cpu = unsafe { aya_ebpf::helpers::generated::bpf_get_smp_processor_id() };
    let Some(counted) = figures::of_hook(cpu, 0) else { return 0 };
    // SAFETY: such a buffer, and a word of this CPU.
    let copy = unsafe { Buffered::new(copy, len, counted.scratch.as_mut_ptr()) };
    packet::deep_sum(&copy, start, end).unwrap_or(0)
}
