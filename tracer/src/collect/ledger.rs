//! From counters to the ledger of a direction. Pure.

use hoptrace_common::{config::HookConfig, counters::HookCounters};

use crate::model::{Direction, HookPlan, Ledger};

/// What the ledger of a direction has to know besides the counters of hooks: what sweeps and probes found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Account {
    /// Packets lost so far.
    pub(crate) lost: u64,
    /// Packets dropped so far.
    pub(crate) dropped: u64,
    /// Of those: behind their last hook, so that they count as completed there.
    pub(crate) dropped_done: u64,
    /// Copies that the kernel freed.
    pub(crate) copy_dropped: u64,
    /// Packets of which only copies beside the path were seen again.
    pub(crate) elsewhere: u64,
    /// Packets that were sent to a wrong port, and seen nowhere else.
    pub(crate) misdelivered: u64,
    /// Questions that the switch has answered; as many answers.
    pub(crate) by_switch: u64,
    /// Packets that looked lost behind the hook before the wire hook, and were not.
    pub(crate) unseen: u64,
    /// Packets on their way at the last sweep.
    pub(crate) in_flight: u64,
    /// Packets that had been given up, and came: those are lost no more, and have joined nowhere.
    pub(crate) late: u64,
}

/// The ledger of `direction` from the counters of all hooks.
pub(super) fn ledger(direction: Direction, hooks: &[(&HookPlan, HookCounters)], account: Account) -> Ledger {
    let mut ledger = Ledger {
        completed: account.elsewhere + account.unseen,
        elsewhere: account.elsewhere,
        misdelivered: account.misdelivered,
        unseen: account.unseen,
        lost: account.lost,
        dropped: account.dropped,
        copy_dropped: account.copy_dropped,
        in_flight: account.in_flight,
        late: account.late,
        ..Ledger::default()
    };
    for (plan, counters) in hooks {
        if plan.direction != direction {
            // A packet that crossed over ended at a hook of the other direction, but it entered in this one.
            ledger.completed += counters.completed_crossed;
            continue;
        }
        ledger.completed += counters.completed;
        if plan.is_neighbour() {
            ledger.elsewhere += counters.completed;
        }
        ledger.ambiguous += counters.untold;
        ledger.copies += counters.copies;
        ledger.untracked += counters.untracked;
        ledger.unparsed += counters.unparsed;
        ledger.clock_skew += counters.clock_skew + counters.overtaken;
        ledger.overtaken += counters.overtaken;
        ledger.ring_lost += counters.ring_lost;
        ledger.split += counters.split;
        ledger.merged += counters.merged;
        ledger.entered += counters.entered;
        // Pieces of large packets have a place of their own in the balance.
        ledger.joined_midway =
            ledger.joined_midway.wrapping_add(counters.joined).wrapping_sub(counters.split);
        if plan.config.flags & HookConfig::ENTRY != 0 {
            // Overtaken at the first hook: it joined before, and has entered after all.
            ledger.entered += counters.overtaken;
            ledger.joined_midway = ledger.joined_midway.wrapping_sub(counters.overtaken);
        }
    }
    ledger.completed = ledger.completed.saturating_sub(account.dropped_done);
    came_late(&mut ledger, account.late);
    answered_by_switch(&mut ledger, direction, account.by_switch);
    ledger.settled()
}

/// A packet that comes late was counted as joined where it came: midway, or, where a large one had ended before it, as a piece of that. Which of
/// them is not known where others joined, too: they are taken off those that joined midway as far as there are any.
fn came_late(ledger: &mut Ledger, count: u64) {
    let joined = ledger.joined_midway.cast_signed().max(0).unsigned_abs().min(count);
    ledger.joined_midway = ledger.joined_midway.wrapping_sub(joined);
    ledger.split = ledger.split.saturating_sub(count - joined);
}

/// A question that the switch answers ends there, which no hook counted; its answer begins there, which the hook behind counted as
/// joined.
fn answered_by_switch(ledger: &mut Ledger, direction: Direction, count: u64) {
    match direction {
        Direction::Egress => {
            ledger.by_switch = count;
            ledger.completed += count;
        }
        Direction::Ingress => {
            ledger.by_switch = count.min(ledger.joined_midway);
            ledger.entered += ledger.by_switch;
            ledger.joined_midway -= ledger.by_switch;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Side;

    fn hook(direction: Direction, flags: u8) -> HookPlan {
        HookPlan {
            label: "hook".to_owned(),
            interfaces: Vec::new(),
            side: Side::Ingress,
            direction,
            config: HookConfig { flags, ..HookConfig::default() },
        }
    }

    #[test]
    fn packets_that_look_alike_and_overtaken_ones_keep_the_balance() {
        let first = hook(Direction::Egress, HookConfig::ENTRY);
        let last = hook(Direction::Egress, HookConfig::TERMINAL);
        let other = hook(Direction::Ingress, HookConfig::TERMINAL);
        // Twelve come in, two of which look alike; one more overtook its first hook; one goes astray to the other side.
        let at_first =
            HookCounters { entered: 12, grouped: 1, untold: 2, overtaken: 1, ..HookCounters::default() };
        let at_last = HookCounters { joined: 1, completed: 8, ..HookCounters::default() };
        let at_other = HookCounters { completed_crossed: 1, ..HookCounters::default() };
        // One more is for a neighbour; of two others only copies were seen there.
        let beside = hook(Direction::Egress, HookConfig::NEIGHBOUR);
        let at_neighbour = HookCounters { completed: 1, copies: 2, ..HookCounters::default() };
        let account = Account { lost: 1, elsewhere: 2, ..Account::default() };
        let hooks = [(&first, at_first), (&last, at_last), (&other, at_other), (&beside, at_neighbour)];
        let ledger = ledger(Direction::Egress, &hooks, account);
        assert_eq!((ledger.entered, ledger.joined_midway), (13, 0));
        assert_eq!((ledger.completed, ledger.elsewhere, ledger.lost), (12, 3, 1));
        assert_eq!((ledger.ambiguous, ledger.clock_skew, ledger.copies), (2, 1, 2));
        assert!(ledger.balanced);
    }

    #[test]
    fn packets_that_the_wire_hook_was_not_shown_have_completed() {
        let first = hook(Direction::Egress, HookConfig::ENTRY);
        let last = hook(Direction::Egress, HookConfig::TERMINAL);
        let at_first = HookCounters { entered: 10, ..HookCounters::default() };
        let at_last = HookCounters { completed: 7, ..HookCounters::default() };
        let account = Account { lost: 1, unseen: 2, ..Account::default() };
        let ledger = ledger(Direction::Egress, &[(&first, at_first), (&last, at_last)], account);
        assert_eq!((ledger.completed, ledger.unseen, ledger.lost), (9, 2, 1));
        assert!(ledger.balanced);
    }

    #[test]
    fn a_packet_that_came_late_has_entered_once_and_completed() {
        let first = hook(Direction::Egress, HookConfig::ENTRY);
        let last = hook(Direction::Egress, HookConfig::TERMINAL);
        let at_first = HookCounters { entered: 10, ..HookCounters::default() };
        let at_last = HookCounters { joined: 3, completed: 8, ..HookCounters::default() };
        // Five were given up, of which two came.
        let account = Account { lost: 3, late: 2, ..Account::default() };
        let ledger = ledger(Direction::Egress, &[(&first, at_first), (&last, at_last)], account);
        assert_eq!((ledger.joined_midway, ledger.completed, ledger.lost, ledger.late), (1, 8, 3, 2));
        assert!(ledger.balanced);
    }

    #[test]
    fn a_late_packet_that_looks_like_a_piece_is_none() {
        let first = hook(Direction::Egress, HookConfig::ENTRY);
        let last = hook(Direction::Egress, HookConfig::TERMINAL);
        let at_first = HookCounters { entered: 10, ..HookCounters::default() };
        // Three were given up and came, two of them where a large one had ended; one more was really cut off it.
        let at_last = HookCounters { joined: 4, split: 3, completed: 11, ..HookCounters::default() };
        let account = Account { late: 3, ..Account::default() };
        let ledger = ledger(Direction::Egress, &[(&first, at_first), (&last, at_last)], account);
        assert_eq!((ledger.joined_midway, ledger.split, ledger.completed), (0, 1, 11));
        assert!(ledger.balanced);
    }

    #[test]
    fn packets_dropped_behind_their_last_hook_have_not_completed() {
        let first = hook(Direction::Egress, HookConfig::ENTRY);
        let last = hook(Direction::Egress, HookConfig::TERMINAL);
        let at_first = HookCounters { entered: 10, ..HookCounters::default() };
        let at_last = HookCounters { completed: 7, ..HookCounters::default() };
        // Two between the hooks, four behind the last one.
        let account = Account { lost: 1, dropped: 6, dropped_done: 4, copy_dropped: 5, ..Account::default() };
        let ledger = ledger(Direction::Egress, &[(&first, at_first), (&last, at_last)], account);
        assert_eq!((ledger.completed, ledger.dropped, ledger.lost, ledger.copy_dropped), (3, 6, 1, 5));
        assert!(ledger.balanced);
    }
}
