//! Which port comes first.

use std::cmp::{Ordering, Reverse};

use super::row::{Row, Way};
use crate::model::Severity;

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TopSort {
    /// The worst finding; of equally bad ones the most packets that died in the interval, then in all, then the most packets.
    #[default]
    Worst,
    /// The most packets in the interval.
    Packets,
    /// The most packets that died in the interval, then in all.
    Died,
    /// The slowest way out.
    WayOut,
    /// The slowest way in.
    WayIn,
    /// The slowest guest.
    Guest,
    /// By name.
    Name,
}

impl TopSort {
    /// Equal ones by name, then by address.
    pub(super) fn sort(self, rows: &mut [Row<'_>]) {
        let by_name = |one: &Row<'_>, other: &Row<'_>| {
            let mac = |row: &Row<'_>| row.port.path.instance.mac;
            one.name.cmp(&other.name).then_with(|| mac(one).cmp(&mac(other)))
        };
        rows.sort_by(|one, other| self.compare(one, other).then_with(|| by_name(one, other)));
    }

    fn compare(self, one: &Row<'_>, other: &Row<'_>) -> Ordering {
        // `None` is less than any number: what was not measured comes last.
        match self {
            Self::Worst => worst(one).cmp(&worst(other)),
            Self::Packets => packets(one).cmp(&packets(other)),
            Self::Died => died(one).cmp(&died(other)),
            Self::WayOut => Reverse(one.egress.p99_ns).cmp(&Reverse(other.egress.p99_ns)),
            Self::WayIn => Reverse(one.ingress.p99_ns).cmp(&Reverse(other.ingress.p99_ns)),
            Self::Guest => Reverse(one.guest_p99_ns).cmp(&Reverse(other.guest_p99_ns)),
            Self::Name => Ordering::Equal,
        }
    }
}

type Most = Reverse<u64>;

fn worst(row: &Row<'_>) -> (Severity, (Most, Most), Most) {
    let severity = row.findings.iter().map(|finding| finding.severity).min().unwrap_or(Severity::Info);
    (severity, died(row), packets(row))
}

/// In the interval, and in all.
fn died(row: &Row<'_>) -> (Most, Most) {
    (sum(row, |way| way.since.died()), sum(row, |way| way.total.died()))
}

fn packets(row: &Row<'_>) -> Most {
    sum(row, |way| way.since.packets)
}

fn sum(row: &Row<'_>, of: impl Fn(Way) -> u64) -> Most {
    Reverse(row.ways().into_iter().map(of).fold(0, u64::saturating_add))
}
