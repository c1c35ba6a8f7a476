//! Packets that died before the first hook, above those that hooks have seen.

use super::{
    Page,
    drops::{cause, packet, times},
    flow::Piece,
    places,
};
use crate::{
    model::{Direction, DirectionReport, EarlyDrop},
    report::{Ink, advice::early_advice},
};

impl Page<'_> {
    /// A warning about each direction that has such packets; what is below is about the others.
    pub(super) fn early_warnings(&self) -> Vec<String> {
        let of = |direction: Direction| {
            let early = &self.report.snapshot.directions.get(direction).early_drops;
            let first = early.first()?;
            let count: u64 = early.iter().map(|early| early.count).sum();
            let text = format!(
                "! {}: {count} packet{} died before {}, where the path begins: no figure below contains {}",
                direction.name(),
                if count == 1 { "" } else { "s" },
                places::hook(self.report.path, &first.before),
                if count == 1 { "it" } else { "them" },
            );
            Some(self.flow(&[Piece::new(Ink::Bad, text)], " ", 2))
        };
        Direction::ALL.into_iter().filter_map(of).flatten().collect()
    }

    /// A row for each cause, and what it means; nothing without any.
    pub(super) fn early(&self, direction: Direction, figures: &DirectionReport) -> Vec<String> {
        let widest = figures.early_drops.iter().map(|early| early.count.to_string().len()).max().unwrap_or(0);
        let lines: Vec<_> =
            figures.early_drops.iter().flat_map(|early| self.early_row(direction, early, widest)).collect();
        let title = (!lines.is_empty()).then(|| "  died before the first hook".to_owned());
        title.into_iter().chain(lines).collect()
    }

    fn early_row(&self, direction: Direction, early: &EarlyDrop, widest: usize) -> Vec<String> {
        let indent = 6 + widest;
        let why = cause(early.subsystem.as_deref(), early.reason.as_deref(), &early.location);
        let pieces = [
            Piece::new(Ink::Bad, format!("    {:>widest$}", early.count)),
            Piece::plain(format!("before {}", places::hook(self.report.path, &early.before))),
            Piece::plain(why),
        ];
        let mut lines = self.flow(&pieces, "  ", indent);
        let example =
            early.example.as_ref().map_or_else(String::new, |it| format!(", one of them {}", packet(it)));
        let meaning = early_advice(self.report.path, direction, early);
        let below = [
            (Ink::Faint, format!("{}{example}", times(early.first_ns, early.last_ns))),
            (Ink::Warn, meaning),
        ];
        for (ink, text) in below {
            let start = Piece::plain(" ".repeat(indent - 1));
            lines.extend(self.flow(&[start, Piece::new(ink, text)], " ", indent + 2));
        }
        lines
    }
}

#[cfg(test)]
#[path = "early_tests.rs"]
mod tests;
