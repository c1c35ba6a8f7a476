//! The programs' counters, added up over all CPUs.

use std::rc::Rc;

use aya::Ebpf;
use hoptrace_common::counters::HookCounters;

use super::{CollectError, Mapped, Maps, Share};

/// Counters of all hooks of one port.
#[derive(Debug)]
pub(super) struct Counters {
    all: Rc<Mapped<HookCounters>>,
    share: Share,
}

impl Counters {
    pub(super) fn new(object: &Ebpf, maps: &Maps, share: Share) -> Result<Self, CollectError> {
        Ok(Self { all: maps.array(object, "COUNTERS")?, share })
    }

    /// The counters of the hook at `place` in the plan.
    pub(super) fn of(&self, place: usize) -> HookCounters {
        let of_cpus = self.share.hook(place, self.all.len()).filter_map(|at| self.all.read(at));
        of_cpus.fold(HookCounters::default(), |sum, more| add(&sum, &more))
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
        groups: sum.groups + more.groups,
        reserved: [0; 4],
        scratch: [0; 8],
    }
}
