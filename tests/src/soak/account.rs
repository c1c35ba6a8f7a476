//! Whether a trace's ledger knows every packet that the kernel counted at the path's ends.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::lab::{Guest, InterfaceCounts, Lab};
use crate::report::{DropsReport, Ledger};

/// What hoptrace and the interfaces counted on the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Packets that entered, as the ledger says.
    pub entered: u64,
    /// Packets that came to the last hook.
    pub completed: u64,
    /// Packets that did not.
    pub lost: u64,
    /// Packets that came out of the tap, as the tap says.
    pub tap_received: u64,
    /// Packets for which the veth pair between the bridges had no room, as it says.
    pub veth_dropped: u64,
    /// Packets that came to the NIC, as the NIC says: sent, or dropped by it.
    pub nic_sent: u64,
}

/// The counters of the path's ends at some moment.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    tap: InterfaceCounts,
    qvb: InterfaceCounts,
    nic: InterfaceCounts,
}

impl Ends {
    /// The counters now.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn now(lab: &Lab, guest: &Guest) -> Result<Self> {
        Ok(Self {
            tap: InterfaceCounts::of(&guest.tap)?,
            qvb: InterfaceCounts::of(&guest.qvb)?,
            nic: InterfaceCounts::of(&lab.nic)?,
        })
    }

    /// Holds what was counted from here to `later` against a report that covers the same packets.
    ///
    /// # Errors
    /// Where the ledger does not balance, could not follow a packet, or does not know every packet.
    pub fn account(&self, later: &Self, report: &DropsReport) -> Result<Account> {
        let tap = later.tap.since(&self.tap);
        let nic = later.nic.since(&self.nic);
        let ledger = report.egress().ledger;
        let account = Account {
            entered: ledger.entered,
            completed: ledger.completed,
            lost: ledger.lost,
            tap_received: tap.rx_packets,
            veth_dropped: later.qvb.since(&self.qvb).tx_dropped,
            nic_sent: nic.tx_packets + nic.tx_dropped,
        };
        followed(&ledger)?;
        ensure!(ledger.joined_midway == 0, "{ledger}");
        let everything = account.entered == account.tap_received && account.completed == account.nic_sent;
        ensure!(everything, "the ledger does not know every packet: {account:?} {ledger}");
        Ok(account)
    }
}

/// The ledger balances, and the tracer could follow every packet.
///
/// # Errors
/// Where it is not so.
pub fn followed(ledger: &Ledger) -> Result<()> {
    balanced(ledger)?;
    ledger.expect(&Ledger { untracked: 0, ambiguous: 0, ..*ledger })
}

/// The ledger balances; some packets may not have had a slot or an identity of their own.
///
/// # Errors
/// Where it is not so.
pub(super) fn balanced(ledger: &Ledger) -> Result<()> {
    ledger.expect(&Ledger { evicted: 0, unparsed: 0, in_flight: 0, clock_skew: 0, ..*ledger })
}
