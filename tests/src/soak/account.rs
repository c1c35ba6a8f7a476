//! Whether a trace's ledger knows every packet that the kernel counted at the path's ends.

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lab::{Guest, InterfaceCounts, Lab};

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
    pub fn account(&self, later: &Self, report: &Value) -> Result<Account> {
        let tap = later.tap.since(&self.tap);
        let nic = later.nic.since(&self.nic);
        let ledger = ledger(report, "egress")?;
        let account = Account {
            entered: count(ledger, "entered")?,
            completed: count(ledger, "completed")?,
            lost: count(ledger, "lost")?,
            tap_received: tap.rx_packets,
            veth_dropped: later.qvb.since(&self.qvb).tx_dropped,
            nic_sent: nic.tx_packets + nic.tx_dropped,
        };
        followed(ledger)?;
        ensure!(count(ledger, "joined_midway")? == 0, "{ledger}");
        let everything = account.entered == account.tap_received && account.completed == account.nic_sent;
        ensure!(everything, "the ledger does not know every packet: {account:?} {ledger}");
        Ok(account)
    }
}

/// The ledger of a direction in a report.
///
/// # Errors
/// Where the report is none.
pub fn ledger<'a>(report: &'a Value, direction: &str) -> Result<&'a Value> {
    report
        .pointer(&format!("/directions/{direction}/ledger"))
        .with_context(|| format!("no ledger in {report}"))
}

/// A line of a ledger.
///
/// # Errors
/// Where the ledger has no such line.
pub fn count(ledger: &Value, line: &str) -> Result<u64> {
    ledger.get(line).and_then(Value::as_u64).with_context(|| format!("no {line} in {ledger}"))
}

/// The ledger balances, and the tracer could follow every packet.
///
/// # Errors
/// Where it is not so.
pub fn followed(ledger: &Value) -> Result<()> {
    balanced(ledger)?;
    for none in ["untracked", "ambiguous"] {
        ensure!(count(ledger, none)? == 0, "{none} in {ledger}");
    }
    Ok(())
}

/// The ledger balances; some packets may not have had a slot or an identity of their own.
///
/// # Errors
/// Where it is not so.
pub(super) fn balanced(ledger: &Value) -> Result<()> {
    ensure!(
        ledger.get("balanced").and_then(Value::as_bool) == Some(true),
        "the ledger does not balance: {ledger}"
    );
    for none in ["evicted", "unparsed", "in_flight", "clock_skew"] {
        ensure!(count(ledger, none)? == 0, "{none} in {ledger}");
    }
    Ok(())
}
