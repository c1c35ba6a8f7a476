//! Latency figures of the segments, added up over all CPUs.

use std::{collections::BTreeMap, rc::Rc};

use aya::Ebpf;
use hoptrace_common::{counters::SegmentStats, histogram::BUCKETS};

use super::{
    CollectError, Mapped, Maps, Share,
    weighted::{Counted, Told, Weighted},
};
use crate::model::{Interval, Latencies, LatencyNs, Sample, SegmentId};

/// Figures of all segments of one port.
#[derive(Debug)]
pub(super) struct LatencyMaps {
    stats: Rc<Mapped<SegmentStats>>,
    buckets: Rc<Mapped<u64>>,
    share: Share,
    /// Where the share of the packets that are timed has moved.
    before: BTreeMap<SegmentId, Before>,
    /// What the programs could not record, for they did not know the packets any more.
    late: BTreeMap<SegmentId, OfLate>,
}

/// Packets that came after they were given up.
#[derive(Debug)]
struct OfLate {
    stats: SegmentStats,
    counted: Counted,
}

/// A segment's figures until the share moved last.
#[derive(Debug, Default)]
struct Before {
    strata: Weighted,
    /// What was counted then.
    until: Option<Counted>,
}

impl LatencyMaps {
    pub(super) fn new(object: &Ebpf, maps: &Maps, share: Share) -> Result<Self, CollectError> {
        let stats = maps.array(object, "SEGMENTS")?;
        Ok(Self {
            stats,
            buckets: maps.array(object, "LATENCIES")?,
            share,
            before: BTreeMap::new(),
            late: BTreeMap::new(),
        })
    }

    /// Adds a packet that came after it was given up, and how long it took, where that is known; `is_timed`: it was asked for.
    pub(super) fn add_late(&mut self, segment: SegmentId, is_timed: bool, latency_ns: Option<u64>) {
        let of = self
            .late
            .entry(segment)
            .or_insert_with(|| OfLate { stats: SegmentStats::default(), counted: Counted::none() });
        match latency_ns {
            Some(latency_ns) => {
                of.stats.record(latency_ns);
                of.counted.record(latency_ns);
            }
            None if is_timed => of.stats.untimed += 1,
            None => {
                of.stats.unasked += 1;
                of.counted.unasked += 1;
            }
        }
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

    /// What is counted of a segment so far, in all CPUs together.
    fn counted(&self, segment: SegmentId) -> Counted {
        let stats = self.recorded(segment);
        let buckets = self.buckets(segment).collect();
        Counted { buckets, sum_ns: stats.sum_ns, unasked: stats.unasked }
    }

    fn stats_of(&self, segments: &[SegmentId]) -> SegmentStats {
        let recorded = segments.iter().map(|segment| self.recorded(*segment));
        let late = segments.iter().filter_map(|segment| self.late.get(segment)).map(|late| late.stats);
        recorded.chain(late).fold(SegmentStats::default(), |sum, more| add(&sum, &more))
    }

    /// What the programs have recorded of a segment, on all CPUs.
    fn recorded(&self, segment: SegmentId) -> SegmentStats {
        let of_cpus = self.blocks(segment).filter_map(|block| self.stats.read(block));
        of_cpus.fold(SegmentStats::default(), |sum, more| add(&sum, &more))
    }

    /// From now on another share of the packets is timed: what was counted so far of `segments` is weighed by itself.
    pub(super) fn begin_stratum(&mut self, segments: impl Iterator<Item = SegmentId>) {
        for segment in segments {
            let now = self.counted(segment);
            let mut before = self.before.remove(&segment).unwrap_or_default();
            before.strata.add(&before.until.as_ref().map_or_else(|| now.clone(), |until| now.since(until)));
            before.until = Some(now);
            self.before.insert(segment, before);
        }
    }

    /// The figures of a segment. While packets flow, count and quantiles may be a few packets apart.
    pub(super) fn of(&self, segment: SegmentId) -> Latencies {
        self.of_all(&[segment])
    }

    /// The figures of all packets of `segments` together.
    pub(super) fn of_all(&self, segments: &[SegmentId]) -> Latencies {
        let stats = self.stats_of(segments);
        // For a moment it may count below zero, as the buckets.
        let unasked = stats.unasked.cast_signed().max(0).unsigned_abs();
        let others = stats.untimed.saturating_add(unasked);
        let sample = (unasked > 0).then_some(Sample::NONE);
        let unknown = Latencies { count: others, sample, latency_ns: None };
        // Nothing was ever recorded there: not even the smallest.
        if stats.min_ns_inverted == 0 {
            return unknown;
        }
        let (mut weighted, mut timed) = (Weighted::default(), 0_i64);
        for segment in segments {
            let now = self.counted(*segment);
            timed += now.timed();
            match self.before.get(segment) {
                Some(Before { strata, until: Some(until) }) => {
                    weighted.merge(strata);
                    weighted.add(&now.since(until));
                }
                _ => weighted.add(&now),
            }
            // A stratum of their own: those that were timed stand for the others that were late.
            if let Some(OfLate { counted, .. }) = self.late.get(segment) {
                weighted.add(counted);
                timed += counted.timed();
            }
        }
        let Some(told) = weighted.told() else { return unknown };
        Latencies {
            count: others.saturating_add(timed.max(0).unsigned_abs()),
            sample: told.sample().map(|sample| within(sample, &stats)),
            latency_ns: Some(latency_ns(&stats, &told)),
        }
    }
}

/// Adds up two CPUs; a CPU that took more back than it recorded counts below zero.
fn add(sum: &SegmentStats, more: &SegmentStats) -> SegmentStats {
    SegmentStats {
        sum_ns: sum.sum_ns.wrapping_add(more.sum_ns),
        min_ns_inverted: sum.min_ns_inverted.max(more.min_ns_inverted),
        max_ns: sum.max_ns.max(more.max_ns),
        untimed: sum.untimed + more.untimed,
        unasked: sum.unasked.wrapping_add(more.unasked),
        ..SegmentStats::default()
    }
}

/// No quantile is beyond what was measured.
fn within(sample: Sample, stats: &SegmentStats) -> Sample {
    let min = u64::MAX - stats.min_ns_inverted;
    let measured = |ns: u64| ns.clamp(min, stats.max_ns.max(min));
    let clamped = |it: Interval| Interval { low: measured(it.low), high: it.high.map(measured) };
    Sample {
        timed: sample.timed,
        p50_ns: clamped(sample.p50_ns),
        p90_ns: clamped(sample.p90_ns),
        p99_ns: clamped(sample.p99_ns),
        p999_ns: clamped(sample.p999_ns),
    }
}

fn latency_ns(stats: &SegmentStats, told: &Told<'_>) -> LatencyNs {
    let min = u64::MAX - stats.min_ns_inverted;
    // A bucket's middle may lie beyond what was really measured.
    let at = |quantile| told.at(quantile).clamp(min, stats.max_ns.max(min));
    LatencyNs {
        min,
        mean: told.mean(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: stats.max_ns,
    }
}

#[cfg(test)]
mod tests {
    use hoptrace_common::histogram::bucket_of;

    use super::*;

    #[test]
    fn quantiles_stay_between_the_exact_extremes() {
        let mut stats = SegmentStats::default();
        let mut counted = Counted { buckets: vec![0; BUCKETS as usize], sum_ns: 0, unasked: 0 };
        for latency_ns in [1_000_u64, 1_001, 1_002, 5_000] {
            stats.record(latency_ns);
            counted.buckets[bucket_of(latency_ns) as usize] += 1;
            counted.sum_ns += latency_ns;
        }
        let mut weighted = Weighted::default();
        weighted.add(&counted);
        let figures = latency_ns(&stats, &weighted.told().unwrap());
        assert_eq!((figures.min, figures.max), (1_000, 5_000));
        assert!((figures.mean - 2_000.75).abs() < f64::EPSILON);
        assert!((1_000..=1_016).contains(&figures.p50), "{figures:?}");
        assert_eq!(figures.p999, 5_000);
    }
}
