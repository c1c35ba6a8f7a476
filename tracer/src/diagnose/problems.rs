//! What is wrong on the path by what `hoptrace path` knows, too.

use super::troubles::{Trouble, troubles};
use crate::model::{Finding, PortTrace, ProblemKind, Report, Severity};

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    troubles(report).iter().map(|trouble| finding(report, trouble)).collect()
}

/// It is not known what has become of the paths since the start.
pub(super) fn not_looked_again(report: &Report) -> Vec<Finding> {
    let silent: Vec<_> = report.silent_at_end.iter().map(|name| name.as_str()).collect();
    let text = format!(
        "no answer at the end of the trace from {}: whether the path has changed meanwhile is not known",
        silent.join(", ")
    );
    let finding = (!silent.is_empty()).then(|| Finding::new(Severity::Warning, "not-looked-again", text));
    finding.into_iter().collect()
}

fn finding(report: &PortTrace<'_>, trouble: &Trouble) -> Finding {
    let kind = trouble.problem.kind;
    // A network may be this host's alone.
    let is_usual = kind == ProblemKind::NoUplink && report.path().problems.contains(&trouble.problem);
    let severity = if kind.blocks() && !is_usual { Severity::Critical } else { Severity::Warning };
    let mut text = trouble.words(report.path());
    if matches!(kind, ProblemKind::Paused | ProblemKind::Unplugged) {
        let arrived = report.port.directions.ingress.ledger.completed;
        if arrived > 0 {
            text.push_str("; what arrived at its tap may have been read by nobody");
        }
    }
    let finding = Finding::new(severity, code(kind), text).at(trouble.problem.at.clone());
    match trouble.next(report.path()) {
        Some(next) => finding.next(next),
        None => finding,
    }
}

const fn code(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Down => "link-down",
        ProblemKind::NoCarrier => "no-carrier",
        ProblemKind::NotForwarding => "not-forwarding",
        ProblemKind::SmallerMtu => "smaller-mtu",
        ProblemKind::Paused => "vm-paused",
        ProblemKind::Unplugged => "vm-unplugged",
        ProblemKind::NotRunning => "vm-not-running",
        ProblemKind::NotOpened => "port-not-opened",
        ProblemKind::NotInSwitch => "not-in-switch",
        ProblemKind::NoUplink => "no-uplink",
        ProblemKind::OtherVlan => "other-vlan",
        ProblemKind::DeadVlan => "dead-vlan",
        ProblemKind::Other => "path-problem",
    }
}
