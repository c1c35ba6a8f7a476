//! What a report begins with: its findings.

use super::{
    flow::{Piece, flow},
    page::Page,
};
use crate::{
    model::{Finding, Printable, Severity},
    report::Ink,
};

impl Page<'_> {
    /// A line for each finding and one for its next step, the worst first; followed by an empty line.
    pub(super) fn findings(&self) -> Vec<String> {
        let (first, more) = self.first_findings();
        let mut told: Vec<&str> = Vec::new();
        let mut lines = Vec::new();
        for finding in first {
            lines.extend(self.finding(&self.whose(finding), finding));
            // Several findings may have the same next step: once is enough.
            if let Some(next) = finding.next.as_deref().filter(|next| !told.contains(next)) {
                told.push(next);
                lines.extend(self.next(next));
            }
        }
        if more > 0 {
            let text = format!("· {more} more about single ports: with these, below");
            lines.extend(self.flow(&[Piece::new(Ink::Faint, text)], " ", 2));
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines
    }

    /// A finding where it is clear whose it is, with its next step.
    pub(super) fn indented(&self, finding: &Finding) -> Vec<String> {
        let next = finding.next.as_deref().map(|next| self.next(next));
        self.finding("", finding).into_iter().chain(next.into_iter().flatten()).collect()
    }

    fn next(&self, next: &str) -> Vec<String> {
        // Its own indentation would go with the first break.
        let next = Piece::plain(format!("next: {}", Printable(next)));
        let next = flow(&[next], " ", 6, self.columns.saturating_sub(2), self.canvas);
        next.into_iter().map(|line| format!("  {line}")).collect()
    }

    /// Which port it is about, where there are several.
    fn whose(&self, finding: &Finding) -> String {
        let mut ports = self.ports().filter(|_| self.report.ports.len() > 1);
        let of = ports.find(|port| Some(port.port.path.instance.mac) == finding.port);
        of.map_or_else(String::new, |port| format!("{}: ", Printable(port.name)))
    }

    fn finding(&self, whose: &str, finding: &Finding) -> Vec<String> {
        let (sign, ink) = match finding.severity {
            Severity::Critical => ("✘", Ink::Bad),
            Severity::Warning => ("!", Ink::Warn),
            Severity::Ok => ("✔", Ink::Good),
            Severity::Info => ("·", Ink::Faint),
        };
        self.flow(&[Piece::new(ink, format!("{sign} {whose}{}", Printable(&finding.text)))], " ", 2)
    }
}
