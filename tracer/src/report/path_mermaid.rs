//! A path as a Mermaid flowchart.

use std::fmt::Write as _;

use super::tunnel::tunnel_in_words;
use crate::model::{BridgeKind, Path, Printable, Step};

/// A `flowchart`, ending with a newline.
#[must_use]
pub fn path_mermaid(path: &Path) -> String {
    let mut chart = String::from("flowchart TB\n");
    let guest = format!("{}\n{}", Printable(&path.instance.title()), path.instance.mac);
    // Writing into a string cannot fail.
    let _ = writeln!(chart, "  n0([{}])", quoted(&labelled(path, &[Path::GUEST], &guest)));
    for (number, step) in path.steps.iter().enumerate() {
        let (open, label, close) = shape(step);
        let names = step.names();
        let label = quoted(&labelled(path, &names, &label));
        let _ = writeln!(chart, "  n{}{open}{label}{close}", number + 1);
        let _ = writeln!(chart, "  n{number} <--> n{}", number + 1);
        if path.problems_at_any(&names).next().is_some() {
            let _ = writeln!(chart, "  style n{} stroke:red", number + 1);
        }
    }
    chart
}

fn shape(step: &Step) -> (&'static str, String, &'static str) {
    match step {
        Step::Interface(hop) => {
            let tag = hop.vlan_tag.map_or(String::new(), |tag| format!("\nVLAN {tag}"));
            let (name, role) = (Printable(&hop.ifname), hop.role.as_str());
            ("[", format!("{name}\n{role}, mtu {}{tag}", hop.mtu_bytes), "]")
        }
        Step::Bridge { name, kind: BridgeKind::Linux } => {
            ("[[", format!("{}\nLinux bridge", Printable(name)), "]]")
        }
        Step::Bridge { name, .. } => ("[[", format!("{}\nOVS bridge", Printable(name)), "]]"),
        Step::Patch { name, peer, .. } => ("(", format!("{} ⇄ {}", Printable(name), Printable(peer)), ")"),
        Step::Tunnel(tunnel) => ("[/", tunnel_in_words(tunnel, "\n"), "/]"),
        Step::Gap { missing } => ("{{", format!("{}\nmissing", Printable(missing)), "}}"),
    }
}

fn labelled(path: &Path, at: &[&str], label: &str) -> String {
    path.problems_at_any(at).fold(label.to_owned(), |label, problem| format!("{label}\n✘ {}", problem.what))
}

/// Mermaid's entities: a label may hold HTML, so nothing that could be markup may stay.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '\n' => out.push_str("<br/>"),
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' | ';' => {
                let _ = write!(out, "#{};", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}
