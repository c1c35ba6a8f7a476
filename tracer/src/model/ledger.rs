//! The conservation law.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where every packet of one direction went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ledger {
    /// Seen at the first hook.
    pub entered: u64,
    /// First seen at a later hook.
    pub joined_midway: u64,
    /// Seen at the last hook, or gone elsewhere.
    pub completed: u64,
    /// Of those: left the path for other VMs of this host, or for the host itself, not for the wire.
    pub elsewhere: u64,
    /// Of those completed: left the hook before the wire hook, which was not shown them, though no counter says that one died
    /// in between. Known at the end only.
    pub unseen: u64,
    /// Of those completed, on the way out: questions that the switch itself has answered. On the way in, of those entered: its
    /// answers.
    pub by_switch: u64,
    /// Sent to a port that is not their address's, and seen nowhere else.
    pub misdelivered: u64,
    /// Freed by the kernel with a reason.
    pub dropped: u64,
    /// Not seen again in time, no reason seen.
    pub lost: u64,
    /// Became part of another packet.
    pub merged: u64,
    /// Came out of another packet.
    pub split: u64,
    /// On their way when the figures were read.
    pub in_flight: u64,
    /// No packet has to leave the table for others before it has timed out: 0.
    pub evicted: u64,
    /// Beside the balance: packets that had been given up, because they were not seen for longer than the time-out, and that a later hook
    /// saw then. They are neither lost nor joined midway.
    #[serde(default)]
    pub late: u64,
    /// Beside the balance: packets that looked like another one on its way at some time. Each of them is in the balance, too; none is
    /// timed from then on.
    pub ambiguous: u64,
    /// Beside the balance: sights of further copies of a packet.
    pub copies: u64,
    /// Beside the balance: copies of packets that the kernel freed while the packet lived.
    pub copy_dropped: u64,
    /// Beside the balance: found no slot in the table.
    pub untracked: u64,
    /// Beside the balance: have no identity.
    pub unparsed: u64,
    /// Beside the balance: sights in the wrong order, or with clocks that contradict each other.
    pub clock_skew: u64,
    /// Those of them that came in the wrong order: a later hook had seen the packet before. Counted of all packets, also
    /// where only a part of them is timed.
    #[serde(default)]
    pub overtaken: u64,
    /// Beside the balance: records the ring buffer had no room for.
    pub ring_lost: u64,
    /// Whether the balance holds.
    pub balanced: bool,
}

impl Ledger {
    /// Packets that went in less those that came out: 0 when the balance holds.
    #[must_use]
    pub fn imbalance(&self) -> i128 {
        let into = [self.entered, self.joined_midway, self.split];
        let out = [
            self.completed,
            self.misdelivered,
            self.dropped,
            self.lost,
            self.merged,
            self.in_flight,
            self.evicted,
        ];
        let sum = |counts: &[u64]| counts.iter().copied().map(i128::from).sum::<i128>();
        sum(&into) - sum(&out)
    }

    /// Sets [`Ledger::balanced`] from the other figures.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.balanced = self.imbalance() == 0;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_balances_or_says_so() {
        let ledger = Ledger {
            entered: 10,
            joined_midway: 2,
            completed: 9,
            lost: 2,
            in_flight: 1,
            ..Ledger::default()
        };
        assert!(ledger.settled().balanced);
        assert!(!Ledger { lost: 3, ..ledger }.settled().balanced);
        assert!(Ledger { split: 3, merged: 2, evicted: 1, ..ledger }.settled().balanced);
    }
}
