//! Packets that died before the first hook, above those that hooks have seen.

use super::{
    drops::{cause, on_cpus, packet, times},
    flow::Piece,
    places,
    port::PortPage,
};
use crate::{
    model::{DirectionReport, EarlyDrop},
    report::Ink,
};

impl PortPage<'_> {
    /// A row for each cause, and what it means; nothing without any.
    pub(super) fn early(&self, figures: &DirectionReport) -> Vec<String> {
        let widest = figures.early_drops.iter().map(|early| early.count.to_string().len()).max().unwrap_or(0);
        let lines: Vec<_> =
            figures.early_drops.iter().flat_map(|early| self.early_row(early, widest)).collect();
        let title = (!lines.is_empty()).then(|| "  died before the first hook".to_owned());
        title.into_iter().chain(lines).collect()
    }

    fn early_row(&self, early: &EarlyDrop, widest: usize) -> Vec<String> {
        let indent = 6 + widest;
        let why = cause(early.subsystem.as_deref(), early.reason.as_deref(), &early.location);
        let pieces = [
            Piece::new(Ink::Bad, format!("    {:>widest$}", early.count)),
            Piece::plain(format!("before {}", places::hook(&self.port.path, &early.before))),
            Piece::plain(why),
        ];
        let pieces =
            [pieces.as_slice(), on_cpus(&early.cpus, early.count).map(Piece::plain).as_slice()].concat();
        let mut lines = self.page.flow(&pieces, "  ", indent);
        let example =
            early.example.as_ref().map_or_else(String::new, |it| format!(", one of them {}", packet(it)));
        let below = [
            (Ink::Faint, format!("{}{example}", times(early.first_ns, early.last_ns))),
            (Ink::Warn, early.advice.clone()),
        ];
        for (ink, text) in below {
            let start = Piece::plain(" ".repeat(indent - 1));
            lines.extend(self.page.flow(&[start, Piece::new(ink, text)], " ", indent + 2));
        }
        lines
    }
}

#[cfg(test)]
#[path = "early_tests.rs"]
mod tests;
