//! What came of a fault, as the table and JSON show it.

use serde::{Deserialize, Serialize};

/// One fault, on one kernel, in one direction.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Case {
    /// The fault's name.
    pub fault: String,
    /// The kernel's release.
    pub kernel: String,
    /// `egress` or `ingress`.
    pub direction: String,
    /// Packets that the fault took, by a witness that is not the tracer.
    pub injected: u64,
    /// The hook behind which the report says that they died.
    pub blamed_after: Option<String>,
    /// The kernel's reason in the report; null: lost.
    pub reason: Option<String>,
    /// Packets that the report counts there.
    pub counted: u64,
    /// Whether the report says what is true, and nothing else.
    pub correct: bool,
    /// Why it did not run: what this kernel or lab really cannot do.
    pub skipped: Option<String>,
    /// What is wrong with the report; null where nothing is.
    pub wrong: Option<String>,
}

impl Case {
    pub(super) fn new(fault: &str, kernel: &str, direction: &str) -> Self {
        Self {
            fault: fault.to_owned(),
            kernel: kernel.to_owned(),
            direction: direction.to_owned(),
            injected: 0,
            blamed_after: None,
            reason: None,
            counted: 0,
            correct: false,
            skipped: None,
            wrong: None,
        }
    }

    /// Whether the report was right, or the kernel cannot do this.
    #[must_use]
    pub const fn has_passed(&self) -> bool {
        self.correct || self.skipped.is_some()
    }

    fn cells(&self) -> [String; 8] {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let verdict = match (&self.skipped, self.correct) {
            (Some(reason), _) => format!("skipped: {reason}"),
            (None, true) => "yes".to_owned(),
            (None, false) => format!("NO: {}", self.wrong.as_deref().unwrap_or("?")),
        };
        [
            self.fault.clone(),
            self.kernel.split(['-', '+']).next().unwrap_or_default().to_owned(),
            self.direction.clone(),
            self.injected.to_string(),
            or_dash(&self.blamed_after),
            or_dash(&self.reason),
            self.counted.to_string(),
            verdict,
        ]
    }
}

/// The cases as lines of text in columns, a head first.
#[must_use]
pub fn table(cases: &[Case]) -> Vec<String> {
    let head = ["fault", "kernel", "direction", "injected", "blamed after", "reason", "counted", "correct"];
    let rows: Vec<[String; 8]> =
        std::iter::once(head.map(str::to_owned)).chain(cases.iter().map(Case::cells)).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Case, table};

    #[test]
    fn columns_line_up_and_say_what_is_wrong() {
        let mut wrong = Case::new("a fault", "6.1.0-56-cloud-amd64", "egress");
        wrong.wrong = Some("lost after nic".into());
        let mut skipped = Case::new("b", "6.12.1", "ingress");
        skipped.skipped = Some("no module".into());
        let lines = table(&[wrong, skipped]);
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("6.1.0 ") && lines[1].ends_with("NO: lost after nic"));
        assert!(lines[2].ends_with("skipped: no module"));
        assert_eq!(lines[1].find("egress"), lines[2].find("ingress"));
    }
}
