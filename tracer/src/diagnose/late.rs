//! Packets that took longer between two hooks than the time-out.

use super::words::{hook, packets, time_of_day};
use crate::model::{Direction, Finding, LONGEST_TIMEOUT, LatePackets, PortTrace, Severity};

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    let of = |direction| {
        let late = report.port.directions.get(direction).late.iter();
        late.map(move |late| of(report, direction, late))
    };
    Direction::ALL.into_iter().flat_map(of).collect()
}

fn of(report: &PortTrace<'_>, direction: Direction, late: &LatePackets) -> Finding {
    let timeout_ms = report.trace.settings.timeout_ms;
    let max_ms = late.max_ns.map(|max_ns| max_ns.div_ceil(1_000_000));
    let are_all_timed = late.timed == late.packets;
    let known = if are_all_timed { "" } else { " as far as is known" };
    let up_to = max_ms.map_or_else(String::new, |ms| format!(", up to {ms} ms{known}"));
    let when = match [late.first_ns, late.last_ns].map(time_of_day) {
        [first, last] if first == last => format!("at {first}"),
        [first, last] => format!("between {first} and {last}"),
    };
    let by_upcall = match late.by_upcall {
        0 => String::new(),
        all if all == late.packets => ", by way of ovs-vswitchd".to_owned(),
        some => format!(", {some} of them by way of ovs-vswitchd"),
    };
    let text = format!(
        "{} {} took longer than the time-out of {timeout_ms} ms from {} to {}{up_to} ({when}){by_upcall}: late, not lost",
        packets(late.packets),
        direction.course(),
        hook(report.path(), &late.from),
        hook(report.path(), &late.to),
    );
    let finding = Finding::new(Severity::Warning, "packets-late", text).at(late.from.clone());
    match next(late.by_upcall > 0, max_ms.filter(|_| are_all_timed)) {
        Some(next) => finding.next(next),
        None => finding,
    }
}

/// What to do about it; `max_ms`: no packet took longer.
fn next(by_upcall: bool, max_ms: Option<u64>) -> Option<String> {
    let busy = by_upcall.then(|| {
        "`ovs-appctl coverage/show` and ovs-vswitchd's log (\"Unreasonably long … poll interval\") tell what keeps it from \
         answering"
            .to_owned()
    });
    // Longer than that one: the next one may take a little longer.
    let seconds = max_ms
        .map(|ms| (ms + ms / 4).div_ceil(1_000))
        .filter(|seconds| *seconds <= LONGEST_TIMEOUT.as_secs());
    let longer = seconds.map(|seconds| format!("with --timeout {seconds}s none of them is given up"));
    let both: Vec<String> = [busy, longer].into_iter().flatten().collect();
    (!both.is_empty()).then(|| both.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::trace_samples::{path, report, snapshot};

    /// What is said of packets on their way out, and what to do.
    fn told(late: LatePackets) -> (String, Option<String>) {
        let mut snapshot = snapshot(1_000);
        snapshot.directions.egress.late = vec![late];
        let mut found = report(&path(), &snapshot).findings.into_iter();
        let finding = found.find(|finding| finding.code == "packets-late").unwrap();
        (finding.text, finding.next)
    }

    #[test]
    fn what_came_late_is_told_with_how_late_when_and_what_to_do() {
        let late = LatePackets {
            from: "qvo".to_owned(),
            to: "nic".to_owned(),
            packets: 23,
            by_upcall: 23,
            timed: 23,
            max_ns: Some(2_103_400_000),
            first_ns: 3_600_000_000_000,
            last_ns: 3_610_000_000_000,
        };
        let (text, next) = told(late.clone());
        assert!(
            text.starts_with("23 packets from the VM took longer than the time-out of 1000 ms from qvo "),
            "{text}"
        );
        assert!(
            text.ends_with(
                ", up to 2104 ms (between 01:00:00 and 01:00:10), by way of ovs-vswitchd: late, not lost"
            ),
            "{text}"
        );
        assert!(next.unwrap().contains("; with --timeout 3s "));
        let (text, next) = told(LatePackets {
            by_upcall: 2,
            last_ns: late.first_ns,
            max_ns: Some(9_000_000_000),
            ..late.clone()
        });
        assert!(text.contains("9000 ms (at 01:00:00), 2 of them by way of"), "{text}");
        assert!(!next.unwrap().contains("--timeout"), "there is none that is long enough");
        assert_eq!(told(LatePackets { by_upcall: 0, timed: 0, max_ns: None, ..late.clone() }).1, None);
        let (text, next) = told(LatePackets { by_upcall: 0, timed: 22, ..late });
        assert!(text.contains(", up to 2104 ms as far as is known ("), "{text}");
        assert_eq!(next, None, "another one may have taken longer");
    }
}
