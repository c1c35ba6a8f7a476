//! Counters of the host that rose while packets were traced, and unanswered questions.

use super::{flow::Piece, page::Page};
use crate::{
    model::{Evidence, Printable},
    report::Ink,
};

impl Page<'_> {
    /// A line for each counter and one for what it means, below a heading; nothing if none rose.
    pub(super) fn evidence(&self) -> Vec<String> {
        let evidence = &self.report.evidence;
        if evidence.is_empty() {
            return Vec::new();
        }
        let what = "what rose meanwhile, beside the ledger and not part of it";
        let widest = evidence.iter().map(|it| it.count.to_string().len()).max().unwrap_or(0);
        let lines = evidence.iter().flat_map(|evidence| self.counter(evidence, widest));
        [String::new(), self.heading("also seen", what)].into_iter().chain(lines).collect()
    }

    fn counter(&self, evidence: &Evidence, widest: usize) -> Vec<String> {
        let indent = 6 + widest;
        let place = evidence.source.place();
        let of = evidence.of.map_or_else(String::new, |of| format!(" of {of}"));
        let pieces = [
            Piece::new(Ink::Bad, format!("    {:>widest$}{of}", evidence.count)),
            Piece::plain(format!("{place}{}", Printable(&evidence.at))),
            Piece::plain(Printable(&evidence.counter).to_string()),
        ];
        let mut lines = self.flow(&pieces, "  ", indent);
        let start = Piece::plain(" ".repeat(indent - 1));
        let meaning = Piece::new(Ink::Warn, evidence.meaning.clone());
        lines.extend(self.flow(&[start, meaning], " ", indent + 2));
        lines
    }
}
