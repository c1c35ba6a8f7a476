//! What a trace comes to, for the exit code.

use crate::model::{DirectionReport, Report};

/// Packets out of all that may be untracked before the result is inconclusive: one in so many.
const DOUBTFUL_SHARE: u64 = 100;

/// What a trace comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Packets arrived; how many died is in the report.
    Told,
    /// Packets of a direction were seen, and every one of them died.
    EverythingDied,
    /// Too much is doubtful.
    Inconclusive,
    /// No matching packet was seen, not even one that died.
    NoTraffic,
}

/// The verdict on final figures.
#[must_use]
pub fn verdict(report: &Report) -> Verdict {
    if report.taken.is_some() {
        return Verdict::Inconclusive;
    }
    let directions =
        || report.ports.iter().flat_map(|port| [&port.directions.egress, &port.directions.ingress]);
    if directions().all(|figures| seen(figures) == 0) {
        return Verdict::NoTraffic;
    }
    let egress = report.ports.iter().map(|port| &port.directions.egress);
    let (unseen, sent) = egress.fold((0_u64, 0_u64), |(unseen, sent), figures| {
        (unseen.saturating_add(figures.ledger.unseen), sent.saturating_add(followed(figures)))
    });
    let missed = report.tracer.missed_runs.max(unseen) > sent / DOUBTFUL_SHARE;
    let doubtful = |figures: &DirectionReport| {
        let ledger = &figures.ledger;
        !ledger.balanced || ledger.untracked > followed(figures) / DOUBTFUL_SHARE
    };
    if missed || directions().any(doubtful) {
        return Verdict::Inconclusive;
    }
    if directions().any(all_died) { Verdict::EverythingDied } else { Verdict::Told }
}

/// Sights and packets of a direction, of whatever fate.
pub(super) fn seen(figures: &DirectionReport) -> u64 {
    followed(figures).saturating_add(died_early(figures))
}

/// Packets of a direction that died before its first hook.
pub(super) fn died_early(figures: &DirectionReport) -> u64 {
    figures.early_drops.iter().fold(0, |sum, early| sum.saturating_add(early.count))
}

/// Those that came as far as a hook: what is doubtful is doubtful about these.
fn followed(figures: &DirectionReport) -> u64 {
    let ledger = &figures.ledger;
    let died = figures.drops.iter().fold(0_u64, |sum, drop| sum.saturating_add(drop.count));
    [ledger.entered, ledger.joined_midway, ledger.untracked, ledger.unparsed, ledger.copies]
        .into_iter()
        .fold(0_u64, u64::saturating_add)
        .max(died)
}

/// Whether packets of a direction died, or were sent to a wrong port, and not one arrived.
pub(super) fn all_died(figures: &DirectionReport) -> bool {
    let ledger = &figures.ledger;
    let astray = ledger.misdelivered;
    let died =
        ledger.dropped.saturating_add(ledger.lost).saturating_add(astray).saturating_add(died_early(figures));
    died > 0 && ledger.completed == 0 && ledger.in_flight == 0 && ledger.merged == 0
}
