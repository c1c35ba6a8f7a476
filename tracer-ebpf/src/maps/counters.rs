//! Counters per CPU and hook.

use aya_ebpf::{helpers::generated::bpf_get_smp_processor_id, macros::map, maps::Array};
use hoptrace_common::{config::MAX_HOOKS, counters::HookCounters};

use super::{MMAPABLE, config, hooks::HookFacts};

/// `MAX_HOOKS` entries per possible CPU and port; the loader sets the size.
#[map]
static COUNTERS: Array<HookCounters> = Array::with_max_entries(MAX_HOOKS as u32, MMAPABLE);

/// This CPU's number.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: takes nothing and always succeeds.
    unsafe { bpf_get_smp_processor_id() }
}

/// For which port something is counted, and on which CPU: the running one.
#[derive(Clone, Copy)]
pub(crate) struct Here {
    pub(crate) cpu: u32,
    pub(crate) port: u32,
}

/// The counters of `hook`, which has this number, on `cpu`, which must be the running one.
#[inline(always)]
pub(crate) fn of_hook(cpu: u32, hook: HookFacts, number: u32) -> Option<&'static mut HookCounters> {
    let ports = if hook.scope().is_of_several() { config::ports() } else { 1 };
    at(cpu * ports * MAX_HOOKS as u32 + number)
}

/// What is counted for `port` on `cpu`, in arrays with an entry for each port and CPU.
#[inline(always)]
pub(crate) fn block(cpu: u32, port: u32) -> u32 {
    if config::is_of_several() { cpu * config::ports() + port } else { cpu }
}

/// The counters of hook `number` on `cpu`, which must be the running one.
#[inline(always)]
pub(crate) fn of(cpu: u32, number: u32) -> Option<&'static mut HookCounters> {
    at(block(cpu, 0) * MAX_HOOKS as u32 + number)
}

#[inline(always)]
fn at(index: u32) -> Option<&'static mut HookCounters> {
    let counters = COUNTERS.get_ptr_mut(index)?;
    // SAFETY: a map value of its own for each CPU; programs at TC run with bottom halves off, so no other on this
    // CPU holds it at the same time.
    Some(unsafe { &mut *counters })
}
