//! Whose trace it is, of what, and how long.

use super::{flow::Piece, page::Page, port::PortPage};
use crate::{
    model::Printable,
    report::{Ink, units},
};

impl Page<'_> {
    /// Filter and duration.
    pub(super) fn facts(&self) -> Vec<String> {
        let report = self.report;
        let state = if report.live { Piece::new(Ink::Good, "live") } else { Piece::plain("final") };
        let filter = match (report.settings.filter.as_str(), report.ports.len()) {
            ("", 1) => "all packets of the port".to_owned(),
            ("", count) => format!("all packets of {count} ports"),
            (filter, _) => format!("filter: {}", Printable(filter)),
        };
        let facts = [state, Piece::plain(units::duration(report.duration)), Piece::plain(filter)];
        self.flow(&facts, " · ", 2)
    }

    /// What else is to know about the trace.
    pub(super) fn notes(&self) -> Vec<String> {
        let notes = self.report.notes.iter();
        notes
            .flat_map(|note| self.flow(&[Piece::plain(format!("note: {}", Printable(note)))], " ", 2))
            .collect()
    }
}

impl PortPage<'_> {
    /// Instance and addresses.
    pub(super) fn names(&self) -> Vec<String> {
        let id = &self.port.path.instance;
        let mut names = vec![Piece::new(Ink::Strong, Printable(&id.title()).to_string())];
        let domain = id.name.as_deref().filter(|name| *name != id.title());
        names.extend(domain.map(|name| Piece::plain(Printable(name).to_string())));
        names.push(Piece::plain(id.mac.to_string()));
        names.extend(id.ips.iter().map(|address| Piece::plain(address.to_string())));
        self.page.flow(&names, "  ", 2)
    }

    /// Why not all of its path is traced.
    pub(super) fn partly(&self) -> Vec<String> {
        let why = self.port.path.traceability.why_not();
        let said = why.map(|why| Piece::new(Ink::Warn, format!("partly traced: {}", Printable(why))));
        said.map_or_else(Vec::new, |piece| self.page.flow(&[piece], " ", 2))
    }
}
