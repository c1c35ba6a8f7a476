//! Which port comes first, what its line says, and that it fits.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    diagnose::diagnosed,
    model::{Drop, Ledger, Snapshot},
    report::{
        Canvas,
        layout::columns,
        trace_samples::{latencies, ports, snapshot},
    },
};

/// So many packets each way, of which so many from the VM are lost behind qvb.
fn with_losses(count: u64, lost: u64) -> Snapshot {
    let mut snapshot = snapshot(count);
    let egress = &mut snapshot.directions.egress;
    egress.ledger = Ledger { entered: count, completed: count - lost, lost, ..Ledger::default() }.settled();
    let drop = Drop { after: "qvb".to_owned(), count: lost, ..Drop::default() };
    egress.drops = (lost > 0).then_some(drop).into_iter().collect();
    snapshot
}

fn at(snapshots: &[Snapshot], duration_ms: u64) -> Report {
    let duration = Duration::from_millis(duration_ms);
    diagnosed(Report { duration, live: true, ..ports(snapshots) })
}

/// vm-1 is well, vm-2 has no traffic, vm-3 loses packets, vm-4 loses more, all of them before the interval.
fn before_and_now() -> (Report, Report) {
    let idle = || snapshot(0);
    let before = at(&[snapshot(100), idle(), with_losses(10, 1), with_losses(500, 50)], 1_000);
    let now = at(&[snapshot(1_100), idle(), with_losses(30, 5), with_losses(500, 50)], 3_000);
    (before, now)
}

fn names(top: &Top<'_>) -> Vec<String> {
    top.rows.iter().map(|row| row.name.trim_start_matches("vm-").to_owned()).collect()
}

/// The words of the line of a port.
fn line(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no line {name} in\n{text}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

const PLAIN: Canvas = Canvas::PLAIN;

fn wide(width: usize) -> Canvas {
    Canvas { width: Some(width), colour: false }
}

#[test]
fn ports_are_sorted_by_what_is_asked_for() {
    let (before, mut now) = before_and_now();
    // 4 packets died at vm-3 in the interval, 50 at vm-4 before it.
    for (sort, order) in [
        (TopSort::Worst, "3 4 1 2"),
        (TopSort::Died, "3 4 1 2"),
        (TopSort::Packets, "1 3 2 4"),
        (TopSort::Name, "1 2 3 4"),
    ] {
        assert_eq!(names(&Top::between(&before, &now, sort)).join(" "), order, "{sort:?}");
    }
    assert_eq!(names(&Top::whole(&now, TopSort::Worst)).join(" "), "4 3 1 2");
    assert_eq!(names(&Top::whole(&now, TopSort::Packets)).join(" "), "1 4 3 2");
    for (place, port) in now.ports.iter_mut().enumerate().filter(|(place, _)| *place != 1) {
        let p50 = [10, 0, 30, 20][place];
        port.directions.egress.total = latencies(1, p50);
        port.directions.ingress.total = latencies(1, 50 - p50);
        port.guest.kernel = latencies(1, p50);
    }
    for (sort, order) in
        [(TopSort::WayOut, "3 4 1 2"), (TopSort::WayIn, "1 4 3 2"), (TopSort::Guest, "3 4 1 2")]
    {
        assert_eq!(names(&Top::whole(&now, sort)).join(" "), order, "what was not measured is last");
    }
}

#[test]
fn rates_are_of_the_interval_and_of_the_whole_trace_at_the_end() {
    let (before, now) = before_and_now();
    let text = top_text(&Top::between(&before, &now, TopSort::Worst), PLAIN);
    let first = "live · 3.0 s · 4 ports · rates and died: last 2.0 s; p99 and findings: all of it · filter: icmp and host 10.0.0.1";
    assert_eq!(text.lines().next(), Some(first));
    assert_eq!(line(&text, "port"), "port tap out/s in/s died out died in p99 out p99 in p99 guest findings");
    assert_eq!(line(&text, "vm-1"), "vm-1 tap001 500 500 0 0 5.20 ms 5.20 ms 600 µs -");
    assert_eq!(line(&text, "vm-3"), "vm-3 tap003 10 10 4 0 5.20 ms 5.20 ms 600 µs packets died");
    let whole = top_text(&Top::whole(&Report { live: false, ..now.clone() }, TopSort::Worst), PLAIN);
    assert!(whole.starts_with("final · 3.0 s · ") && whole.contains(" · 4 ports · all of it · "), "{whole}");
    assert_eq!(line(&whole, "vm-4"), "vm-4 tap004 167 167 50 0 5.20 ms 5.20 ms 600 µs packets died");
    // Two at the same moment: there is no rate, and no division by nothing.
    let still = top_text(&Top::between(&now, &now, TopSort::Worst), PLAIN);
    assert!(line(&still, "vm-1").starts_with("vm-1 tap001 0 0 0 0"), "{still}");
}

#[test]
fn a_port_without_traffic_has_a_line_and_a_new_one_begins_at_nothing() {
    let (mut before, now) = before_and_now();
    before.ports.remove(0);
    let text = top_text(&Top::between(&before, &now, TopSort::Worst), PLAIN);
    assert_eq!(line(&text, "vm-2"), "vm-2 tap002 0 0 0 0 - - - -");
    assert!(line(&text, "vm-1").starts_with("vm-1 tap001 550 550"), "{text}");
    let none = top_text(&Top::whole(&Report { ports: Vec::new(), ..now }, TopSort::Worst), PLAIN);
    assert_eq!(none.lines().count(), 2, "{none}");
}

#[test]
fn several_findings_are_counted_and_those_of_the_trace_stand_above() {
    let mut doubtful = with_losses(1_000, 3);
    doubtful.directions.ingress.ledger.untracked = 2;
    let mut report = ports(&[snapshot(10), doubtful]);
    report.tracer.missed_runs = 3;
    let report = diagnosed(report);
    let text = top_text(&Top::whole(&report, TopSort::Worst), PLAIN);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].starts_with("! the kernel left out 3 runs"), "{text}");
    assert!(lines[3].ends_with("packets died +1"), "{text}");
    assert!(!text.contains("nothing died"), "{text}");
}

#[test]
fn names_from_outside_do_no_harm_and_same_names_are_told_apart() {
    let (before, mut now) = before_and_now();
    let rename = |report: &mut Report, place: usize, name: &str| {
        report.ports[place].path.instance.display_name = Some(name.to_owned());
    };
    rename(&mut now, 0, "a\x1b[2J\n日本\u{202e}");
    rename(&mut now, 1, &"b".repeat(250));
    rename(&mut now, 2, "web");
    rename(&mut now, 3, "web");
    for canvas in [PLAIN, wide(60), wide(200)] {
        let text = top_text(&Top::between(&before, &now, TopSort::Name), canvas);
        assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text}");
        assert_eq!(text.lines().count(), 6, "{text}");
    }
    let text = top_text(&Top::between(&before, &now, TopSort::Name), PLAIN);
    assert!(text.contains("web (10.0.0.3)") && text.contains("web (10.0.0.4)"), "{text}");
    assert!(text.contains(&format!("{}…  tap002", "b".repeat(39))), "{text}");
    let object: Value = serde_json::from_str(&top_json(&Top::between(&before, &now, TopSort::Name))).unwrap();
    assert_eq!(object["ports"][1]["instance"]["display_name"], "b".repeat(250));
}

#[test]
fn lines_fit_and_columns_line_up() {
    let (before, now) = before_and_now();
    for width in [40, 60, 72, 80, 100, 120, 200] {
        let text = top_text(&Top::between(&before, &now, TopSort::Worst), wide(width));
        for line in text.lines() {
            let fits = columns(line) <= width || width < 60;
            assert!(fits, "{} of {width} columns: {line}\n{text}", columns(line));
            assert_eq!(line, line.trim_end());
        }
        let end = |line: &str, word: &str| line.find(word).map(|at| columns(&line[..at + word.len()]));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(end(lines[1], "out/s"), end(lines[4], " 500"), "{text}");
        assert!(line(&text, "vm-3").contains(if width < 60 { "10" } else { "packets died" }), "{text}");
        assert_eq!(text.contains("tap003"), width >= 100, "{text}");
    }
}

#[test]
fn colours_are_of_what_died_and_of_findings() {
    let (before, now) = before_and_now();
    let top = Top::between(&before, &now, TopSort::Worst);
    let text = top_text(&top, Canvas { width: Some(120), colour: true });
    let lost = text.lines().find(|line| line.contains("vm-3")).unwrap();
    assert!(lost.contains("\x1b[31m4\x1b[0m") && lost.contains("\x1b[31mpackets died\x1b[0m"), "{lost:?}");
    let well = text.lines().find(|line| line.contains("vm-1")).unwrap();
    assert!(!well.contains("\x1b[31m"), "{well:?}");
}

#[test]
fn json_has_rates_and_totals_and_keeps_to_its_schema() {
    let (before, now) = before_and_now();
    let text = top_json(&Top::between(&before, &now, TopSort::Worst));
    assert!(!text.contains('\n'));
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&object["schema"], &object["live"], &object["duration_s"], &object["interval_s"]),
        (&json!("hoptrace.top/1"), &json!(true), &json!(3.0), &json!(2.0))
    );
    let first = &object["ports"][0];
    assert_eq!((&first["instance"]["display_name"], &first["tap"]), (&json!("vm-3"), &json!("tap003")));
    assert_eq!(
        first["egress"],
        json!({
            "packets_per_s": 10.0, "died_per_s": 2.0, "packets": 30, "died": 5, "dropped": 0, "lost": 5, "misdelivered": 0,
            "died_early": 0, "p99_ns": 5_200_000, "p99_within_ns": null
        })
    );
    assert_eq!(
        (&first["findings"][0]["code"], &first["guest_p99_ns"]),
        (&json!("packets-died"), &json!(600_000))
    );
    assert_eq!(object["ports"][3]["egress"]["p99_ns"], Value::Null);
    assert!(
        object["findings"].as_array().unwrap().iter().all(|finding| finding["port"].is_null()),
        "{object}"
    );
    let schema = crate::report::schemas().into_iter().find(|of| of.name == "top").unwrap().schema;
    let validator = jsonschema::draft202012::new(schema.as_value()).unwrap();
    let errors: Vec<_> = validator.iter_errors(&object).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}
