//! A path as a Graphviz graph.

use std::fmt::Write as _;

use crate::model::{BridgeKind, Node, Path, Printable};

/// A `digraph`, ending with a newline.
#[must_use]
pub fn path_dot(path: &Path) -> String {
    let mut dot = String::from("digraph path {\n  rankdir=TB;\n  node [fontname=\"sans-serif\"];\n");
    let guest = format!("{}\n{}", Printable(&path.instance.title()), path.mac);
    // Writing into a string cannot fail.
    let _ = writeln!(dot, "  n0 [shape=house, label={}];", quoted(&labelled(path, Path::GUEST, &guest)));
    for (number, node) in path.nodes.iter().enumerate() {
        let (shape, label) = shape(path, node);
        let colour = if path.problems_at(node.name()).next().is_some() { ", color=red" } else { "" };
        let label = quoted(&labelled(path, node.name(), &label));
        let _ = writeln!(dot, "  n{} [shape={shape}{colour}, label={label}];", number + 1);
    }
    for number in 0..path.nodes.len() {
        let _ = writeln!(dot, "  n{number} -> n{} [dir=both];", number + 1);
    }
    dot.push_str("}\n");
    dot
}

fn shape(path: &Path, node: &Node) -> (&'static str, String) {
    match node {
        Node::Interface(state) => {
            let hop = path.hops.iter().find(|hop| hop.ifname == state.ifname);
            let role = hop.map_or("", |hop| hop.role.as_str());
            let tag = hop.and_then(|hop| hop.vlan_tag).map_or(String::new(), |tag| format!("\nVLAN {tag}"));
            ("box", format!("{}\n{role}, mtu {}{tag}", Printable(&state.ifname), state.mtu_bytes))
        }
        Node::Bridge { name, kind: BridgeKind::Linux } => {
            ("box3d", format!("{}\nLinux bridge", Printable(name)))
        }
        Node::Bridge { name, .. } => ("box3d", format!("{}\nOVS bridge", Printable(name))),
        Node::Patch { name, peer } => ("ellipse", format!("{} ⇄ {}", Printable(name), Printable(peer))),
        Node::Gap { missing } => ("octagon", format!("{}\nmissing", Printable(missing))),
    }
}

fn labelled(path: &Path, at: &str, label: &str) -> String {
    path.problems_at(at).fold(label.to_owned(), |label, problem| format!("{label}\n✘ {}", problem.what))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
