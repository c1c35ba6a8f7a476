//! Whose trace it is, and before that what makes it doubtful.

use super::{Page, flow::Piece, units};
use crate::{
    model::{Direction, Ledger, Printable},
    report::Ink,
};

/// More than this share of the packets, in percent, is worth a warning.
const MUCH_PCT: u128 = 1;

impl Page<'_> {
    /// What makes the figures doubtful, in plain words; followed by an empty line.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for direction in Direction::ALL {
            let ledger = &self.report.snapshot.directions.get(direction).ledger;
            let balance = self.imbalance(ledger).map(|text| {
                Piece::new(Ink::Bad, format!("✘ {direction}: {text}", direction = direction.name()))
            });
            let doubts = doubts(ledger).into_iter().map(|text| {
                Piece::new(Ink::Warn, format!("! {direction}: {text}", direction = direction.name()))
            });
            for piece in balance.into_iter().chain(doubts) {
                lines.extend(self.flow(&[piece], " ", 2));
            }
        }
        lines.extend(self.early_warnings());
        let unnamed = self.report.snapshot.drops_without_site;
        if unnamed > 0 {
            let text = format!(
                "! {unnamed} drops came from more places than are kept apart: they are lost, without a reason"
            );
            lines.extend(self.flow(&[Piece::new(Ink::Warn, text)], " ", 2));
        }
        let missed = self.report.snapshot.tracer.missed_runs;
        if missed > 0 {
            let text = format!(
                "! egress: the kernel left out {missed} runs of the wire hook: as many packets that were sent may count \
                 as lost after the NIC"
            );
            lines.extend(self.flow(&[Piece::new(Ink::Warn, text)], " ", 2));
        }
        let unseen = self.report.snapshot.directions.egress.ledger.unseen;
        if unseen > 0 {
            let packets = if unseen == 1 { "1 packet".to_owned() } else { format!("{unseen} packets") };
            let text = format!(
                "! egress: {packets} left the NIC's hook and did not show at the wire hook, though nothing counted a drop in \
                 between: the kernel did not run the hook's program, or the packet left the host another way"
            );
            lines.extend(self.flow(&[Piece::new(Ink::Warn, text)], " ", 2));
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines
    }

    /// While packets move, counters and table are read at slightly different times: then only much is worth saying.
    fn imbalance(&self, ledger: &Ledger) -> Option<String> {
        let apart = ledger.imbalance();
        if apart == 0 || (self.report.live && !is_much(apart.unsigned_abs(), ledger)) {
            return None;
        }
        let meaning = if apart > 0 { "went in and did not come out" } else { "came out and did not go in" };
        let noun = if apart.unsigned_abs() == 1 { "packet" } else { "packets" };
        Some(format!(
            "the ledger DOES NOT BALANCE: {} {noun} {meaning}; do not trust the figures",
            apart.unsigned_abs()
        ))
    }

    /// Instance, addresses, filter, duration.
    pub(super) fn head(&self) -> Vec<String> {
        let report = self.report;
        let id = &report.path.instance;
        let mut names = vec![Piece::new(Ink::Strong, Printable(&id.title()).to_string())];
        let domain = id.name.as_deref().filter(|name| *name != id.title());
        names.extend(domain.map(|name| Piece::plain(Printable(name).to_string())));
        names.push(Piece::plain(id.mac.to_string()));
        names.extend(id.ips.iter().map(|address| Piece::plain(address.to_string())));
        let mut lines = self.flow(&names, "  ", 2);

        let state = if report.live { Piece::new(Ink::Good, "live") } else { Piece::plain("final") };
        let filter = if report.filter.is_empty() {
            "all packets of the port".to_owned()
        } else {
            format!("filter: {}", Printable(report.filter))
        };
        let facts = [state, Piece::plain(units::duration(report.snapshot.duration)), Piece::plain(filter)];
        lines.extend(self.flow(&facts, " · ", 2));
        if let Some(why) = report.path.traceability.why_not() {
            lines.extend(self.flow(
                &[Piece::new(Ink::Warn, format!("partly traced: {}", Printable(why)))],
                " ",
                2,
            ));
        }
        for note in &report.snapshot.notes {
            lines.extend(self.flow(&[Piece::plain(format!("note: {}", Printable(note)))], " ", 2));
        }
        lines
    }
}

/// What there is so much of that latencies and counts are incomplete.
fn doubts(ledger: &Ledger) -> Vec<String> {
    [
        (
            ledger.ambiguous,
            "packets looked like another one on its way at the time: they are counted, and not timed",
        ),
        (ledger.untracked, "untracked: sights of packets that found no room in the table"),
        (
            ledger.clock_skew,
            "skewed: sights in the wrong order or with contradicting clocks, without latency",
        ),
    ]
    .into_iter()
    .filter(|(count, _)| is_much(u128::from(*count), ledger))
    .map(|(count, what)| format!("{count} {what}"))
    .collect()
}

fn is_much(count: u128, ledger: &Ledger) -> bool {
    let seen = u128::from(ledger.entered) + u128::from(ledger.joined_midway);
    count > 0 && count * 100 > seen * MUCH_PCT
}
