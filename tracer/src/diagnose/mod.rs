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

pub use verdict::{Verdict, verdict};

use crate::model::{Direction, Finding, PortTrace, Report};
use advice::advice;
use early::advice as early_advice;
use meaning::meaning;

/// Every kind of finding, in the order in which findings of the same severity are told.
const KINDS: [fn(&PortTrace<'_>) -> Vec<Finding>; 9] = [
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

/// The report with all that it means, in words.
#[must_use]
pub fn diagnosed(mut report: Report) -> Report {
    let advice: Vec<_> =
        report.each_port().map(|port| Direction::ALL.map(|direction| advice_of(&port, direction))).collect();
    for (port, of_port) in report.ports.iter_mut().zip(advice) {
        for (direction, advice) in Direction::ALL.into_iter().zip(of_port) {
            let figures = port.directions.get_mut(direction);
            figures.drops.iter_mut().zip(advice.drops).for_each(|(drop, words)| drop.advice = words);
            figures.early_drops.iter_mut().zip(advice.early).for_each(|(early, words)| early.advice = words);
        }
    }
    if let Some(port) = report.ports.first() {
        report.evidence.iter_mut().for_each(|evidence| evidence.meaning = meaning(&port.path, evidence));
    }
    report.findings = findings(&report);
    report
}

/// What is to know about a trace, the worst first; at least one. `report.findings` is not looked at.
fn findings(report: &Report) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for port in report.each_port() {
        let mac = port.path().instance.mac;
        for finding in KINDS.iter().flat_map(|kind| kind(&port)) {
            // What is so of the whole host is found with each port.
            let is_known = |known: &Finding| (&known.text, &known.place) == (&finding.text, &finding.place);
            if !found.iter().any(is_known) {
                found.push(Finding { port: Some(mac), ..finding });
            }
        }
    }
    // Stable: within a severity the order stays.
    found.sort_by_key(|finding| finding.severity);
    found
}

/// What the drops of a direction mean, in their order.
struct AdviceOfDrops {
    drops: Vec<Option<String>>,
    early: Vec<String>,
}

fn advice_of(port: &PortTrace<'_>, direction: Direction) -> AdviceOfDrops {
    let figures = port.port.directions.get(direction);
    let of = |drop| advice(port, direction, drop).map(|advice| advice.to_string());
    let before = |early| early_advice(port.path(), early).to_string();
    AdviceOfDrops {
        drops: figures.drops.iter().map(of).collect(),
        early: figures.early_drops.iter().map(before).collect(),
    }
}

#[cfg(test)]
mod tests;
