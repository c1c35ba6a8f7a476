//! The programs' counters, added up over all CPUs.

use aya::Ebpf;
use hoptrace_common::{config::MAX_HOOKS, counters::HookCounters};

use super::{CollectError, mapped::Mapped};

/// Counters of all hooks.
#[derive(Debug)]
pub(super) struct Counters(Mapped<HookCounters>);

impl Counters {
    pub(super) fn new(object: &Ebpf) -> Result<Self, CollectError> {
        Mapped::of(object, "COUNTERS").map(Self)
    }

    /// The counters of hook number `hook`.
    pub(super) fn of(&self, hook: usize) -> HookCounters {
        let stride = u32::try_from(MAX_HOOKS).unwrap_or(u32::MAX);
        let hook = u32::try_from(hook).unwrap_or(u32::MAX);
        let cpus = self.0.len() / stride;
        (0..cpus)
            .filter_map(|cpu| self.0.read(cpu * stride + hook))
            .fold(HookCounters::default(), |sum, more| add(&sum, &more))
    }
}

fn add(sum: &HookCounters, more: &HookCounters) -> HookCounters {
    HookCounters {
        entered: sum.entered + more.entered,
        joined: sum.joined + more.joined,
        passed: sum.passed + more.passed,
        completed: sum.completed + more.completed,
        completed_crossed: sum.completed_crossed + more.completed_crossed,
        grouped: sum.grouped + more.grouped,
        untold: sum.untold + more.untold,
        lost: sum.lost + more.lost,
        lost_crossed: sum.lost_crossed + more.lost_crossed,
        copies: sum.copies + more.copies,
        overtaken: sum.overtaken + more.overtaken,
        clock_skew: sum.clock_skew + more.clock_skew,
        untracked: sum.untracked + more.untracked,
        unparsed: sum.unparsed + more.unparsed,
        ring_lost: sum.ring_lost + more.ring_lost,
        emitted: sum.emitted + more.emitted,
        split: sum.split + more.split,
        word: 0,
        merged: sum.merged + more.merged,
        reserved: [0; 5],
        scratch: [0; 8],
    }
}
