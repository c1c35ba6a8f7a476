//! Latency figures of the segments, added up over all CPUs and fed into an HDR histogram.

use std::rc::Rc;

use aya::Ebpf;
use hdrhistogram::Histogram;
use hoptrace_common::{
    counters::SegmentStats,
    histogram::{BUCKETS, MAX_NS, middle_ns},
};

use super::{CollectError, Mapped, Maps, Share};
use crate::model::{Latencies, LatencyNs, SegmentId};

/// Figures of all segments of one port.
#[derive(Debug)]
pub(super) struct LatencyMaps {
    stats: Rc<Mapped<SegmentStats>>,
    buckets: Rc<Mapped<u64>>,
    share: Share,
}

impl LatencyMaps {
    pub(super) fn new(object: &Ebpf, maps: &Maps, share: Share) -> Result<Self, CollectError> {
        let stats = maps.array(object, "SEGMENTS")?;
        Ok(Self { stats, buckets: maps.array(object, "LATENCIES")?, share })
    }

    /// Where the figures of a segment are, one place per CPU.
    fn blocks(&self, segment: SegmentId) -> impl Iterator<Item = u32> {
        self.share.segments(segment, self.stats.len())
    }

    /// Where the histograms of a segment are: one per CPU, but of several ports all CPUs share one.
    fn histograms(&self, segment: SegmentId) -> Vec<u32> {
        if self.share.room.is_for_one() {
            self.blocks(segment).collect()
        } else {
            vec![self.share.segment(segment)]
        }
    }

    /// How many packets are in each bucket of a segment's histogram.
    pub(super) fn buckets(&self, segment: SegmentId) -> impl Iterator<Item = u64> {
        let blocks = self.histograms(segment);
        (0..BUCKETS).map(move |bucket| {
            blocks
                .iter()
                .filter_map(|block| self.buckets.read(block * BUCKETS + bucket))
                .fold(0, u64::wrapping_add)
        })
    }

    /// The figures of a segment. While packets flow, count and quantiles may be a few packets apart.
    pub(super) fn of(&self, segment: SegmentId) -> Latencies {
        self.of_all(&[segment])
    }

    /// The figures of all packets of `segments` together.
    pub(super) fn of_all(&self, segments: &[SegmentId]) -> Latencies {
        let stats = segments
            .iter()
            .flat_map(|segment| self.blocks(*segment))
            .filter_map(|block| self.stats.read(block))
            .fold(SegmentStats::default(), |sum, more| add(&sum, &more));
        let untimed = Latencies { count: stats.untimed, latency_ns: None };
        // Nothing was ever recorded there: not even the smallest.
        let Some(mut histogram) = (stats.min_ns_inverted > 0).then(histogram).flatten() else {
            return untimed;
        };
        let mut timed = 0_u64;
        for segment in segments {
            for (bucket, in_bucket) in (0..BUCKETS).zip(self.buckets(*segment)) {
                // For a moment it may count below zero: one CPU has taken back what another one has not recorded yet.
                if in_bucket.cast_signed() > 0 {
                    timed += in_bucket;
                    histogram.saturating_record_n(middle_ns(bucket).max(1), in_bucket);
                }
            }
        }
        if timed == 0 {
            return untimed;
        }
        Latencies { count: timed + stats.untimed, latency_ns: Some(quantiles(&stats, timed, &histogram)) }
    }
}

/// Adds up two CPUs; a CPU that took more back than it recorded counts below zero.
fn add(sum: &SegmentStats, more: &SegmentStats) -> SegmentStats {
    SegmentStats {
        sum_ns: sum.sum_ns.wrapping_add(more.sum_ns),
        min_ns_inverted: sum.min_ns_inverted.max(more.min_ns_inverted),
        max_ns: sum.max_ns.max(more.max_ns),
        untimed: sum.untimed + more.untimed,
        ..SegmentStats::default()
    }
}

/// Three digits: finer than the buckets it is fed from.
fn histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, MAX_NS, 3).ok()
}

fn quantiles(stats: &SegmentStats, timed: u64, histogram: &Histogram<u64>) -> LatencyNs {
    let min = u64::MAX - stats.min_ns_inverted;
    // A bucket's middle may lie beyond what was really measured.
    let at = |quantile| histogram.value_at_quantile(quantile).clamp(min, stats.max_ns.max(min));
    #[allow(clippy::cast_precision_loss, reason = "a mean needs no more than 52 bits")]
    let mean = stats.sum_ns as f64 / timed as f64;
    LatencyNs { min, mean, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: stats.max_ns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_stay_between_the_exact_extremes() {
        let mut stats = SegmentStats::default();
        let mut histogram = histogram().unwrap();
        for latency_ns in [1_000_u64, 1_001, 1_002, 5_000] {
            stats.record(latency_ns);
            histogram.record(middle_ns(hoptrace_common::histogram::bucket_of(latency_ns))).unwrap();
        }
        let figures = quantiles(&stats, 4, &histogram);
        assert_eq!((figures.min, figures.max), (1_000, 5_000));
        assert!((figures.mean - 2_000.75).abs() < f64::EPSILON);
        assert!((1_000..=1_016).contains(&figures.p50), "{figures:?}");
        assert_eq!(figures.p999, 5_000);
    }
}
