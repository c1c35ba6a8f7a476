//! A path as a Graphviz graph.

use std::fmt::Write as _;

use crate::model::{BridgeKind, Path, Printable, Step};

/// A `digraph`, ending with a newline.
#[must_use]
pub fn path_dot(path: &Path) -> String {
    let mut dot = String::from("digraph path {\n  rankdir=TB;\n  node [fontname=\"sans-serif\"];\n");
    let guest = format!("{}\n{}", Printable(&path.instance.title()), path.instance.mac);
    // Writing into a string cannot fail.
    let _ = writeln!(dot, "  n0 [shape=house, label={}];", quoted(&labelled(path, Path::GUEST, &guest)));
    for (number, step) in path.steps.iter().enumerate() {
        let (shape, label) = shape(step);
        let colour = if path.problems_at(step.name()).next().is_some() { ", color=red" } else { "" };
        let label = quoted(&labelled(path, step.name(), &label));
        let _ = writeln!(dot, "  n{} [shape={shape}{colour}, label={label}];", number + 1);
    }
    for number in 0..path.steps.len() {
        let _ = writeln!(dot, "  n{number} -> n{} [dir=both];", number + 1);
    }
    dot.push_str("}\n");
    dot
}

fn shape(step: &Step) -> (&'static str, String) {
    match step {
        Step::Interface(hop) => {
            let tag = hop.vlan_tag.map_or(String::new(), |tag| format!("\nVLAN {tag}"));
            let (name, role) = (Printable(&hop.ifname), hop.role.as_str());
            ("box", format!("{name}\n{role}, mtu {}{tag}", hop.mtu_bytes))
        }
        Step::Bridge { name, kind: BridgeKind::Linux } => {
            ("box3d", format!("{}\nLinux bridge", Printable(name)))
        }
        Step::Bridge { name, .. } => ("box3d", format!("{}\nOVS bridge", Printable(name))),
        Step::Patch { name, peer, .. } => ("ellipse", format!("{} ⇄ {}", Printable(name), Printable(peer))),
        Step::Gap { missing } => ("octagon", format!("{}\nmissing", Printable(missing))),
    }
}

fn labelled(path: &Path, at: &str, label: &str) -> String {
    path.problems_at(at).fold(label.to_owned(), |label, problem| format!("{label}\n✘ {}", problem.what))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
