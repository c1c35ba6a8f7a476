//! Packets that died: where, why, when, one of them, and what that means.

use super::{
    flow::Piece,
    places,
    port::{PortPage, saw_packets, way},
};
use crate::{
    model::{Direction, DirectionReport, Drop, DropExample, Ledger, Printable},
    report::{
        Ink,
        packet::{end, time_of_day},
    },
};

impl PortPage<'_> {
    /// The drops of a direction below a title; nothing without any.
    pub(super) fn drops(&self, figures: &DirectionReport) -> Vec<String> {
        let widest = figures.drops.iter().map(|drop| drop.count.to_string().len()).max().unwrap_or(0);
        let lines: Vec<_> = figures.drops.iter().flat_map(|drop| self.drop(drop, widest)).collect();
        let title = (!lines.is_empty()).then(|| "  drops".to_owned());
        title.into_iter().chain(lines).chain(self.late(&figures.ledger)).collect()
    }

    /// A packet that comes after the time-out is lost at one hook, and joins midway at the next.
    fn late(&self, ledger: &Ledger) -> Vec<String> {
        let maybe = ledger.lost.min(ledger.joined_midway);
        if maybe == 0 {
            return Vec::new();
        }
        let text = format!(
            "    up to {maybe} of the lost may only have been late, or were changed on their way: as many packets joined \
             midway; a longer --timeout (now {} ms) tells",
            self.page.report.settings.timeout_ms
        );
        self.page.flow(&[Piece::new(Ink::Warn, text)], " ", 6)
    }

    /// A direction as `drops` tells it.
    pub(super) fn deaths(&self, direction: Direction) -> Vec<String> {
        let figures = self.port.directions.get(direction);
        let mut lines = vec![self.page.heading(direction.name(), way(direction))];
        lines.extend(self.early(figures));
        lines.extend(self.drops(figures));
        lines.extend(self.carried(direction));
        if !saw_packets(figures) {
            lines.push(self.nothing_seen(direction).to_owned());
        } else if figures.drops.is_empty()
            && figures.early_drops.is_empty()
            && figures.ledger.misdelivered == 0
        {
            lines.push("  nothing died".to_owned());
        }
        if saw_packets(figures) || figures.ledger != Ledger::default().settled() {
            lines.extend(self.ledger(direction, &figures.ledger));
            lines.extend(self.troubles(&figures.hooks));
        }
        lines
    }

    fn drop(&self, drop: &Drop, widest: usize) -> Vec<String> {
        let indent = 6 + widest;
        let pieces = [
            Piece::new(Ink::Bad, format!("    {:>widest$}", drop.count)),
            Piece::plain(format!("after {}", places::hook(&self.port.path, &drop.after))),
            Piece::plain(self.why(drop)),
        ];
        let mut lines = self.page.flow(&pieces, "  ", indent);
        let below = |ink, text: String| {
            let start = Piece::plain(" ".repeat(indent - 1));
            self.page.flow(&[start, Piece::new(ink, text)], " ", indent + 2)
        };
        let times = times(drop.first_ns, drop.last_ns);
        let example =
            drop.example.as_ref().map_or_else(String::new, |it| format!(", one of them {}", packet(it)));
        lines.extend(below(Ink::Faint, format!("{times}{example}")));
        lines.extend(drop.advice.iter().flat_map(|advice| below(Ink::Warn, advice.clone())));
        lines.extend(drop.explain.iter().flat_map(|explained| self.explanation(explained, indent)));
        lines
    }

    /// Why, and where in the kernel.
    fn why(&self, drop: &Drop) -> String {
        match &drop.location {
            Some(location) => cause(drop.subsystem.as_deref(), drop.reason.as_deref(), location),
            None => format!(
                "lost: not seen again within {} ms, no reason seen",
                self.page.report.settings.timeout_ms
            ),
        }
    }
}

/// Why the kernel freed a packet, and where.
pub(super) fn cause(subsystem: Option<&str>, reason: Option<&str>, location: &str) -> String {
    let subsystem = subsystem.map_or_else(String::new, |name| format!("{} ", Printable(name)));
    let reason = reason.map_or_else(
        || "freed, the kernel gives no reason,".to_owned(),
        |reason| format!("{subsystem}{}", Printable(reason)),
    );
    format!("{reason} in {}", Printable(location))
}

/// When packets died.
pub(super) fn times(first_ns: u64, last_ns: u64) -> String {
    match (time_of_day(first_ns), time_of_day(last_ns)) {
        (first, last) if first == last => format!("at {first}"),
        (first, last) => format!("from {first} to {last}"),
    }
}

pub(super) fn packet(example: &DropExample) -> String {
    let flow = &example.flow;
    format!(
        "{} > {} {} {} B",
        end(flow.source, flow.source_port),
        end(flow.destination, flow.destination_port),
        flow.protocol,
        example.len_bytes
    )
}
