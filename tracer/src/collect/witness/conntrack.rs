//! What the kernel's connection tracking counts (`/proc/net/stat/nf_conntrack`), in this network namespace.

use std::{fs, io};

use super::Counter;
use crate::model::{Evidence, EvidenceSource};

/// As evidence names it.
const NAME: &str = "nf_conntrack";
/// The counters that are about packets or connections it had no room for.
const ABOUT_DROPS: [&str; 3] = ["drop", "early_drop", "insert_failed"];

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
    let counter = |name: &&str| {
        let column = names.iter().position(|other| other == name)?;
        Some(((EvidenceSource::Conntrack, NAME.to_owned(), (*name).to_owned()), sum(column)))
    };
    ABOUT_DROPS.iter().filter_map(counter).collect()
}

/// Two packets that make one connection count as `drop` and as `insert_failed`: nothing was full.
pub(super) fn without_clashes(mut evidence: Vec<Evidence>) -> Vec<Evidence> {
    let is = |it: &Evidence, name: &str| it.source == EvidenceSource::Conntrack && it.counter == name;
    let clashes = evidence.iter().find(|it| is(it, "insert_failed")).map_or(0, |it| it.count);
    for dropped in evidence.iter_mut().filter(|it| is(it, "drop")) {
        dropped.count = dropped.count.saturating_sub(clashes);
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
            let found = without_clashes(vec![of("drop", dropped), of("insert_failed", clashes)]);
            found.into_iter().map(|it| (it.counter, it.count)).collect::<Vec<_>>()
        };
        assert_eq!(told(10, 10), [("insert_failed".to_owned(), 10)]);
        assert_eq!(told(12, 10), [("drop".to_owned(), 2), ("insert_failed".to_owned(), 10)]);
    }

    #[test]
    fn each_cpu_has_a_line() {
        let text = "\
entries  clashres found new invalid insert insert_failed drop early_drop icmp_error
0000000a  00000000 00000000 00000000 00000003 00000000 00000001 0000001f 00000002 00000000
0000000a  00000000 00000000 00000000 00000003 00000000 00000000 00000001 00000000 00000000
";
        let found = counters(text);
        let found: Vec<_> = found.iter().map(|((_, _, name), count)| (name.as_str(), *count)).collect();
        assert_eq!(found, [("drop", 32), ("early_drop", 2), ("insert_failed", 1)]);
        assert!(counters("").is_empty() && counters("entries found\n0 0\n").is_empty());
    }
}
