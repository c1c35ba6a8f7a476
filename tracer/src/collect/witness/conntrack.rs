//! What the kernel's connection tracking counts (`/proc/net/stat/nf_conntrack`), in this network namespace.

use std::{fs, io};

use super::Counter;
use crate::model::{Evidence, EvidenceSource};

/// As evidence names it.
const NAME: &str = "nf_conntrack";
/// The counters that are about packets or connections it had no room for: the column in the file, and what `conntrack -S` and the kernel call
/// it. Not `invalid`: such a packet goes on, unless a rule drops it, which counts it; nor `clashres`, a clash that was resolved.
const ABOUT_DROPS: [(&str, &str); 4] = [
    ("drop", "drop"),
    ("early_drop", "early_drop"),
    ("insert_failed", "insert_failed"),
    // Until 5.15 it was the length of chains, then it is how often one was too long.
    ("chainlength", "chaintoolong"),
];

/// The counters; none where no connection is tracked.
pub(super) fn look() -> io::Result<Vec<(Counter, u64)>> {
    match fs::read_to_string("/proc/net/stat/nf_conntrack") {
        Ok(text) => Ok(counters(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// How full the table is: `10 of at most 10 connections`. The kernel removes old entries only now and then.
pub(super) fn fill() -> Option<String> {
    let number = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    Some(format!("{} of at most {} connections at the end", number("count")?, number("max")?))
}

/// Names in the first line; below it a line for each CPU, in hexadecimal.
fn counters(text: &str) -> Vec<(Counter, u64)> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    let sum = |column: usize| {
        let cells = rows.iter().filter_map(|row| u64::from_str_radix(row.get(column)?, 16).ok());
        cells.fold(0_u64, u64::saturating_add)
    };
    let counter = |(column, name): (&str, &str)| {
        let column = names.iter().position(|other| *other == column)?;
        Some(((EvidenceSource::Conntrack, NAME.to_owned(), name.to_owned()), sum(column)))
    };
    ABOUT_DROPS.into_iter().filter_map(counter).collect()
}

/// Each packet under one counter: what finds a chain too long counts as `insert_failed`, too; and two packets that make one connection count
/// as `drop` and as `insert_failed`, though nothing was full.
pub(super) fn told_once(mut evidence: Vec<Evidence>) -> Vec<Evidence> {
    let is = |it: &Evidence, name: &str| it.source == EvidenceSource::Conntrack && it.counter == name;
    for (counted, too) in [("chaintoolong", "insert_failed"), ("insert_failed", "drop")] {
        let count = evidence.iter().find(|it| is(it, counted)).map_or(0, |it| it.count);
        for other in evidence.iter_mut().filter(|it| is(it, too)) {
            other.count = other.count.saturating_sub(count);
        }
    }
    evidence.retain(|it| it.count > 0);
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clashes_are_no_lack_of_room() {
        let of = |counter: &str, count| Evidence {
            source: EvidenceSource::Conntrack,
            at: NAME.to_owned(),
            counter: counter.to_owned(),
            count,
            of: None,
            about: None,
            shared: true,
            meaning: String::new(),
        };
        let told = |dropped, clashes| {
            let found = told_once(vec![of("drop", dropped), of("insert_failed", clashes)]);
            found.into_iter().map(|it| (it.counter, it.count)).collect::<Vec<_>>()
        };
        assert_eq!(told(10, 10), [("insert_failed".to_owned(), 10)]);
        assert_eq!(told(12, 10), [("drop".to_owned(), 2), ("insert_failed".to_owned(), 10)]);
        // Seven found a chain too long; of three more another packet had made the connection; one found no room.
        let found = told_once(vec![of("drop", 4), of("insert_failed", 10), of("chaintoolong", 7)]);
        let found: Vec<_> = found.iter().map(|it| (it.counter.as_str(), it.count)).collect();
        assert_eq!(found, [("drop", 1), ("insert_failed", 3), ("chaintoolong", 7)]);
    }

    #[test]
    fn each_cpu_has_a_line() {
        let text = "\
entries  clashres found new invalid chainlength insert insert_failed drop early_drop icmp_error
0000000a  00000000 00000000 00000000 00000003 00000004 00000000 00000001 0000001f 00000002 00000000
0000000a  00000000 00000000 00000000 00000003 00000001 00000000 00000000 00000001 00000000 00000000
";
        let found = counters(text);
        let found: Vec<_> = found.iter().map(|((_, _, name), count)| (name.as_str(), *count)).collect();
        assert_eq!(found, [("drop", 32), ("early_drop", 2), ("insert_failed", 1), ("chaintoolong", 5)]);
        assert!(counters("").is_empty() && counters("entries found\n0 0\n").is_empty());
    }
}
