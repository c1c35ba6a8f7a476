//! The books, kept as the programs and the collector keep them.

use std::ops::AddAssign;

use hoptrace_common::inflight::{End, Hook, Kind, Marked, Outcome, Settled};

/// Counts of both directions together: a packet that crosses stays in one balance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) entered: i64,
    pub(crate) joined: i64,
    pub(crate) withdrawn_entered: i64,
    pub(crate) withdrawn_joined: i64,
    pub(crate) passed: i64,
    pub(crate) completed: i64,
    pub(crate) evicted: i64,
    pub(crate) ambiguous: i64,
    pub(crate) copies: i64,
    /// Overtaken at the first hook: joined before, entered after all.
    pub(crate) overtaken_at_entry: i64,
    pub(crate) overtaken: i64,
    pub(crate) untracked: i64,
    pub(crate) lost: i64,
    pub(crate) dropped: i64,
    /// Frees of packets in the table, whatever came of them.
    pub(crate) freed: i64,
    pub(crate) elsewhere: i64,
    pub(crate) merged: i64,
    pub(crate) in_flight: i64,
}

impl Ledger {
    pub(crate) fn count(&mut self, hook: Hook, outcome: &Outcome) {
        match outcome.kind {
            Kind::New => {
                if hook.entry {
                    self.entered += 1;
                } else {
                    self.joined += 1;
                }
                self.completed += i64::from(hook.terminal);
                self.evicted += i64::from(outcome.hook != 0);
            }
            Kind::Passed => {
                self.passed += 1;
                self.completed += i64::from(hook.terminal);
            }
            Kind::Ambiguous => {
                self.ambiguous += 1;
                self.evicted += i64::from(outcome.hook != 0);
                if outcome.withdrawn.any() && outcome.withdrawn.joined() {
                    self.withdrawn_joined += 1;
                } else if outcome.withdrawn.any() {
                    self.withdrawn_entered += 1;
                }
            }
            Kind::Copy | Kind::Aside => self.copies += 1,
            Kind::Overtaken if hook.entry => self.overtaken_at_entry += 1,
            Kind::Overtaken => self.overtaken += 1,
            Kind::Untracked => self.untracked += 1,
            Kind::Missing => {}
            Kind::Retry => panic!("a visit never ends with a retry"),
        }
    }

    pub(crate) fn settle(&mut self, settled: Settled) {
        match settled {
            Settled::Ended(packet) => match packet.end() {
                End::Lost => self.lost += 1,
                End::Elsewhere => self.elsewhere += 1,
                End::Dropped(_) => self.dropped += 1,
            },
            Settled::InFlight(_) => self.in_flight += 1,
            Settled::Idle | Settled::Freed => {}
        }
    }

    pub(crate) fn free(&mut self, marked: Marked) {
        self.freed += 1;
        if marked == Marked::Dropped {
            self.completed -= 1;
            self.dropped += 1;
        }
    }

    /// Frees that were not the end of a packet.
    pub(crate) fn copies_freed(&self) -> i64 {
        self.freed - self.dropped
    }

    /// Packets counted as entered that were not taken back.
    pub(crate) fn net_entered(&self) -> i64 {
        self.entered + self.overtaken_at_entry - self.withdrawn_entered
    }

    /// Packets counted as joined midway that were not taken back and have not entered after all.
    pub(crate) fn net_joined(&self) -> i64 {
        self.joined - self.overtaken_at_entry - self.withdrawn_joined
    }

    pub(crate) fn assert_balanced(&self) {
        assert_eq!(
            self.net_entered() + self.net_joined(),
            self.completed
                + self.lost
                + self.dropped
                + self.elsewhere
                + self.merged
                + self.evicted
                + self.in_flight,
            "{self:?}"
        );
        assert!(self.net_entered() >= 0 && self.net_joined() >= 0, "{self:?}");
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.entered += other.entered;
        self.joined += other.joined;
        self.withdrawn_entered += other.withdrawn_entered;
        self.withdrawn_joined += other.withdrawn_joined;
        self.passed += other.passed;
        self.completed += other.completed;
        self.evicted += other.evicted;
        self.ambiguous += other.ambiguous;
        self.copies += other.copies;
        self.overtaken_at_entry += other.overtaken_at_entry;
        self.overtaken += other.overtaken;
        self.untracked += other.untracked;
        self.lost += other.lost;
        self.dropped += other.dropped;
        self.freed += other.freed;
        self.elsewhere += other.elsewhere;
        self.merged += other.merged;
        self.in_flight += other.in_flight;
    }
}
