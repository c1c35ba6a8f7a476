//! A path as a Graphviz graph.

use std::fmt::Write as _;

use super::tunnel::tunnel_in_words;
use crate::model::{BridgeKind, Path, Printable, Step};

/// A `digraph`, ending with a newline.
#[must_use]
pub fn path_dot(path: &Path) -> String {
    let mut dot = String::from("digraph path {\n  rankdir=TB;\n  node [fontname=\"sans-serif\"];\n");
    let guest = format!("{}\n{}", Printable(&path.instance.title()), path.instance.mac);
    // Writing into a string cannot fail.
    let _ = writeln!(dot, "  n0 [shape=house, label={}];", quoted(&labelled(path, &[Path::GUEST], &guest)));
    for (number, step) in path.steps.iter().enumerate() {
        let (shape, label) = shape(step);
        let names = step.names();
        let colour = if path.problems_at_any(&names).next().is_some() { ", color=red" } else { "" };
        let label = quoted(&labelled(path, &names, &label));
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
        Step::Tunnel(tunnel) => ("cds", tunnel_in_words(tunnel, "\n")),
        Step::Gap { missing } => ("octagon", format!("{}\nmissing", Printable(missing))),
    }
}

fn labelled(path: &Path, at: &[&str], label: &str) -> String {
    path.problems_at_any(at).fold(label.to_owned(), |label, problem| format!("{label}\n✘ {}", problem.what))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
