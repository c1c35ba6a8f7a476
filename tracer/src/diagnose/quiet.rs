//! Nothing died; or there was nothing at all.

mod several;

use super::{
    verdict::seen,
    words::{came, packets},
};
use crate::model::{
    Direction, Evidence, Finding, Ledger, PortReport, PortTrace, Printable, Report, Severity,
};

pub(super) fn findings(report: &Report) -> Vec<Finding> {
    let found = |port: PortTrace<'_>, finding: Option<Finding>| {
        finding.map(|it| Finding { port: Some(port.path().instance.mac), ..it })
    };
    if let [port] = &report.ports[..] {
        let port = PortTrace { trace: report, port };
        return found(port, of_one(&port)).into_iter().collect();
    }
    several::findings(report)
}

/// Of the only port.
fn of_one(report: &PortTrace<'_>) -> Option<Finding> {
    if had_nothing(report.port) {
        return Some(nothing_came(report));
    }
    is_clean(report).then(|| {
        let directions = &report.port.directions;
        let ways = [Direction::Ingress, Direction::Egress].map(|way| {
            let count = came(&directions.get(way).ledger);
            if count == 0 {
                format!("no packet {} was seen", way.course())
            } else {
                format!("{} {}", packets(count), way.course())
            }
        });
        let in_flight =
            directions.egress.ledger.in_flight.saturating_add(directions.ingress.ledger.in_flight);
        let on_their_way =
            if in_flight > 0 { format!(", {in_flight} of them on their way") } else { String::new() };
        let text = format!("nothing died: {}{on_their_way}", ways.join(", "));
        Finding::new(Severity::Ok, "nothing-died", text)
    })
}

/// Whether not one packet of it was seen, not even one that died.
fn had_nothing(port: &PortReport) -> bool {
    Direction::ALL.iter().all(|way| seen(port.directions.get(*way)) == 0)
}

/// Whether nothing died of it, as far as is known.
fn is_clean(report: &PortTrace<'_>) -> bool {
    let is_clean = |way: &Direction| {
        let figures = report.port.directions.get(*way);
        let Ledger { dropped, lost, misdelivered, .. } = figures.ledger;
        let died = dropped.saturating_add(lost).saturating_add(misdelivered);
        died == 0
            && figures.drops.is_empty()
            && figures.early_drops.is_empty()
            && (report.trace.live || (figures.ledger.imbalance() == 0 && figures.ledger.in_flight == 0))
            && !(came(&figures.ledger) == 0 && figures.ledger.unparsed > 0)
    };
    Direction::ALL.iter().all(is_clean)
}

/// What there was for groups, which is in no ledger.
#[must_use]
pub fn for_groups(report: &Report) -> Option<String> {
    let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
    let to_guest = sum(&mut report.evidence.iter().filter(|it| it.is_of_group()).map(|it| it.count));
    if to_guest > 0 {
        return Some(format!("{to_guest} frames for groups (broadcast, multicast) passed to the guest"));
    }
    // At the hook of each port that saw the most.
    let hooks = |port: &PortReport| port.directions.ingress.hooks.iter().map(|hook| hook.groups).max();
    let on_way = sum(&mut report.ports.iter().filter_map(hooks));
    (on_way > 0).then(|| format!("{on_way} frames for groups were on their way, and none came to the guest"))
}

fn nothing_came(report: &PortTrace<'_>) -> Finding {
    let time = report.trace.duration.as_secs_f64();
    let what = if report.trace.settings.filter.is_empty() {
        let whose = if report.trace.ports.len() > 1 { "any VM" } else { "the VM" };
        format!("no packet of {whose}")
    } else {
        format!("no packet that matches `{}`", Printable(&report.trace.settings.filter))
    };
    if report.trace.evidence.iter().any(Evidence::is_of_other_address) {
        let text = format!(
            "{what} under the port's own address was seen in {time:.1} s, but some for other addresses"
        );
        return Finding::new(Severity::Warning, "no-traffic", text).next("follow those with --mac");
    }
    if let Some(groups) = for_groups(report.trace) {
        let text = format!(
            "{what} under the port's own address was seen in {time:.1} s; {groups}: counted, not followed"
        );
        return Finding::new(Severity::Warning, "no-traffic", text);
    }
    Finding::new(Severity::Warning, "no-traffic", format!("{what} was seen in {time:.1} s"))
        .next("check the filter, and that the VM has traffic")
}
