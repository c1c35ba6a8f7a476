//! What a trace means, in words: the findings that every report begins with, advice about drops, and what counters mean.
//! Pure: everything is made of what a report holds, once, and rendered by each format.
//!
//! No stage: `cli` has findings made behind `collect` and before `report`. To add a kind of finding, write a file with a
//! function that gives its findings, and put it into [`KINDS`].

mod advice;
mod balance;
mod deaths;
mod doubts;
mod early;
mod evidence;
mod filters;
mod meaning;
mod misdelivered;
mod problems;
mod quiet;
mod spans;
mod taken;
mod troubles;
mod verdict;
mod words;

pub use advice::{Advice, advice};
pub use early::advice as early_advice;
pub use meaning::meaning;
pub use verdict::{Verdict, verdict};

use crate::model::{Finding, TraceReport};

/// Every kind of finding, in the order in which findings of the same severity are told.
const KINDS: [fn(&TraceReport<'_>) -> Vec<Finding>; 9] = [
    taken::findings,
    balance::findings,
    early::findings,
    misdelivered::findings,
    deaths::findings,
    problems::findings,
    evidence::findings,
    doubts::findings,
    quiet::findings,
];

/// What is to know about a trace, the worst first; at least one. `report.findings` is not looked at.
#[must_use]
pub fn findings(report: &TraceReport<'_>) -> Vec<Finding> {
    let mut found: Vec<_> = KINDS.iter().flat_map(|kind| kind(report)).collect();
    // Stable: within a severity the order stays.
    found.sort_by_key(|finding| finding.severity);
    found
}

#[cfg(test)]
mod tests;
