//! What a trace comes to, for the shell.

use super::{CliError, Exit};
use crate::{
    diagnose::{self, Verdict},
    model::{Finding, Printable, Report, Severity},
    trace::Ending,
};

/// Findings that say of which port the figures are in doubt.
const DOUBTS: [&str; 2] = ["ledger-unbalanced", "untracked"];

/// The exit code, and a word on stderr where it is not 0.
pub(super) fn conclude(ending: &Ending, report: &Report) -> Result<Exit, CliError> {
    if let Ending::Vanished(ifname) = ending {
        return Err(CliError::new(format!(
            "interface {ifname} vanished while tracing: was the VM stopped, migrated or its port unplugged? The \
             report covers the time before"
        )));
    }
    if let Ending::Taken(taken) = ending {
        let what = format!(
            "inconclusive: somebody removed the hooks at {} at {}; the report covers the time before",
            taken.hooks, taken.at
        );
        return Err(CliError::with_exit(Exit::Inconclusive, what));
    }
    match diagnose::verdict(report) {
        Verdict::Told => Ok(Exit::Ok),
        Verdict::NoTraffic => {
            let others = report.evidence.iter().filter(|it| it.is_of_other_address());
            let others = others.fold(0, |sum: u64, it| sum.saturating_add(it.count));
            if others > 0 {
                return Err(CliError::with_exit(
                    Exit::Inconclusive,
                    format!(
                        "inconclusive: no packet for the port's own address was seen, but {others} frames for other addresses \
                         passed to the guest; the report names them, and --mac follows them"
                    ),
                ));
            }
            let wrong = report.findings.iter().find(|finding| finding.severity == Severity::Critical);
            if let Some(groups) = diagnose::for_groups(report).filter(|_| wrong.is_none()) {
                let what = format!("no packet for the port's own address was seen, but {groups}");
                return Err(CliError::with_exit(Exit::NoTraffic, what));
            }
            let advice = wrong.map_or_else(
                || "check the filter, and that the VM has traffic".to_owned(),
                |finding| told(report, finding),
            );
            Err(CliError::with_exit(Exit::NoTraffic, format!("no matching packet was seen; {advice}")))
        }
        Verdict::Inconclusive => {
            let doubt = report.findings.iter().find(|it| DOUBTS.contains(&&*it.code));
            let whose = doubt.map_or_else(String::new, |finding| whose(report, finding));
            let what = "too many packets were untracked, or a ledger does not balance";
            let message = format!("inconclusive: {whose}{what}; see the report's ledger");
            Err(CliError::with_exit(Exit::Inconclusive, message))
        }
        Verdict::EverythingDied => {
            let all = report.findings.iter().find(|finding| finding.code == "everything-died");
            let what = all.map_or_else(
                || "packets were seen, and every one of a direction died".to_owned(),
                |finding| told(report, finding),
            );
            Err(CliError::with_exit(Exit::Failed, what))
        }
    }
}

/// A finding, with the name of its port where there are several.
fn told(report: &Report, finding: &Finding) -> String {
    format!("{}{}", whose(report, finding), finding.text)
}

fn whose(report: &Report, finding: &Finding) -> String {
    report.whose(finding).map_or_else(String::new, |name| format!("{}: ", Printable(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::diagnosed,
        model::{Drop, Ledger},
        report::trace_samples::{ports, snapshot},
    };

    fn told(report: &Report) -> String {
        conclude(&Ending::Wanted, report).unwrap_err().to_string()
    }

    #[test]
    fn the_port_at_which_everything_died_is_named() {
        let (well, idle, mut dead) = (snapshot(10), snapshot(0), snapshot(0));
        let ingress = &mut dead.directions.ingress;
        ingress.drops = vec![Drop { after: "nic".to_owned(), count: 5, ..Drop::default() }];
        ingress.ledger = Ledger { entered: 5, lost: 5, ..Ledger::default() }.settled();
        let both = diagnosed(ports(&[well.clone(), dead.clone()]));
        assert_eq!(conclude(&Ending::Wanted, &both).unwrap_err().exit(), Exit::Failed);
        assert!(told(&both).starts_with("vm-2: all 5 packets to the VM died after nic"), "{}", told(&both));
        let alone = diagnosed(ports(&[dead]));
        assert!(told(&alone).starts_with("all 5 packets to the VM died after nic"), "{}", told(&alone));
        // That some have no traffic is nothing; that none has is.
        assert_eq!(conclude(&Ending::Wanted, &diagnosed(ports(&[well, idle.clone()]))).unwrap(), Exit::Ok);
        let none = diagnosed(ports(&[idle.clone(), idle]));
        assert_eq!(conclude(&Ending::Wanted, &none).unwrap_err().exit(), Exit::NoTraffic);
    }

    #[test]
    fn the_port_whose_figures_are_in_doubt_is_named() {
        let mut doubtful = snapshot(1_000);
        doubtful.directions.ingress.ledger.untracked = 11;
        let report = diagnosed(ports(&[snapshot(1_000), doubtful]));
        assert!(told(&report).starts_with("inconclusive: vm-2: too many"), "{}", told(&report));
    }
}
