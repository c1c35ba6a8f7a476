//! Packets that died before the path's first hook: a cause's own sites, beside those of packets that hooks have seen.

use hoptrace_common::drops::Example;

use super::{
    deaths::Deaths,
    sites::{ByCpu, Cause, on_cpus},
};
use crate::model::{Direction, EarlyDrop};

/// Those of one cause.
#[derive(Debug, Clone)]
pub(super) struct Early {
    /// The hook that would have been the first to see them.
    pub(super) hook: u8,
    pub(super) cause: Cause,
    pub(super) by_cpu: ByCpu,
    pub(super) first_ns: u64,
    pub(super) last_ns: u64,
    pub(super) example: Option<Example>,
}

impl Early {
    fn count(&self) -> u64 {
        self.by_cpu.values().sum()
    }
}

impl Deaths {
    /// The packets of `direction` that died before its first hook, the most first. `label` names the hooks.
    pub(super) fn early(&self, direction: Direction, label: impl Fn(usize) -> String) -> Vec<EarlyDrop> {
        let mut found = self.sites.early(direction.index());
        found.sort_by_key(|early| std::cmp::Reverse(early.count()));
        let mut names = self.names.borrow_mut();
        names.learn(found.iter().map(|early| early.cause));
        let told = found.iter().map(|early| {
            let name = names.of(early.cause);
            EarlyDrop {
                before: label(usize::from(early.hook)),
                reason: name.reason,
                subsystem: name.subsystem,
                location: name.location,
                count: early.count(),
                cpus: on_cpus(&early.by_cpu),
                first_ns: self.clock.at(early.first_ns),
                last_ns: self.clock.at(early.last_ns),
                example: early.example.map(|example| self.example(&example)),
                advice: String::new(),
            }
        });
        told.collect()
    }
}
