//! The list for people: a table where it fits, else a block per port.

use super::{
    Canvas, Ink,
    layout::{columns, table, wrap},
};
use crate::model::{ListRow, Printable, StaleRow, Traceability};

const HEADINGS: [&str; 10] =
    ["NAME", "DOMAIN", "UUID", "MAC", "FIXED IPS", "PORT", "TAP", "BRIDGE", "VLAN", "TRACEABLE"];
const NOTHING: &str = "-";

/// The list, ending with a newline: the ports, then what is left of others.
#[must_use]
pub fn list_text(rows: &[ListRow], leftovers: &[StaleRow], canvas: Canvas) -> String {
    let mut text = ports_text(rows, canvas);
    if !leftovers.is_empty() {
        text.push_str("\nleftovers in Open vSwitch, of no VM:\n");
    }
    for row in leftovers {
        let what =
            format!("{} on {}: {}", Printable(&row.ifname), Printable(&row.bridge), Printable(&row.why));
        let mut lines = wrap(&what, canvas.width.map(|width| width.saturating_sub(2).max(20)));
        lines.extend(row.remove.iter().map(|command| format!("  {}", Printable(command))));
        for line in lines {
            text.push_str("  ");
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

fn ports_text(rows: &[ListRow], canvas: Canvas) -> String {
    if rows.is_empty() {
        return "no VM ports on this host\n".to_owned();
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let headings = HEADINGS.map(str::to_owned).to_vec();
    let lines = table(&[vec![headings], cells.clone()].concat());
    if lines.iter().any(|line| canvas.width.is_some_and(|width| columns(line) > width)) {
        return rows
            .iter()
            .zip(&cells)
            .map(|(row, cells)| block(row, cells, canvas))
            .collect::<Vec<_>>()
            .join("\n");
    }
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let painted = match number.checked_sub(1).and_then(|number| rows.get(number)) {
            None => canvas.paint(Ink::Faint, line),
            Some(row) => paint_end(line, row, canvas),
        };
        text.push_str(&painted);
        text.push('\n');
    }
    text
}

fn cells(row: &ListRow) -> Vec<String> {
    let text =
        |value: &Option<String>| value.as_deref().map_or(NOTHING.to_owned(), |it| Printable(it).to_string());
    let ips: Vec<_> = row.ips.iter().map(ToString::to_string).collect();
    vec![
        text(&row.display_name),
        text(&row.name),
        text(&row.uuid),
        row.mac.map_or(NOTHING.to_owned(), |mac| mac.to_string()),
        if ips.is_empty() { NOTHING.to_owned() } else { ips.join(",") },
        text(&row.port_id),
        text(&row.tap),
        text(&row.bridge),
        row.vlan_tag.map_or(NOTHING.to_owned(), |tag| tag.to_string()),
        verdict(row),
    ]
}

fn verdict(row: &ListRow) -> String {
    let problems = match row.problems {
        0 => String::new(),
        1 => " (1 problem: see `hoptrace path`)".to_owned(),
        many => format!(" ({many} problems: see `hoptrace path`)"),
    };
    match &row.traceability {
        Traceability::Fully => format!("yes{problems}"),
        Traceability::Partly { why } => format!("partly: {why}"),
        Traceability::No { why } => format!("no: {why}"),
    }
}

fn ink(row: &ListRow) -> Ink {
    match &row.traceability {
        Traceability::Fully if row.problems == 0 => Ink::Good,
        Traceability::Fully | Traceability::Partly { .. } => Ink::Warn,
        Traceability::No { .. } => Ink::Bad,
    }
}

fn paint_end(line: &str, row: &ListRow, canvas: Canvas) -> String {
    let verdict = verdict(row);
    match line.strip_suffix(&verdict) {
        Some(start) => format!("{start}{}", canvas.paint(ink(row), verdict)),
        None => line.to_owned(),
    }
}

/// A port over several lines, for terminals too narrow for the table.
fn block(row: &ListRow, cells: &[String], canvas: Canvas) -> String {
    let [name, domain, uuid, mac, ips, port, tap, bridge, vlan, _] = cells else { return String::new() };
    let state = row.state.map_or("", |state| state.as_str());
    let mut names = [name, domain, uuid].into_iter().filter(|text| *text != NOTHING);
    let first = canvas.paint(Ink::Strong, names.next().map_or(NOTHING, String::as_str));
    let label = |text: &str| canvas.paint(Ink::Faint, text);
    let rest = names.cloned().chain((!state.is_empty()).then(|| label(state)));
    let title = [first].into_iter().chain(rest).collect::<Vec<_>>().join("  ");
    let mut lines = vec![title];
    if row.mac.is_some() {
        lines.push(format!("  {mac}  {ips}  {} {port}", label("port")));
        lines.push(format!(
            "  {} {tap}  {} {bridge}  {} {vlan}",
            label("tap"),
            label("bridge"),
            label("VLAN")
        ));
    }
    let room = canvas.width.map(|width| width.saturating_sub(13).max(20));
    for (number, line) in wrap(&verdict(row), room).iter().enumerate() {
        let start = if number == 0 { label("traceable") } else { " ".repeat(9) };
        lines.push(format!("  {start} {}", canvas.paint(ink(row), line)));
    }
    lines.push(String::new());
    lines.join("\n")
}
