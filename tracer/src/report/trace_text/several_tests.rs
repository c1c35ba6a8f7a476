//! How several ports share a page: three, forty, and what of them died.

use super::*;
use crate::{
    diagnose::diagnosed,
    model::Snapshot,
    report::{
        layout::columns,
        trace_samples::{ports, snapshot, with_drops},
    },
};

/// Drops that nothing but counts: names of interfaces are each port's own.
fn losing() -> Snapshot {
    let mut snapshot = with_drops();
    snapshot.directions.egress.slowest.clear();
    snapshot
}

fn at(width: usize) -> Canvas {
    Canvas { width: Some(width), colour: false }
}

#[track_caller]
fn fits(text: &str, width: usize) {
    for line in text.lines() {
        assert!(columns(line) <= width, "{} of {width} columns: {line}\n{text}", columns(line));
        assert_eq!(line, line.trim_end());
    }
    assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{text}");
}

/// Forty ports, of which 2 and 17 lose packets and 40 has no traffic.
fn forty() -> Vec<Snapshot> {
    (1..=40)
        .map(|number| match number {
            2 | 17 => losing(),
            40 => snapshot(0),
            _ => snapshot(1_000),
        })
        .collect()
}

#[test]
fn three_ports_are_all_told_in_full() {
    let report = diagnosed(ports(&[snapshot(1_000), losing(), snapshot(0)]));
    for width in [80, 100, 160] {
        let text = trace_text(&report, at(width));
        fits(&text, width);
        assert!(text.starts_with("✘ vm-2: 8 of 1000 packets from the VM died"), "{text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let well = "✔ nothing died at 1 of 3 ports: 1000 packets to the VMs, 1000 packets from the VMs";
        assert!(words.contains(well), "{text}");
        assert!(words.contains("· no packet was seen at 1 port of 3: vm-3"), "{text}");
        for number in 1..=3 {
            assert!(text.contains(&format!("\nvm-{number}  ")), "{text}");
        }
        assert!(!text.contains("p99 guest"), "a few need no table of them\n{text}");
    }
}

#[test]
fn of_forty_ports_each_has_a_line_and_those_with_findings_are_told_in_full() {
    let report = diagnosed(ports(&forty()));
    for width in [80, 100, 160] {
        let text = trace_text(&report, at(width));
        fits(&text, width);
        let lines: Vec<_> = text.lines().collect();
        let table = lines.iter().position(|line| line.starts_with("port ")).unwrap();
        let names: Vec<_> =
            lines[table + 1..].iter().take(40).filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(
            (names.len(), &names[..3]),
            (40, &["vm-17", "vm-2", "vm-1"][..]),
            "the worst first\n{text}"
        );
        let below = lines[table + 41..].join("\n");
        let full: Vec<_> = below.lines().filter(|line| line.starts_with("vm-")).collect();
        assert_eq!(full.len(), 2, "{below}");
        assert!(full[0].starts_with("vm-17  ") && full[1].starts_with("vm-2  "), "{below}");
        assert!(below.contains("38 ports without findings have one line each, above"), "{below}");
        assert_eq!(
            below.matches("✘ 8 of 1000 packets from the VM died").count(),
            2,
            "with each port, too\n{below}"
        );
        assert!(text.starts_with("✘ vm-2: 8 of 1000"), "{text}");
        assert!(text.contains("✔ nothing died at 37 of 40 ports"), "{text}");
    }
}

#[test]
fn many_findings_of_single_ports_do_not_hide_the_table() {
    let all: Vec<_> = (0..40).map(|_| losing()).collect();
    let text = trace_text(&diagnosed(ports(&all)), at(100));
    let first = text.split("final ·").next().unwrap();
    assert_eq!(first.matches("✘ vm-").count(), 10, "{first}");
    assert!(first.contains("✘ vm-10: 8 of 1000 packets"), "the worst of each\n{first}");
    assert!(first.contains("· 150 more about single ports: with these, below"), "{first}");
    assert!(!text.contains("without findings"), "{text}");
}

#[test]
fn what_died_is_told_of_the_ports_where_something_did() {
    let text = drops_text(&diagnosed(ports(&forty())), at(100));
    fits(&text, 100);
    let full: Vec<_> = text.lines().filter(|line| line.starts_with("vm-")).collect();
    assert_eq!(full.len(), 2, "{text}");
    assert!(text.contains("\n37 ports: nothing died · 1 port: no packet was seen\n"), "{text}");
    let three = drops_text(&diagnosed(ports(&[snapshot(10), losing(), snapshot(10)])), at(100));
    assert!(three.contains("\n2 ports: nothing died\n") && three.contains("\nvm-2  "), "{three}");
    let none = drops_text(&diagnosed(ports(&[snapshot(10), snapshot(10)])), at(100));
    assert!(none.starts_with("✔ nothing died at any of 2 ports: 20 packets to the VMs"), "{none}");
    assert!(none.ends_with("\n2 ports: nothing died\n"), "{none}");
}

#[test]
fn a_report_of_several_ports_reads_the_same_from_a_file() {
    let report = diagnosed(ports(&forty()));
    let read: Report = serde_json::from_str(&crate::report::trace_json(&report)).unwrap();
    let canvas = Canvas { width: Some(120), colour: true };
    assert_eq!(trace_text(&read, canvas), trace_text(&report, canvas));
    assert_eq!(drops_text(&read, canvas), drops_text(&report, canvas));
}
