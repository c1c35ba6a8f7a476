//! What a trace means, in words: the findings that every report begins with, advice about drops, and what counters mean.
//! Pure: everything is made of what a report holds, once, and rendered by each format.
//!
//! No stage: `cli` has findings made behind `collect` and before `report`. To add a kind of finding, write a file with a
//! function that gives its findings, and put it into [`KINDS`], where it says whether it is about a port or the trace.

mod advice;
mod balance;
mod deaths;
mod doubts;
mod early;
mod evidence;
mod filters;
mod groups;
mod late;
mod meaning;
mod misdelivered;
mod outside;
mod problems;
mod quiet;
mod spans;
mod taken;
mod troubles;
mod verdict;
mod words;

pub use quiet::for_groups;
pub use verdict::{Verdict, verdict};

use std::collections::{HashMap, hash_map::Entry};

use crate::model::{Direction, Evidence, Finding, PortTrace, Report};
use advice::advice;
use early::advice as early_advice;
use meaning::meaning;

/// A kind of finding: what it is about, and what finds it.
enum Kind {
    /// The trace: found once. It says itself if it is about one port all the same.
    Trace(fn(&Report) -> Vec<Finding>),
    /// A port: found of each.
    Port(fn(&PortTrace<'_>) -> Vec<Finding>),
    /// A place of a port's path, which other ports may share: what is found of several ports is found once, and is the trace's.
    Place(fn(&PortTrace<'_>) -> Vec<Finding>),
}

/// Every kind of finding, in the order in which findings of the same severity are told.
const KINDS: [Kind; 15] = [
    Kind::Trace(taken::findings),
    Kind::Port(balance::findings),
    Kind::Port(early::findings),
    Kind::Port(misdelivered::findings),
    Kind::Port(deaths::findings),
    Kind::Port(late::findings),
    Kind::Place(problems::findings),
    Kind::Trace(problems::not_looked_again),
    Kind::Port(groups::findings),
    Kind::Port(outside::findings),
    Kind::Trace(evidence::findings),
    Kind::Port(doubts::findings),
    Kind::Trace(doubts::of_trace),
    Kind::Port(doubts::at_wire),
    Kind::Trace(quiet::findings),
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
    let meanings: Vec<_> = report.evidence.iter().map(|evidence| meaning_of(&report, evidence)).collect();
    report.evidence.iter_mut().zip(meanings).for_each(|(evidence, words)| evidence.meaning = words);
    report.findings = findings(&report);
    report
}

/// What a counter means, where it rose.
fn meaning_of(report: &Report, evidence: &Evidence) -> String {
    let port = report.port_of(evidence).or_else(|| report.each_port().next());
    port.map_or_else(String::new, |port| meaning(port.path(), evidence))
}

/// What is to know about a trace, the worst first; at least one. `report.findings` is not looked at.
fn findings(report: &Report) -> Vec<Finding> {
    let mut found: Vec<Finding> = KINDS.iter().flat_map(|kind| kind.findings(report)).collect();
    // Stable: within a severity the order stays.
    found.sort_by_key(|finding| finding.severity);
    found
}

impl Kind {
    fn findings(&self, report: &Report) -> Vec<Finding> {
        let of_each = |find: &fn(&PortTrace<'_>) -> Vec<Finding>| -> Vec<Finding> {
            let of = |port: PortTrace<'_>| {
                let mac = port.path().instance.mac;
                find(&port).into_iter().map(move |finding| Finding { port: Some(mac), ..finding })
            };
            report.each_port().flat_map(of).collect()
        };
        match self {
            Self::Trace(find) => find(report),
            Self::Port(find) => of_each(find),
            Self::Place(find) => once(of_each(find)),
        }
    }
}

/// What is found of several ports in the same words is the trace's.
fn once(found: Vec<Finding>) -> Vec<Finding> {
    let mut places: HashMap<(String, Option<String>), usize> = HashMap::new();
    let mut told: Vec<Finding> = Vec::new();
    for finding in found {
        match places.entry((finding.text.clone(), finding.place.clone())) {
            Entry::Vacant(place) => {
                place.insert(told.len());
                told.push(finding);
            }
            Entry::Occupied(place) => {
                if let Some(known) = told.get_mut(*place.get()).filter(|known| known.port != finding.port) {
                    known.port = None;
                }
            }
        }
    }
    told
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
