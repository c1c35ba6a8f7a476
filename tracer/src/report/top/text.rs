//! The ports for people.

use super::{Top, table};
use crate::{
    model::{Finding, Printable, Severity},
    report::{Canvas, Ink, layout::cut, units},
};

/// A line on the trace, what is to know about it as a whole, and a line per port, ending with a newline.
#[must_use]
pub fn top_text(top: &Top<'_>, canvas: Canvas) -> String {
    let fit = |line: String| canvas.width.map_or(line.clone(), |width| cut(&line, width));
    let mut lines = vec![canvas.paint(Ink::Faint, fit(head(top)))];
    for finding in of_trace(top) {
        let (sign, ink) = match finding.severity {
            Severity::Critical => ("✘", Ink::Bad),
            _ => ("!", Ink::Warn),
        };
        lines.push(canvas.paint(ink, fit(format!("{sign} {}", Printable(&finding.text)))));
    }
    lines.extend(table(top, canvas));
    lines.push(String::new());
    lines.join("\n")
}

/// What is wrong with the trace, not with a port.
fn of_trace<'a>(top: &Top<'a>) -> impl Iterator<Item = &'a Finding> {
    let is_bad = |finding: &&Finding| finding.severity <= Severity::Warning;
    top.report.findings.iter().filter(|finding| finding.port.is_none()).filter(is_bad)
}

fn head(top: &Top<'_>) -> String {
    let report = top.report;
    let state = if report.live { "live" } else { "final" };
    let ports = match report.ports.len() {
        1 => "1 port".to_owned(),
        count => format!("{count} ports"),
    };
    let over = if report.live {
        format!("rates and died: last {:.1} s; p99 and findings: all of it", top.interval_s)
    } else {
        "all of it".to_owned()
    };
    let filter = match report.settings.filter.as_str() {
        "" => String::new(),
        filter => format!(" · filter: {}", Printable(filter)),
    };
    format!("{state} · {} · {ports} · {over}{filter}", units::duration(report.duration))
}
