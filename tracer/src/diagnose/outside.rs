//! What the VM sends leaves this host, and nothing comes back: what is wrong is not on this host's path out.

use super::{
    verdict::seen,
    words::{came, packets},
};
use crate::model::{Direction, Evidence, EvidenceSource, Finding, Hop, PortTrace, Printable, Severity};

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    finding(report).into_iter().collect()
}

fn finding(report: &PortTrace<'_>) -> Option<Finding> {
    let ways: Vec<&Hop> = report.path().hops().filter(|hop| hop.leads_out()).collect();
    let nic = ways.first().filter(|_| ways.iter().all(|hop| hop.is_uplink()))?;
    let nothing_came = seen(report.port.directions.get(Direction::Ingress)) == 0;
    let is_whole = report.trace.taken.is_none() && nothing_came && all_left(report);
    if !is_whole
        || !asks_in_vain(report)
        || had_others(report)
        || ways.iter().any(|hop| has_trouble_at(report, hop))
    {
        return None;
    }
    let filter = &report.trace.settings.filter;
    let (which, next) = if filter.is_empty() {
        let name = Printable(&nic.ifname);
        let keeps = format!(
            "; ethtool -S {name} and ethtool -k {name} (rx-vlan-filter) tell what the NIC keeps for itself"
        );
        (String::new(), keeps)
    } else {
        (format!(" that matches `{}`", Printable(filter)), String::new())
    };
    let names: Vec<_> = ways.iter().map(|hop| Printable(&hop.ifname).to_string()).collect();
    let text = format!(
        "all {} from the VM went out by {}, and none for it{which} came in: nothing died on the way out through this host; nobody has the address that it \
         asks for, or who has it does not answer, or questions or answers die further on, or before the hook there",
        packets(came(&report.port.directions.get(Direction::Egress).ledger)),
        names.join(" or "),
    );
    let next = format!("where that is another host: capture at the physical switch's port{next}");
    Some(Finding::new(Severity::Warning, "nothing-comes-back", text).at(nic.ifname.clone()).next(next))
}

/// Whether every packet from the VM was seen to leave the host.
fn all_left(report: &PortTrace<'_>) -> bool {
    let out = report.port.directions.get(Direction::Egress);
    let sent = came(&out.ledger);
    sent > 0
        && out.ledger.completed == sent
        && out.ledger.elsewhere == 0
        && out.ledger.by_switch == 0
        && out.drops.is_empty()
        && out.early_drops.is_empty()
        && report.port.neighbours.iter().all(|neighbour| neighbour.received == 0)
}

/// Whether packets came to the guest under another address, or its own could not be followed to the end.
fn had_others(report: &PortTrace<'_>) -> bool {
    let counters = [Evidence::OTHER_ADDRESS_PASSED, Evidence::OTHER_ADDRESS_UNLEARNED];
    report.trace.evidence.iter().any(|it| counters.contains(&&*it.counter) && report.concerns(it))
}

/// Whether a counter rose that says that packets died at this way out, or at a member of its bond.
fn has_trouble_at(report: &PortTrace<'_>, way: &Hop) -> bool {
    let members = || way.bond.iter().flat_map(|bond| bond.members.iter().chain([&bond.name]));
    let is_there = |evidence: &Evidence| {
        matches!(evidence.source, EvidenceSource::Interface | EvidenceSource::Driver)
            && (evidence.at == way.ifname || members().any(|member| *member == evidence.at))
            && !evidence.counter.starts_with("rx_")
    };
    report.trace.evidence.iter().any(is_there)
}

/// Whether the guest asks who has an address, and has no answer: else it may well send without waiting for one.
fn asks_in_vain(report: &PortTrace<'_>) -> bool {
    report.trace.evidence.iter().any(|evidence| {
        evidence.source == EvidenceSource::Tap
            && evidence.counter == "arp_of_guest_unanswered"
            && report.concerns(evidence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Ledger, Snapshot},
        report::trace_samples::{path, report, snapshot},
    };

    fn asked(completed: u64, answers: u64) -> Snapshot {
        let mut snapshot = snapshot(0);
        snapshot.directions.egress.ledger =
            Ledger { entered: 5, completed, lost: 5 - completed, ..Ledger::default() }.settled();
        snapshot.directions.ingress.ledger =
            Ledger { entered: answers, completed: answers, ..Ledger::default() }.settled();
        snapshot.evidence.push(Evidence {
            source: EvidenceSource::Tap,
            at: "tapc3d70d5c-a9".to_owned(),
            counter: "arp_of_guest_unanswered".to_owned(),
            count: 5,
            of: Some(5),
            about: Some("10.99.99.1".to_owned()),
            shared: false,
            meaning: String::new(),
        });
        snapshot
    }

    fn found(snapshot: &Snapshot) -> Option<Finding> {
        report(&path(), snapshot).findings.into_iter().find(|finding| finding.code == "nothing-comes-back")
    }

    #[test]
    fn where_all_leave_and_no_answer_comes_the_host_is_told_clean() {
        let finding = found(&asked(5, 0)).unwrap();
        assert!(
            finding.text.starts_with("all 5 packets from the VM went out by ens3, and none for it"),
            "{finding:?}"
        );
        assert_eq!(finding.place.as_deref(), Some("ens3"));
    }

    #[test]
    fn nothing_is_said_where_one_died_or_came_or_nothing_was_asked() {
        assert_eq!(found(&asked(4, 0)), None);
        assert_eq!(found(&asked(5, 1)), None);
        let mut silent = asked(5, 0);
        silent.evidence.clear();
        assert_eq!(found(&silent), None);
        let mut troubled = asked(5, 0);
        let at_nic = |counter: &str| Evidence {
            source: EvidenceSource::Interface,
            at: "ens3".to_owned(),
            counter: counter.to_owned(),
            ..troubled.evidence[0].clone()
        };
        let (sent, received) = (at_nic("tx_dropped"), at_nic("rx_dropped"));
        troubled.evidence.push(received);
        assert!(found(&troubled).is_some());
        troubled.evidence.push(sent);
        assert_eq!(found(&troubled), None);
    }
}
