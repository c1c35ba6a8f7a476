//! Which packets the programs send because they were slow: keeps the thresholds in the control page up to date.

use hoptrace_common::config::Control;

use super::{gate::Gate, latency::LatencyMaps, recent::Recent};
use crate::model::{Direction, PerDirection, SegmentId, Tail};

/// The thresholds of both directions.
#[derive(Debug)]
pub(super) enum Thresholds {
    /// They stay as they were set first.
    Fixed,
    /// They follow the histograms of the whole way.
    Following([Recent; 2]),
}

impl Thresholds {
    /// Sets the first thresholds. A share of the packets is not known before some have been seen: until then none is
    /// sent.
    pub(super) fn new(tail: Tail, gate: &Gate) -> Self {
        let (first_ns, thresholds) = match tail {
            Tail::None => (Control::NEVER, Self::Fixed),
            Tail::SlowerThan(threshold_ns) => (threshold_ns, Self::Fixed),
            Tail::Slowest(share_ppm) => {
                (Control::NEVER, Self::Following([Recent::new(share_ppm), Recent::new(share_ppm)]))
            }
            Tail::Top(_) => (0, Self::Fixed),
        };
        for direction in Direction::ALL {
            gate.set_slower_than(direction, first_ns);
        }
        thresholds
    }

    /// Looks at the histograms; `totals` are their segments.
    pub(super) fn follow(&mut self, gate: &Gate, latencies: &LatencyMaps, totals: PerDirection<SegmentId>) {
        let Self::Following(recent) = self else { return };
        for (direction, recent) in Direction::ALL.into_iter().zip(recent) {
            recent.look(latencies.buckets(*totals.of(direction)));
            if let Some(threshold_ns) = recent.threshold_ns() {
                gate.set_slower_than(direction, threshold_ns);
            }
        }
    }
}
