//! What to know about the lines `packets` printed.

use super::troubles::troubles;
use crate::model::{Direction, PortReport, Printable, Report};

/// A line on what was printed, and one on each thing that is missing or could not be followed. `printed` is `None`
/// where printing was broken off.
#[must_use]
pub fn packets_summary(report: &Report, printed: Option<u64>) -> Vec<String> {
    let sum = |count: fn(&crate::model::DirectionReport) -> u64| -> u64 {
        let both = |port: &PortReport| Direction::ALL.map(|way| count(port.directions.get(way)));
        report.ports.iter().flat_map(both).sum()
    };
    let completed = sum(|figures| figures.ledger.completed);
    let sent = sum(|figures| figures.hooks.iter().map(|hook| hook.emitted).sum());
    let lost = sum(|figures| figures.ledger.ring_lost);
    let mut lines = vec![match printed {
        Some(printed) => format!("printed {printed} of the {completed} packets that completed their way"),
        None => format!("broken off while {sent} of {completed} packets were being printed"),
    }];
    if lost > 0 {
        lines.push(format!("{lost} packets are missing here: the ring buffer was full"));
    }
    let unseen = sum(|figures| figures.ledger.unseen);
    if unseen > 0 {
        lines.push(format!("{unseen} packets are missing here: the wire hook was not shown them"));
    }
    let late = sum(|figures| figures.ledger.clock_skew);
    if late > 0 {
        lines.push(format!(
            "{late} packets were seen late at a hook: how long the whole way of some of them took is not known, and no --slower-than finds those"
        ));
    }
    for port in &report.ports {
        for direction in Direction::ALL {
            let troubles =
                troubles(&port.directions.get(direction).hooks, |hook| Printable(hook).to_string());
            if !troubles.is_empty() {
                lines.push(format!("{}: {}", direction.name(), troubles.join("; ")));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::trace_samples::{path, report, snapshot};

    #[test]
    fn what_is_missing_is_said() {
        let mut snapshot = snapshot(1_000);
        assert_eq!(
            packets_summary(&report(&path(), &snapshot), Some(20)),
            ["printed 20 of the 2000 packets that completed their way"]
        );
        let egress = &mut snapshot.directions.egress;
        (egress.ledger.ring_lost, egress.ledger.unseen, egress.ledger.clock_skew) = (3, 1, 4);
        for hook in egress.hooks.iter_mut().filter(|hook| hook.hook == "nic") {
            (hook.emitted, hook.ring_lost, hook.untracked) = (5, 3, 2);
        }
        assert_eq!(
            packets_summary(&report(&path(), &snapshot), None),
            [
                "broken off while 5 of 2000 packets were being printed",
                "3 packets are missing here: the ring buffer was full",
                "1 packets are missing here: the wire hook was not shown them",
                "4 packets were seen late at a hook: how long the whole way of some of them took is not known, and no --slower-than finds those",
                "egress: untracked at nic 2; ring lost at nic 3"
            ]
        );
    }
}
