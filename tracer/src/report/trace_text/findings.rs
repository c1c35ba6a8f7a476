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
        let mut told: Vec<&str> = Vec::new();
        let mut lines = Vec::new();
        for finding in &self.report.findings {
            lines.extend(self.finding(finding));
            // Several findings may have the same next step: once is enough.
            if let Some(next) = finding.next.as_deref().filter(|next| !told.contains(next)) {
                told.push(next);
                // Its own indentation would go with the first break.
                let next = Piece::plain(format!("next: {}", Printable(next)));
                let next = flow(&[next], " ", 6, self.columns.saturating_sub(2), self.canvas);
                lines.extend(next.into_iter().map(|line| format!("  {line}")));
            }
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines
    }

    /// Which port it is about, where there are several.
    fn whose(&self, finding: &Finding) -> String {
        let ports = self.report.ports.iter().filter(|_| self.report.ports.len() > 1);
        let mut own = ports.filter(|port| Some(port.path.instance.mac) == finding.port);
        own.next().map_or_else(String::new, |port| format!("{}: ", Printable(&port.path.instance.title())))
    }

    fn finding(&self, finding: &Finding) -> Vec<String> {
        let (sign, ink) = match finding.severity {
            Severity::Critical => ("✘", Ink::Bad),
            Severity::Warning => ("!", Ink::Warn),
            Severity::Ok => ("✔", Ink::Good),
            Severity::Info => ("·", Ink::Faint),
        };
        self.flow(
            &[Piece::new(ink, format!("{sign} {}{}", self.whose(finding), Printable(&finding.text)))],
            " ",
            2,
        )
    }
}
