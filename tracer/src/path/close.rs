//! Names close to one that nothing has.

use crate::model::VmPort;

/// At most this many are suggested.
const MAX_SUGGESTIONS: usize = 5;
/// Jaro–Winkler similarity from which a name counts as close.
const MIN_SIMILARITY: f64 = 0.82;
/// Longer texts are not compared: the cost grows with the product of both lengths.
const MAX_CHARS: usize = 255;

/// The names closest to a handle, best first.
pub(super) fn close_matches(ports: &[VmPort], handle: &str) -> Vec<String> {
    if handle.chars().nth(MAX_CHARS).is_some() {
        return Vec::new();
    }
    let handle = handle.to_lowercase();
    let mut scored: Vec<(f64, String)> = ports
        .iter()
        .flat_map(names)
        .filter(|name| name.chars().nth(MAX_CHARS).is_none())
        .map(|name| (similarity(&handle, &name.to_lowercase()), name))
        .filter(|(score, _)| *score >= MIN_SIMILARITY)
        .collect();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    scored.dedup_by(|one, other| one.1 == other.1);
    scored.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name).collect()
}

fn similarity(handle: &str, name: &str) -> f64 {
    if handle.chars().count() >= 3 && name.contains(handle) {
        return 1.0;
    }
    strsim::jaro_winkler(handle, name)
}

fn names(port: &VmPort) -> impl Iterator<Item = String> {
    let id = &port.id;
    [id.display_name.clone(), id.name.clone(), id.uuid.clone(), id.port_id.clone(), port.tap.clone()]
        .into_iter()
        .flatten()
        .chain([id.mac.to_string()])
        .chain(id.ips.iter().map(ToString::to_string).collect::<Vec<_>>())
}
