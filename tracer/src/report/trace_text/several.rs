//! Several ports on one page. Of many only those in full of which there is something to say, below a line for each.

use std::collections::HashSet;

use super::{
    Part,
    flow::Piece,
    page::Page,
    port::{PortPage, saw_packets},
};
use crate::{
    model::{Direction, Finding, PortReport, Severity},
    report::{
        Canvas, Ink,
        top::{Top, TopSort, table},
    },
};

/// Ports that are told in full, whatever there is to say of them.
const FEW: usize = 4;
/// Findings about single ports that a report of many begins with; each port's own stand with it, too.
const FIRST_FINDINGS: usize = 10;

impl<'a> Page<'a> {
    /// Whether there are so many ports that not each is told in full.
    pub(super) fn has_many(&self) -> bool {
        self.report.ports.len() > FEW
    }

    /// The ports, below what is of the trace.
    pub(super) fn several(self, part: Part) -> Vec<String> {
        match part {
            Part::Deaths => self.deaths_of_several(),
            Part::All if self.has_many() => self.many(),
            Part::All => self.ports().flat_map(|port| port.in_full(part)).collect(),
        }
    }

    /// A line for each port, the worst first, then those with findings.
    fn many(self) -> Vec<String> {
        let top = Top::whole(self.report, TopSort::Worst);
        let mut lines = vec![String::new()];
        lines.extend(table(&top, Canvas { width: Some(self.columns), ..self.canvas }));
        let (told, quiet): (Vec<_>, Vec<_>) =
            self.worst_first(&top).into_iter().partition(|port| port.own_findings().next().is_some());
        lines.extend(told.iter().flat_map(|port| port.in_full(Part::All)));
        if !quiet.is_empty() {
            let without = match quiet.len() {
                1 => "1 port without findings has".to_owned(),
                count => format!("{count} ports without findings have"),
            };
            let text = format!(
                "{without} one line each, above: name a port to see all of it; --json has all of every one"
            );
            lines.push(String::new());
            lines.extend(self.flow(&[Piece::new(Ink::Faint, text)], " ", 2));
        }
        lines
    }

    fn worst_first(self, top: &Top<'_>) -> Vec<PortPage<'a>> {
        let pages: Vec<_> = self.ports().collect();
        let page = |port: &PortReport| pages.iter().find(|page| std::ptr::eq(page.port, port)).copied();
        top.ports().filter_map(page).collect()
    }

    /// Those of which packets died, the most first; of the others, how many there are.
    fn deaths_of_several(self) -> Vec<String> {
        let top = Top::whole(self.report, TopSort::Died);
        let (told, quiet): (Vec<_>, Vec<_>) =
            self.worst_first(&top).into_iter().partition(PortPage::is_about_deaths);
        let mut lines: Vec<String> = told.iter().flat_map(|port| port.in_full(Part::Deaths)).collect();
        let silent = quiet.iter().filter(|port| !port.saw_packets()).count();
        let mut pieces = Vec::new();
        if quiet.len() > silent {
            pieces.push(format!("{}: nothing died", ports(quiet.len() - silent)));
        }
        if silent > 0 {
            pieces.push(format!("{}: no packet was seen", ports(silent)));
        }
        if !pieces.is_empty() {
            lines.push(String::new());
            let pieces: Vec<_> = pieces.into_iter().map(Piece::plain).collect();
            lines.extend(self.flow(&pieces, " · ", 2));
        }
        lines
    }

    /// The findings that the report begins with, and how many more there are: of many ports the worst one of each, and of not all.
    pub(super) fn first_findings(&self) -> (Vec<&'a Finding>, usize) {
        let findings = self.report.findings.iter();
        if !self.has_many() {
            return (findings.collect(), 0);
        }
        let mut told = HashSet::new();
        let (first, more): (Vec<_>, Vec<_>) = findings.partition(|finding| {
            finding.port.is_none_or(|mac| told.len() < FIRST_FINDINGS && told.insert(mac))
        });
        (first, more.len())
    }
}

impl<'a> PortPage<'a> {
    /// All of a part of it, below its names.
    fn in_full(&self, part: Part) -> Vec<String> {
        let mut lines = vec![String::new()];
        lines.extend(self.names());
        if self.page.has_many() {
            lines.extend(self.own_findings().flat_map(|finding| self.page.indented(finding)));
        }
        lines.extend(self.partly());
        lines.extend(self.part(part));
        lines
    }

    /// Those about this port.
    fn own_findings(&self) -> impl Iterator<Item = &'a Finding> {
        let mac = self.port.path.instance.mac;
        self.page.report.findings.iter().filter(move |finding| finding.port == Some(mac))
    }

    fn saw_packets(&self) -> bool {
        Direction::ALL.iter().any(|way| saw_packets(self.port.directions.get(*way)))
    }

    /// Whether packets died, or may have.
    fn is_about_deaths(&self) -> bool {
        let died = |way: &Direction| {
            let figures = self.port.directions.get(*way);
            !figures.drops.is_empty() || !figures.early_drops.is_empty() || figures.ledger.misdelivered > 0
        };
        Direction::ALL.iter().any(died)
            || self.own_findings().any(|finding| finding.severity == Severity::Critical)
    }
}

fn ports(count: usize) -> String {
    if count == 1 { "1 port".to_owned() } else { format!("{count} ports") }
}
