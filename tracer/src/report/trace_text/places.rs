//! Hooks and segments by the interfaces they are on, and what lies between.

use crate::model::{BridgeKind, Hop, Path, Printable, Segment, Step};

/// What a row of a table is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ends {
    /// `tap → qvb`
    pub(super) short: String,
    /// `tap tapc3d70d5c-a9 → qvb qvbc3d70d5c-a9`
    pub(super) long: String,
    /// `tapc3d70d5c-a9 → qvbc3d70d5c-a9`; empty where there are no interfaces to name.
    pub(super) names: String,
    /// `through qbrc3d70d5c-a9 (security groups)`; empty where there is nothing in between.
    pub(super) via: String,
}

impl Ends {
    /// A row that is about no segment.
    pub(super) fn named(name: &str) -> Self {
        Self { short: name.to_owned(), long: name.to_owned(), names: String::new(), via: String::new() }
    }
}

/// The ends of a segment.
pub(super) fn ends(path: &Path, segment: &Segment) -> Ends {
    let (from, to) = (path.hop_of(&segment.from), path.hop_of(&segment.to));
    let role = |hop: Option<&Hop>, label: &str| {
        hop.map_or_else(|| Printable(label).to_string(), |_| Printable(layer(label)).to_string())
    };
    // Without a hop of the path they are the neighbours, all together.
    let name = |hop: Option<&Hop>| {
        hop.map_or_else(|| "ports off the path".to_owned(), |hop| Printable(&hop.ifname).to_string())
    };
    let (short_from, short_to) = (role(from, &segment.from), role(to, &segment.to));
    Ends {
        short: format!("{short_from} → {short_to}"),
        long: format!("{} → {}", hook(path, &segment.from), hook(path, &segment.to)),
        names: format!("{} → {}", name(from), name(to)),
        via: match (layer(&segment.from), layer(&segment.to)) {
            ("nic", "wire") => "queueing discipline".to_owned(),
            _ => from.zip(to).map_or(String::new(), |(from, to)| between(path, from, to)),
        },
    }
}

/// A hook by its role and interface: `tap tapc3d70d5c-a9`.
pub(super) fn hook(path: &Path, label: &str) -> String {
    match path.hop_of(label) {
        Some(hop) => format!("{} {}", Printable(layer(label)), Printable(&hop.ifname)),
        None => Printable(label).to_string(),
    }
}

/// What a hook's label says before the interface.
fn layer(label: &str) -> &str {
    label.split_once(':').map_or(label, |(layer, _)| layer)
}

/// The bridges between two hops, in the order a packet passes them.
fn between(path: &Path, from: &Hop, to: &Hop) -> String {
    let place = |hop: &Hop| {
        path.steps
            .iter()
            .position(|step| matches!(step, Step::Interface(there) if there.ifname == hop.ifname))
    };
    let Some((start, end)) = place(from).zip(place(to)) else { return String::new() };
    let steps = path.steps.iter().skip(start.min(end) + 1).take(start.abs_diff(end).saturating_sub(1));
    let (mut linux, mut ovs) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Bridge { name, kind: BridgeKind::Linux } => linux.push(Printable(name).to_string()),
            Step::Bridge { name, kind: BridgeKind::Ovs { .. } } => ovs.push(Printable(name).to_string()),
            _ => {}
        }
    }
    if start > end {
        linux.reverse();
        ovs.reverse();
    }
    if !linux.is_empty() {
        let firewall = path.firewall_in_words().map_or(String::new(), |words| format!(" ({words})"));
        return format!("through {}{firewall}", linux.join(", "));
    }
    if !ovs.is_empty() {
        return format!("through Open vSwitch {}", ovs.join(", "));
    }
    if from.is_pair_with(to) { "veth pair".to_owned() } else { String::new() }
}
