//! The same of several ports: those of which nothing died together, and those without traffic together.

use super::{had_nothing, is_clean, nothing_came};
use crate::{
    diagnose::words::{came, counted, packets},
    model::{Direction, Finding, PortTrace, Printable, Report, Severity},
};

/// Ports that are named at most.
const MAX_NAMED: usize = 5;

pub(super) fn findings(report: &Report) -> Vec<Finding> {
    let (silent, busy): (Vec<PortTrace<'_>>, Vec<_>) =
        report.each_port().partition(|port| had_nothing(port.port));
    let Some(first) = silent.first().filter(|_| busy.is_empty()) else {
        let clean: Vec<_> = busy.into_iter().filter(is_clean).collect();
        return nothing_died(report, &clean).into_iter().chain(without_traffic(report, &silent)).collect();
    };
    vec![nothing_came(first)]
}

fn nothing_died(report: &Report, clean: &[PortTrace<'_>]) -> Option<Finding> {
    let all = report.ports.len();
    let place = match clean.len() {
        0 => return None,
        count if count == all => format!("at any of {all} ports"),
        count => format!("at {count} of {all} ports"),
    };
    let count = |way: Direction| {
        let counts = clean.iter().map(|port| came(&port.port.directions.get(way).ledger));
        packets(counts.fold(0, u64::saturating_add))
    };
    let text = format!(
        "nothing died {place}: {} to the VMs, {} from the VMs",
        count(Direction::Ingress),
        count(Direction::Egress)
    );
    Some(Finding::new(Severity::Ok, "nothing-died", text))
}

/// That some VMs are idle is usual where all are traced.
fn without_traffic(report: &Report, silent: &[PortTrace<'_>]) -> Option<Finding> {
    let mut names: Vec<String> = report
        .port_names()
        .iter()
        .zip(report.each_port())
        .filter(|(_, port)| silent.iter().any(|it| std::ptr::eq(it.port, port.port)))
        .map(|(name, _)| Printable(name).to_string())
        .collect();
    if names.len() > MAX_NAMED {
        let more = names.split_off(MAX_NAMED).len();
        names.push(format!("{more} more"));
    }
    let all = report.ports.len();
    let count = counted(u64::try_from(silent.len()).unwrap_or(u64::MAX), "port");
    let text = format!("no packet was seen at {count} of {all}: {}", names.join(", "));
    (!silent.is_empty()).then(|| Finding::new(Severity::Info, "no-traffic", text))
}
