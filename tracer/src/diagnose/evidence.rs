//! Counters of the host, and questions without an answer, that are worth a word of their own. The others stand below the
//! drops ("also seen").

use super::{meaning_of, words::counted};
use crate::model::{Direction, Evidence, EvidenceSource, Finding, PortReport, Printable, Report, Severity};

pub(super) fn findings(report: &Report) -> Vec<Finding> {
    let finding = |evidence: &Evidence| {
        let owner = report.port_of(evidence);
        let died = match owner {
            Some(port) => has_deaths(port.port),
            None => report.ports.iter().any(has_deaths),
        };
        let code = code(evidence, died)?;
        let of = match evidence.of {
            Some(of) => format!("{} of {of}", evidence.count),
            None => counted(evidence.count, "packet"),
        };
        let counter = Printable(&evidence.counter);
        let text = format!("{of}, {counter}: {}", meaning_of(report, evidence));
        let port = owner.map(|port| port.path().instance.mac);
        Some(Finding { port, ..Finding::new(Severity::Warning, code, text).at(evidence.at.clone()) })
    };
    report.evidence.iter().filter_map(finding).collect()
}

fn has_deaths(port: &PortReport) -> bool {
    Direction::ALL.iter().any(|way| !port.directions.get(*way).drops.is_empty())
}

/// `None`: it has no finding of its own. What others share says little, and where packets died, the counters stand beside the
/// deaths.
fn code(evidence: &Evidence, died: bool) -> Option<&'static str> {
    Some(match (evidence.source, evidence.counter.as_str()) {
        (EvidenceSource::Tap, "checksum_wrong") => "wrong-checksums",
        (EvidenceSource::Tap, Evidence::GROUP_PASSED) => return None,
        (EvidenceSource::Tap, counter) if counter.starts_with("other_address") => "other-address",
        (EvidenceSource::Tap, _) => "unanswered",
        (EvidenceSource::Conntrack, "drop") => "conntrack-full",
        (EvidenceSource::Socket, _) if !died => "socket-drops",
        (EvidenceSource::Interface | EvidenceSource::Driver, _) if !evidence.shared && !died => {
            "interface-drops"
        }
        _ => return None,
    })
}
