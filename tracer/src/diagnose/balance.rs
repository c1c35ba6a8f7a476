//! The ledger does not balance: no figure is to be trusted.

use super::words::{came, counted};
use crate::model::{Direction, Finding, Ledger, PortTrace, Severity};

/// While packets move, counters and table are read at slightly different times: then only more than this share of the
/// packets, in percent, is worth a word.
const MUCH_PCT: u128 = 1;

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    let of = |direction: Direction| {
        let ledger = &report.port.directions.get(direction).ledger;
        let text = imbalance(ledger, report.trace.live)?;
        let text = format!("{}: {text}", direction.name());
        Some(Finding::new(Severity::Critical, "ledger-unbalanced", text))
    };
    Direction::ALL.into_iter().filter_map(of).collect()
}

fn imbalance(ledger: &Ledger, live: bool) -> Option<String> {
    let apart = ledger.imbalance();
    let count = u64::try_from(apart.unsigned_abs()).unwrap_or(u64::MAX);
    let is_much = u128::from(count) * 100 > u128::from(came(ledger)) * MUCH_PCT;
    if apart == 0 || (live && !is_much) {
        return None;
    }
    let meaning = if apart > 0 { "went in and did not come out" } else { "came out and did not go in" };
    let packets = counted(count, "packet");
    Some(format!("the ledger DOES NOT BALANCE: {packets} {meaning}; do not trust the figures"))
}
