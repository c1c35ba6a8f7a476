//! A long trace of traffic of all sorts.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::account::balanced;
use super::process::ProcessUse;
use super::traffic;
use crate::Tracer;
use crate::lab::{Guest, InterfaceCounts, Lab};
use crate::report::Ledger;

/// How long it goes before memory is looked at for the first time: buffers grow to their size.
const WARM_UP: Duration = Duration::from_secs(5);
/// Packets that may not be followed, one of so many. Untracked: a CPU that is interrupted, or whose machine gives it away,
/// while it fills a slot keeps that slot from the others, who do not wait; the packet joins at its next hook. Ambiguous:
/// over IPv6, which has no IP-ID, TCP repeats an acknowledgement bit by bit.
const UNFOLLOWED_ONE_OF: u64 = 100_000;
/// Memory that may come and go.
const SLACK_KIB: u64 = 512;

/// What a soak found.
#[derive(Debug, Clone, Serialize)]
pub struct MixedSoak {
    /// Seconds of traffic.
    pub seconds: u64,
    /// Packets that entered, both directions.
    pub packets: u64,
    /// Packets that were not seen at the last hook, or were freed behind it, both directions.
    pub lost: u64,
    /// Packets that the interfaces of the path say they dropped. More cannot be lost.
    pub kernel_dropped: u64,
    /// Sights without a slot, both directions.
    pub untracked: u64,
    /// Packets whose identity another one had at the same time, both directions.
    pub ambiguous: u64,
    /// Both ledgers.
    pub ledgers: [Ledger; 2],
    /// Resident memory of `hoptrace` after the warm-up and at the end, in KiB.
    pub rss_kib: [u64; 2],
    /// Its CPU, in percent of one core.
    pub cpu_pct: f64,
    /// Memory locked for the kernel's maps, in bytes; it is fixed when the maps are made.
    pub locked_bytes: u64,
}

/// What the interfaces of the path dropped so far.
fn dropped(lab: &Lab, guest: &Guest) -> Result<u64> {
    let of = |interface: &str| InterfaceCounts::of(interface).map(|counts| counts.tx_dropped);
    lab.path_interfaces(guest).into_iter().map(of).sum()
}

/// Traces traffic of all sorts for `duration`, with these `options` of `hoptrace trace`.
///
/// # Errors
/// Where a program fails, a ledger does not balance, a packet is lost that no interface dropped, or memory grows.
pub fn mixed(lab: &Lab, duration: Duration, options: &[&str]) -> Result<MixedSoak> {
    let guest = lab.guests.first().context("the lab has no guest")?;
    let tracer = Tracer::start(&[&["trace", &guest.port_id, "--json"], options].concat())?;
    let dropped_before = dropped(lab, guest)?;
    traffic::mixed(lab, guest, WARM_UP)?;
    let before = ProcessUse::of(tracer.pid())?;
    traffic::mixed(lab, guest, duration)?;
    let after = ProcessUse::of(tracer.pid())?;
    let kernel_dropped = dropped(lab, guest)? - dropped_before;
    let report = tracer.finish()?;
    let ledgers = [report.egress().ledger, report.ingress().ledger];
    let sum = |line: fn(&Ledger) -> u64| ledgers.iter().map(line).sum::<u64>();
    let soak = MixedSoak {
        seconds: duration.as_secs(),
        packets: sum(|it| it.entered),
        lost: sum(|it| it.lost + it.dropped),
        kernel_dropped,
        untracked: sum(|it| it.untracked),
        ambiguous: sum(|it| it.ambiguous),
        rss_kib: [before.rss_kib, after.rss_kib],
        cpu_pct: 100.0 * after.cpu.saturating_sub(before.cpu).as_secs_f64() / duration.as_secs_f64(),
        locked_bytes: report.tracer.map_bytes,
        ledgers,
    };
    for ledger in &soak.ledgers {
        balanced(ledger)?;
    }
    let unfollowed = soak.untracked + soak.ambiguous;
    ensure!(unfollowed <= soak.packets / UNFOLLOWED_ONE_OF, "too many untracked or ambiguous: {soak:?}");
    ensure!(soak.lost <= soak.kernel_dropped, "packets that nobody dropped are lost: {soak:?}");
    ensure!(after.rss_kib <= before.rss_kib + SLACK_KIB, "memory grows: {soak:?}");
    Ok(soak)
}
