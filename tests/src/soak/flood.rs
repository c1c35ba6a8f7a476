//! A flood as fast as the path carries it, and what becomes of each packet in the ledger.

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::account::{Account, Ends};
use super::process::ProcessUse;
use crate::Tracer;
use crate::lab::Lab;

/// A flood, its account, and what aggregating it took of the CPU.
#[derive(Debug, Clone, Serialize)]
pub struct LedgerFlood {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that the receiver on the wire has read.
    pub arrived: u64,
    /// Packets sent per second.
    pub per_second: f64,
    /// Every packet's whereabouts.
    pub account: Account,
    /// Packets that the kernel counted and the ledger does not know, or the other way round.
    pub not_in_ledger: u64,
    /// hoptrace's own CPU while it flooded, in percent of one core.
    pub cpu_pct: f64,
}

/// Floods `packets` datagrams past a trace.
///
/// # Errors
/// Where the trace fails, or its ledger does not account for every packet.
pub fn ledger_flood(lab: &Lab, packets: u64) -> Result<LedgerFlood> {
    let guest = lab.guests.first().context("the lab has no guest")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "--json"])?;
    let (before, cpu_before) = (Ends::now(lab, guest)?, ProcessUse::of(tracer.pid())?.cpu);
    let flood = lab.flood(guest, packets, None)?;
    let (after, cpu_after) = (Ends::now(lab, guest)?, ProcessUse::of(tracer.pid())?.cpu);
    let report = tracer.finish()?;
    ensure!(flood.sent == packets, "{flood:?}");
    let account = before.account(&after, &report)?;
    Ok(LedgerFlood {
        sent: flood.sent,
        arrived: flood.arrived,
        per_second: flood.sent_per_second().round(),
        account,
        not_in_ledger: account.tap_received.abs_diff(account.entered),
        cpu_pct: 100.0 * cpu_after.saturating_sub(cpu_before).as_secs_f64() / flood.elapsed.as_secs_f64(),
    })
}
