//! Counters per CPU and hook.

use aya_ebpf::{helpers::generated::bpf_get_smp_processor_id, macros::map, maps::Array};
use hoptrace_common::{config::MAX_HOOKS, counters::HookCounters};

use super::MMAPABLE;

/// `MAX_HOOKS` entries per possible CPU; the loader sets the size.
#[map]
static COUNTERS: Array<HookCounters> = Array::with_max_entries(MAX_HOOKS as u32, MMAPABLE);

/// This CPU's number.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: takes nothing and always succeeds.
    unsafe { bpf_get_smp_processor_id() }
}

/// The counters of `hook` on `cpu`, which must be the running one.
#[inline(always)]
pub(crate) fn of(cpu: u32, hook: u32) -> Option<&'static mut HookCounters> {
    let counters = COUNTERS.get_ptr_mut(cpu * MAX_HOOKS as u32 + hook)?;
    // SAFETY: a map value of its own for each CPU; programs at TC run with bottom halves off, so no other on this
    // CPU holds it at the same time.
    Some(unsafe { &mut *counters })
}
