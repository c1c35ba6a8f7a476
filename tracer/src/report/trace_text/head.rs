//! Whose trace it is, of what, and how long.

use super::{Page, flow::Piece, units};
use crate::{model::Printable, report::Ink};

impl Page<'_> {
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
