//! Nothing died; or there was nothing at all.

use super::{
    verdict::seen,
    words::{came, course, packets},
};
use crate::model::{Direction, Evidence, Finding, Ledger, PortTrace, Printable, Severity};

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    let directions = &report.port.directions;
    if Direction::ALL.iter().all(|way| seen(directions.get(*way)) == 0) {
        return vec![nothing_came(report)];
    }
    let is_clean = |way: &Direction| {
        let figures = directions.get(*way);
        let Ledger { dropped, lost, misdelivered, .. } = figures.ledger;
        let died = dropped.saturating_add(lost).saturating_add(misdelivered);
        died == 0
            && figures.drops.is_empty()
            && figures.early_drops.is_empty()
            && (report.trace.live || (figures.ledger.imbalance() == 0 && figures.ledger.in_flight == 0))
            && !(came(&figures.ledger) == 0 && figures.ledger.unparsed > 0)
    };
    if !Direction::ALL.iter().all(is_clean) {
        return Vec::new();
    }
    let ways = [Direction::Ingress, Direction::Egress].map(|way| {
        let count = came(&directions.get(way).ledger);
        if count == 0 {
            format!("no packet {} was seen", course(way))
        } else {
            format!("{} {}", packets(count), course(way))
        }
    });
    let in_flight = directions.egress.ledger.in_flight.saturating_add(directions.ingress.ledger.in_flight);
    let on_their_way =
        if in_flight > 0 { format!(", {in_flight} of them on their way") } else { String::new() };
    let text = format!("nothing died: {}{on_their_way}", ways.join(", "));
    vec![Finding::new(Severity::Ok, "nothing-died", text)]
}

fn nothing_came(report: &PortTrace<'_>) -> Finding {
    let time = report.trace.duration.as_secs_f64();
    let what = if report.trace.settings.filter.is_empty() {
        "no packet of the VM".to_owned()
    } else {
        format!("no packet that matches `{}`", Printable(&report.trace.settings.filter))
    };
    if report.trace.evidence.iter().any(Evidence::is_of_other_address) {
        let text = format!(
            "{what} under the port's own address was seen in {time:.1} s, but some for other addresses"
        );
        return Finding::new(Severity::Warning, "no-traffic", text).next("follow those with --mac");
    }
    Finding::new(Severity::Warning, "no-traffic", format!("{what} was seen in {time:.1} s"))
        .next("check the filter, and that the VM has traffic")
}
