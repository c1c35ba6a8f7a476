//! Counters of the host, and questions without an answer, that are worth a word of their own. The others stand below the
//! drops ("also seen").

use super::{meaning::meaning, words::counted};
use crate::model::{Evidence, EvidenceSource, Finding, PortTrace, Printable, Severity};

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    let died = [&report.port.directions.egress, &report.port.directions.ingress]
        .iter()
        .any(|figures| !figures.drops.is_empty());
    let finding = |evidence: &Evidence| {
        let code = code(evidence, died)?;
        let of = match evidence.of {
            Some(of) => format!("{} of {of}", evidence.count),
            None => counted(evidence.count, "packet"),
        };
        let counter = Printable(&evidence.counter);
        let text = format!("{of}, {counter}: {}", meaning(report.path(), evidence));
        Some(Finding::new(Severity::Warning, code, text).at(evidence.at.clone()))
    };
    report.trace.evidence.iter().filter_map(finding).collect()
}

/// `None`: it has no finding of its own. What others share says little, and where packets died, the counters stand beside the
/// deaths.
fn code(evidence: &Evidence, died: bool) -> Option<&'static str> {
    Some(match (evidence.source, evidence.counter.as_str()) {
        (EvidenceSource::Tap, "checksum_wrong") => "wrong-checksums",
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
