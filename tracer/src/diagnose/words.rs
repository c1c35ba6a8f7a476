//! Words that several findings share.

use crate::model::{Ledger, Path, Printable};

/// `1 packet`, `2 packets`.
pub(super) fn packets(count: u64) -> String {
    counted(count, "packet")
}

/// A number and its noun, in the plural where there are several.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// A hook by its role and interface: `tap tapc3d70d5c-a9`.
pub(super) fn hook(path: &Path, label: &str) -> String {
    let layer = label.split_once(':').map_or(label, |(layer, _)| layer);
    path.hop_of(label).map_or_else(
        || Printable(label).to_string(),
        |hop| format!("{} {}", Printable(layer), Printable(&hop.ifname)),
    )
}

/// Packets that there were of a direction.
pub(super) const fn came(ledger: &Ledger) -> u64 {
    ledger.entered.saturating_add(ledger.joined_midway).saturating_add(ledger.split)
}

/// `16:02:51`, UTC, of nanoseconds since 1970.
pub(super) fn time_of_day(time_ns: u64) -> String {
    let seconds = time_ns / 1_000_000_000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
