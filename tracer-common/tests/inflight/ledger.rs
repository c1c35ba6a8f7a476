//! The books, kept as the programs and the collector keep them.

use std::ops::AddAssign;

use hoptrace_common::inflight::{End, Fate, Hook, Kind, Marked, Outcome, Settled};

/// Counts of both directions together: a packet that crosses stays in one balance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) entered: i64,
    pub(crate) joined: i64,
    pub(crate) passed: i64,
    pub(crate) completed: i64,
    /// Sights of packets that look like another one: each counts as entered, joined or passed, too.
    pub(crate) grouped: i64,
    /// Packets that looked like another one.
    pub(crate) untold: i64,
    /// Given up by a hook, which needed the slot.
    pub(crate) given_up: i64,
    /// Counted as dropped, and seen again.
    pub(crate) revived: i64,
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
    pub(crate) astray: i64,
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
            }
            Kind::Passed => {
                self.passed += 1;
                self.completed += i64::from(hook.terminal);
            }
            Kind::Grouped => {
                self.grouped += 1;
                self.completed += i64::from(outcome.ends);
                if outcome.hook != Outcome::NO_HOOK {
                    self.passed += 1;
                } else if hook.entry {
                    self.entered += 1;
                } else {
                    self.joined += 1;
                }
                if outcome.hook == Outcome::NO_HOOK {
                    self.untold += if outcome.begins { 2 } else { 1 };
                }
            }
            Kind::Copy | Kind::Aside => self.copies += 1,
            Kind::Overtaken if hook.entry => self.overtaken_at_entry += 1,
            Kind::Overtaken => self.overtaken += 1,
            Kind::Untracked => self.untracked += 1,
            Kind::Missing => {}
            Kind::Retry | Kind::Deferred => panic!("a visit never ends with {:?}", outcome.kind),
        }
        match outcome.gone.fate() {
            Fate::None => {}
            Fate::Lost => {
                self.lost += 1;
                self.given_up += 1;
            }
            Fate::Dropped(_) => {
                self.dropped += 1;
                self.given_up += 1;
            }
            Fate::Revived(_) => {
                self.dropped -= 1;
                self.revived += 1;
            }
        }
    }

    pub(crate) fn settle(&mut self, settled: Settled) {
        match settled {
            Settled::Ended(packet) => match packet.end() {
                End::Lost => self.lost += 1,
                End::Elsewhere => self.elsewhere += 1,
                End::Astray => self.astray += 1,
            },
            Settled::Dropped(..) => self.dropped += 1,
            Settled::EndedGroup(group) => self.lost += i64::from(group.behind.iter().sum::<u32>()),
            Settled::InFlight(_) => self.in_flight += 1,
            Settled::InFlightGroup(group) => self.in_flight += i64::from(group.packets),
            Settled::Idle | Settled::Joined(_) | Settled::Freed => {}
        }
    }

    pub(crate) fn free(&mut self, marked: Marked) {
        self.freed += 1;
        match marked {
            Marked::Dropped(_) => {
                self.completed -= 1;
                self.dropped += 1;
            }
            Marked::DroppedOfGroup(_) => self.dropped += 1,
            Marked::Provisional | Marked::Copy => {}
        }
    }

    /// Frees that were not the end of a packet.
    pub(crate) fn copies_freed(&self) -> i64 {
        self.freed - self.dropped
    }

    /// Packets that entered, be it after all.
    pub(crate) fn net_entered(&self) -> i64 {
        self.entered + self.overtaken_at_entry
    }

    /// Packets that joined midway and have not entered after all.
    pub(crate) fn net_joined(&self) -> i64 {
        self.joined - self.overtaken_at_entry
    }

    pub(crate) fn assert_balanced(&self) {
        assert_eq!(
            self.net_entered() + self.net_joined(),
            self.completed
                + self.lost
                + self.dropped
                + self.elsewhere
                + self.astray
                + self.merged
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
        self.passed += other.passed;
        self.completed += other.completed;
        self.grouped += other.grouped;
        self.untold += other.untold;
        self.given_up += other.given_up;
        self.revived += other.revived;
        self.copies += other.copies;
        self.overtaken_at_entry += other.overtaken_at_entry;
        self.overtaken += other.overtaken;
        self.untracked += other.untracked;
        self.lost += other.lost;
        self.dropped += other.dropped;
        self.freed += other.freed;
        self.elsewhere += other.elsewhere;
        self.astray += other.astray;
        self.merged += other.merged;
        self.in_flight += other.in_flight;
    }
}
