//! The clock that everything is timed by, and the one for packets that are not timed.

use aya_ebpf::helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};
use hoptrace_common::inflight::Clock;

use crate::maps::{config, control::Gate};

/// The time, in nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: takes nothing and always succeeds.
    unsafe { bpf_ktime_get_ns() }
}

/// When a hook saw a packet.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    /// In nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) ns: u64,
    /// By this clock.
    pub(crate) clock: Clock,
}

/// Now, at a hook that sees the packet `key` of the table: by the exact clock if it is one of those that are timed. All hooks that look
/// at the page of the packet's port at the same time come to the same.
#[inline(always)]
pub(crate) fn moment(gate: Gate, key: u64) -> Moment {
    if is_untimed(gate, key) {
        // SAFETY: takes nothing and always succeeds. From kernel 5.11.
        return Moment { ns: unsafe { bpf_ktime_get_coarse_ns() }, clock: Clock::Coarse };
    }
    Moment { ns: now_ns(), clock: Clock::Exact }
}

/// The same at a tracepoint, whose programs may not ask the coarse clock, on 6.18 either: they save no more than to keep latencies.
#[inline(always)]
pub(crate) fn moment_at_tracepoint(gate: Gate, key: u64) -> Moment {
    let clock = if is_untimed(gate, key) { Clock::Coarse } else { Clock::Exact };
    Moment { ns: now_ns(), clock }
}

#[inline(always)]
fn is_untimed(gate: Gate, key: u64) -> bool {
    config::sharing() != 0 && key < gate.untimed_below()
}

impl Moment {
    /// The exact time; 0 if that clock was not asked.
    #[inline(always)]
    pub(crate) const fn exact_ns(self) -> u64 {
        if matches!(self.clock, Clock::Exact) { self.ns } else { 0 }
    }
}
