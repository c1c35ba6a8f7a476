//! What the collector asks of a source in the kernel beside the hooks at the interfaces.

use std::fmt;

use hoptrace_common::config::HookConfig;

use super::{counters::Counters, ledger::Account, sweep::Sweep};
use crate::model::{Direction, HookPlan, HookSet, Plan, Snapshot};

/// What one source has counted, and what that says. The collector walks a list of these and knows none of them by name; what
/// one has no use for, it leaves out.
pub trait Reading: fmt::Debug {
    /// The table was swept.
    fn follow(&mut self, _sight: &Sight<'_>) {}

    /// Of the packets on their way out that are lost behind `hooks` no more than `most` can have died.
    fn limit_losses(&mut self, _hooks: HookSet, _most: u64) {}

    /// Adds what the ledger of `direction` has to know.
    fn account(&self, _direction: Direction, _account: &mut Account) {}

    /// Adds what it has found to the figures of all hooks, whose ledgers are complete.
    fn tell(&self, _plan: &Plan, _snapshot: &mut Snapshot) {}
}

/// What there is to see each time the table was swept.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'s> {
    pub(super) plan: &'s Plan,
    pub(super) counters: &'s Counters,
    pub(super) sweep: &'s Sweep,
    pub(super) now_ns: u64,
}

impl Sight<'_> {
    /// What ended.
    pub(crate) const fn sweep(&self) -> &Sweep {
        self.sweep
    }

    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Packets that hooks had to give up so far, because their slots were needed before a sweep: direction, last hook, how many.
    pub(crate) fn given_up(&self) -> Vec<(u8, u8, u64)> {
        let of_hook = |(number, hook): (u8, &HookPlan)| {
            let counted = self.counters.of(number.into());
            let direction = hook.direction.index();
            [(direction, number, counted.lost), (1 - direction, number, counted.lost_crossed)]
        };
        let all = (0_u8..).zip(&self.plan.hooks).flat_map(of_hook);
        all.filter(|(.., count)| *count > 0).collect()
    }

    /// Packets that have passed the guest's tap so far.
    pub(crate) fn passed_to_guest(&self) -> u64 {
        let at_tap = |hook: &HookPlan| {
            hook.config.flags & HookConfig::GUEST != 0 && hook.direction == Direction::Ingress
        };
        self.plan.hooks.iter().position(at_tap).map_or(0, |number| self.counters.of(number).seen())
    }
}
