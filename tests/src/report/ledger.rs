//! Where every packet of a direction went.

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::json::prints_as_json;

/// Where every packet of a direction went.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Seen at the first hook.
    pub entered: u64,
    /// First seen at a later hook.
    pub joined_midway: u64,
    /// Seen at the last hook, or gone elsewhere.
    pub completed: u64,
    /// Of those: left the path for somebody on this host.
    pub elsewhere: u64,
    /// Of those completed: not shown to the wire hook.
    pub unseen: u64,
    /// Of those: questions that the switch has answered; on the way in: its answers.
    pub by_switch: u64,
    /// Sent to the port of somebody they are not for.
    pub misdelivered: u64,
    /// Freed by the kernel.
    pub dropped: u64,
    /// Not seen again.
    pub lost: u64,
    /// Became part of another packet.
    pub merged: u64,
    /// Came out of another packet.
    pub split: u64,
    /// On their way still.
    pub in_flight: u64,
    /// Left the table for others.
    pub evicted: u64,
    /// Given up, and seen then.
    pub late: u64,
    /// Looked like another one at some time.
    pub ambiguous: u64,
    /// Sights of further copies.
    pub copies: u64,
    /// Copies that the kernel freed.
    pub copy_dropped: u64,
    /// Sights without a slot.
    pub untracked: u64,
    /// Sights without an identity.
    pub unparsed: u64,
    /// Sights in the wrong order.
    pub clock_skew: u64,
    /// Those of them that a later hook had seen before.
    pub overtaken: u64,
    /// Records without room in the ring.
    pub ring_lost: u64,
    /// Whether the balance holds.
    pub balanced: bool,
}

impl Ledger {
    /// It balances, and each count is the expected one. Those that may be anything are taken from the ledger itself
    /// (`..ledger`); with `..Ledger::default()` they must be 0.
    ///
    /// # Errors
    /// Where it is not so; says which counts are others.
    pub fn expect(&self, expected: &Self) -> Result<()> {
        self.balances()?;
        let (found, wanted) = (serde_json::to_value(self)?, serde_json::to_value(expected)?);
        let counts = wanted.as_object().into_iter().flatten().filter(|(name, _)| *name != "balanced");
        let wrong = counts.filter(|(name, count)| found.get(name) != Some(count));
        let wrong: Vec<_> = wrong.map(|(name, count)| format!("{name} is not {count}")).collect();
        if !wrong.is_empty() {
            bail!("{}: {self}", wrong.join(", "));
        }
        Ok(())
    }

    /// It balances, and so many packets entered and completed: none joined, died, merged, was split or is on its way.
    ///
    /// # Errors
    /// Where it is not so.
    pub fn expect_all(&self, packets: u64) -> Result<()> {
        self.expect(&Self {
            entered: packets,
            completed: packets,
            joined_midway: 0,
            misdelivered: 0,
            dropped: 0,
            lost: 0,
            merged: 0,
            split: 0,
            in_flight: 0,
            evicted: 0,
            ..*self
        })
    }

    /// It balances.
    ///
    /// # Errors
    /// Where it does not.
    pub fn balances(&self) -> Result<()> {
        ensure!(self.balanced, "the ledger does not balance: {self}");
        Ok(())
    }

    /// Packets that died, or went where they are not for.
    #[must_use]
    pub const fn died(&self) -> u64 {
        self.dropped + self.lost + self.misdelivered
    }
}

prints_as_json!(Ledger);

#[cfg(test)]
mod tests {
    use super::Ledger;

    #[test]
    fn what_is_not_as_expected_is_named() {
        let ledger =
            Ledger { entered: 5, completed: 4, lost: 1, copies: 2, balanced: true, ..Ledger::default() };
        ledger.expect(&Ledger { entered: 5, lost: 1, ..ledger }).unwrap();
        ledger.expect(&Ledger { entered: 5, completed: 4, lost: 1, copies: 2, ..Ledger::default() }).unwrap();
        let wrong = ledger.expect(&Ledger { entered: 5, completed: 5, ..Ledger::default() }).unwrap_err();
        let said = wrong.to_string();
        assert!(said.starts_with("completed is not 5, "), "{said}");
        assert!(said.contains("copies is not 0") && said.contains("lost is not 0"), "{said}");
        assert!(!said.contains("entered is") && said.contains(r#""entered":5"#), "{said}");
        let unbalanced = Ledger { balanced: false, ..ledger };
        assert!(unbalanced.expect(&unbalanced).is_err());
    }

    #[test]
    fn all_packets_are_through_only_where_nothing_else_became_of_any() {
        let all = Ledger { entered: 5, completed: 5, copies: 9, balanced: true, ..Ledger::default() };
        all.expect_all(5).unwrap();
        assert!(all.expect_all(6).is_err());
        for wrong in [
            Ledger { joined_midway: 1, lost: 1, ..all },
            Ledger { misdelivered: 1, ..all },
            Ledger { split: 1, merged: 1, ..all },
            Ledger { in_flight: 1, ..all },
            Ledger { balanced: false, ..all },
        ] {
            assert!(wrong.expect_all(5).is_err(), "{wrong}");
        }
    }
}
