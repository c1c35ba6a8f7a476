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
        let timed =
            report.timed_part().map(|part| Piece::plain(format!("~ {} timed, all counted", part_of(part))));
        let facts = [state, Piece::plain(units::duration(report.duration)), Piece::plain(filter)];
        self.flow(&facts.into_iter().chain(timed).collect::<Vec<_>>(), " · ", 2)
    }

    /// What else is to know about the trace.
    pub(super) fn notes(&self) -> Vec<String> {
        let notes = self.report.notes.iter();
        notes
            .flat_map(|note| self.flow(&[Piece::plain(format!("note: {}", Printable(note)))], " ", 2))
            .collect()
    }
}

/// `1 packet in 16`, `75 packets in 100`.
fn part_of(part: f64) -> String {
    if part == 0.0 {
        "no packet".to_owned()
    } else if part > 0.5 {
        format!("{:.0} packets in 100", (part * 100.0).clamp(51.0, 99.0))
    } else {
        format!("1 packet in {:.0}", 1.0 / part)
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
