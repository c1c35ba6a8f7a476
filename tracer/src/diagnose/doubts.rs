//! What makes some of the figures doubtful.

use super::words::{came, packets};
use crate::model::{Direction, Finding, Ledger, PortTrace, Report, Severity, timed_part};

/// More than this share of the packets, in percent, is worth a word where only latencies are missing.
const MUCH_PCT: u128 = 1;
/// So many, in percent, that latencies are in doubt.
const MOST_PCT: u128 = 10;
/// So many, in percent, that the others' latencies are of the slower part alone.
const HALF_PCT: u128 = 50;

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    Direction::ALL.into_iter().flat_map(|way| of(report, way)).collect()
}

/// Those about all ports together.
pub(super) fn of_trace(report: &Report) -> Vec<Finding> {
    let warning = |code, text: String| Finding::new(Severity::Warning, code, text);
    let mut found = Vec::new();
    let unnamed = report.drops_without_site;
    if unnamed > 0 {
        found.push(warning(
            "drops-without-reason",
            format!(
                "{unnamed} drops came from more places than are kept apart: they are lost, without a reason"
            ),
        ));
    }
    let missed = report.tracer.missed_runs;
    if missed > 0 {
        let text = format!(
            "the kernel left out {missed} runs of hooks at tracepoints: as many packets may count as lost before them"
        );
        found.push(warning("hook-runs-missed", text));
    }
    found
}

/// Those about the hook at the NIC's driver.
pub(super) fn at_wire(report: &PortTrace<'_>) -> Vec<Finding> {
    let unseen = report.port.directions.egress.ledger.unseen;
    if unseen == 0 {
        return Vec::new();
    }
    let text = format!(
        "egress: {} left the NIC's hook and did not show at the wire hook, though nothing counted a drop in between: the \
         kernel did not run the hook's program, or the packet left the host another way",
        packets(unseen)
    );
    vec![Finding::new(Severity::Warning, "wire-unseen", text).at("wire")]
}

/// Any packet that was not followed may have died; of latencies only much is worth a word.
fn of(report: &PortTrace<'_>, direction: Direction) -> Vec<Finding> {
    let figures = report.port.directions.get(direction);
    let ledger = &figures.ledger;
    let who = direction.course();
    // Only of those that were timed it is known that the clocks contradict each other.
    let part = timed_part(figures.segments.iter()).unwrap_or(1.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "about"
    )]
    let contradicting =
        (ledger.clock_skew.saturating_sub(ledger.overtaken) as f64 / part.max(f64::MIN_POSITIVE)) as u64;
    let doubts = [
        (
            Severity::Warning,
            "untracked",
            ledger.untracked > 0,
            format!(
                "{} sights of packets {who} are untracked: they found no room in the table, or another CPU kept their place busy",
                ledger.untracked
            ),
        ),
        // No doubt about any count. Clocks that disagree are one about all latencies. A wrong order is none about others (a switch in user
        // space can be faster than traffic control), until those that were faster are so many that the rest says little.
        (
            if is_part(contradicting, MOST_PCT, ledger) || is_part(ledger.overtaken, HALF_PCT, ledger) {
                Severity::Warning
            } else {
                Severity::Info
            },
            "clock-skew",
            is_much(contradicting.saturating_add(ledger.overtaken), ledger),
            format!(
                "{} sights of packets {who} are skewed: in the wrong order or with contradicting clocks, without latency",
                ledger.clock_skew
            ),
        ),
        (
            Severity::Warning,
            "in-flight",
            !report.trace.live && ledger.in_flight > 0,
            format!(
                "{} {who} had not arrived when the trace ended: which of them died is not known",
                packets(ledger.in_flight)
            ),
        ),
        (
            Severity::Warning,
            "not-followed",
            ledger.unparsed > 0,
            format!(
                "frames {who}, or with its address, were not followed ({} at all hooks together): they are not IPv4, IPv6, ARP or RARP, or broken, or not in memory that programs \
                 can read",
                ledger.unparsed
            ),
        ),
        // No doubt about any count.
        (
            Severity::Info,
            "look-alike",
            is_much(ledger.ambiguous, ledger),
            format!(
                "{} {who} looked like another one on its way at the time: counted, not timed",
                packets(ledger.ambiguous)
            ),
        ),
    ];
    let told = doubts.into_iter().filter(|(_, _, is_worth_it, _)| *is_worth_it);
    told.map(|(severity, code, _, text)| Finding::new(severity, code, text)).collect()
}

fn is_much(count: u64, ledger: &Ledger) -> bool {
    is_part(count, MUCH_PCT, ledger)
}

/// Whether more than this part of the packets, in percent.
fn is_part(count: u64, percent: u128, ledger: &Ledger) -> bool {
    u128::from(count) * 100 > u128::from(came(ledger)) * percent
}
