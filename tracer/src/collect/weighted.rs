//! Latencies of all packets, as far as those tell that were timed.
//!
//! A packet is timed by its identity, a random number: while the share stays the same, those that are timed are a random sample of
//! the packets of that time, a *stratum*. Each stands for as many packets as were counted for each that was timed, so that times when few
//! are timed, which are those when many come, weigh what they must. Strata are added up as they end; what is kept of them does not grow.

use hdrhistogram::Histogram;
use hoptrace_common::histogram::{BUCKETS, MAX_NS, bucket_of, middle_ns};

use crate::model::{Interval, Sample};

/// How many standard deviations are as good as certain: 99.9 % of all cases are within.
const DEVIATIONS: f64 = 3.29;
/// And how many of the packets that were timed lie between that, which holds for many of them, and what holds for few.
const SPARE_PACKETS: f64 = 3.0;
/// Looks at how far the ends of an interval are from where they were sought.
const LOOKS: usize = 2;
/// What a packet counts in the histogram, where it can stand for a part of one.
const SCALE: f64 = 16.0;

/// What is counted of a segment, up to some time. Differences are two's complements: one CPU takes back what another one has recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    /// Packets in each bucket of the histogram.
    pub(super) buckets: Vec<u64>,
    /// Sum of their latencies, in nanoseconds.
    pub(super) sum_ns: u64,
    /// Packets that were not to be timed.
    pub(super) unasked: u64,
}

impl Counted {
    /// Nothing.
    pub(super) fn none() -> Self {
        Self { buckets: vec![0; BUCKETS as usize], sum_ns: 0, unasked: 0 }
    }

    /// Adds one latency.
    pub(super) fn record(&mut self, latency_ns: u64) {
        if let Some(in_bucket) = self.buckets.get_mut(bucket_of(latency_ns) as usize) {
            *in_bucket += 1;
        }
        self.sum_ns = self.sum_ns.wrapping_add(latency_ns);
    }

    /// Packets whose latencies these are.
    pub(super) fn timed(&self) -> i64 {
        self.buckets.iter().map(|in_bucket| in_bucket.cast_signed()).sum()
    }

    /// What was counted since.
    pub(super) fn since(&self, before: &Self) -> Self {
        let buckets = self.buckets.iter().zip(&before.buckets);
        Self {
            buckets: buckets.map(|(now, before)| now.wrapping_sub(*before)).collect(),
            sum_ns: self.sum_ns.wrapping_sub(before.sum_ns),
            unasked: self.unasked.wrapping_sub(before.unasked),
        }
    }
}

/// Strata, added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Weighted {
    /// Packets in each bucket, those included that others stand for; empty: none.
    buckets: Vec<f64>,
    /// How far these can be off, as a variance: each of them that was timed and stands for w packets is w(w - 1) of it.
    spreads: Vec<f64>,
    /// All packets.
    packets: f64,
    /// Those that were timed.
    timed: i64,
    /// Packets of times when none was timed: nothing stands for them.
    unseen: f64,
    /// The most packets that one stands for.
    heaviest: f64,
    /// Sum of latencies, in nanoseconds.
    sum_ns: f64,
}

impl Weighted {
    /// Adds a stratum.
    #[allow(clippy::cast_precision_loss, reason = "no more than 2^52 packets are counted")]
    pub(super) fn add(&mut self, counted: &Counted) {
        let timed = counted.timed();
        let unasked = counted.unasked.cast_signed().max(0) as f64;
        let stands_for = if timed > 0 { 1.0 + unasked / timed as f64 } else { 1.0 };
        self.grow();
        let sums = self.buckets.iter_mut().zip(&mut self.spreads);
        for ((sum, spread), in_bucket) in sums.zip(&counted.buckets) {
            let in_bucket = in_bucket.cast_signed();
            // Below zero: it is taken back, and was recorded before.
            let weight = if in_bucket > 0 { stands_for } else { 1.0 };
            *sum += in_bucket as f64 * weight;
            *spread += in_bucket as f64 * weight * (weight - 1.0);
        }
        self.packets += timed as f64 * stands_for;
        self.timed += timed;
        self.unseen += if timed > 0 { 0.0 } else { unasked };
        self.heaviest = self.heaviest.max(stands_for);
        self.sum_ns += counted.sum_ns.cast_signed() as f64 * stands_for;
    }

    fn grow(&mut self) {
        self.buckets.resize(BUCKETS as usize, 0.0);
        self.spreads.resize(BUCKETS as usize, 0.0);
    }

    /// Adds those of another segment, or of another time.
    pub(super) fn merge(&mut self, other: &Self) {
        self.grow();
        for (sum, in_bucket) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += in_bucket;
        }
        for (sum, in_bucket) in self.spreads.iter_mut().zip(&other.spreads) {
            *sum += in_bucket;
        }
        self.packets += other.packets;
        self.timed += other.timed;
        self.unseen += other.unseen;
        self.heaviest = self.heaviest.max(other.heaviest);
        self.sum_ns += other.sum_ns;
    }

    /// Their latencies, and what they say of all. `None`: none was timed.
    pub(super) fn told(&self) -> Option<Told<'_>> {
        // Three digits: finer than the buckets it is fed from.
        let mut histogram = Histogram::new_with_bounds(1, MAX_NS, 3).ok()?;
        let scale = if self.is_sample() { SCALE } else { 1.0 };
        for (bucket, in_bucket) in (0..BUCKETS).zip(&self.buckets) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 or more")]
            let times = (in_bucket.max(0.0) * scale).round() as u64;
            if times > 0 {
                histogram.saturating_record_n(middle_ns(bucket).max(1), times);
            }
        }
        (!histogram.is_empty()).then_some(Told { of: self, histogram })
    }

    fn is_sample(&self) -> bool {
        self.heaviest > 1.0 || self.unseen > 0.0
    }

    /// The variance of how many packets are said to be below the latency with this rank: no larger than what those on either side of it make.
    fn spread_at(&self, rank: f64) -> f64 {
        let (mut packets, mut below) = (0.0, 0.0);
        for (in_bucket, spread) in self.buckets.iter().zip(&self.spreads) {
            if packets >= rank * self.packets {
                break;
            }
            packets += in_bucket;
            below += spread;
        }
        let all: f64 = self.spreads.iter().sum();
        below.min(all - below).max(0.0)
    }
}

/// What is said of them.
#[derive(Debug)]
pub(super) struct Told<'a> {
    of: &'a Weighted,
    histogram: Histogram<u64>,
}

impl Told<'_> {
    /// The latency that a share `quantile` of the packets does not exceed, in nanoseconds.
    pub(super) fn at(&self, quantile: f64) -> u64 {
        self.histogram.value_at_quantile(quantile)
    }

    /// In nanoseconds.
    pub(super) fn mean(&self) -> f64 {
        self.of.sum_ns / self.of.packets
    }

    /// How far the figures can be from those of all packets; `None`: they are those of all.
    pub(super) fn sample(&self) -> Option<Sample> {
        self.of.is_sample().then(|| Sample {
            timed: self.of.timed.max(0).unsigned_abs(),
            p50_ns: self.interval(0.5),
            p90_ns: self.interval(0.9),
            p99_ns: self.interval(0.99),
            p999_ns: self.interval(0.999),
        })
    }

    /// Where what has this rank among the packets that were timed can be among all: of a sample the number of those beyond a quantile is
    /// binomially distributed, in each stratum, and what is slow may be in one of them only.
    fn interval(&self, quantile: f64) -> Interval {
        let Weighted { packets, unseen, heaviest, .. } = self.of;
        let all = packets + unseen;
        // Of packets that nothing stands for any number can be on either side.
        let seen = packets / all;
        let (lowest, highest) = ((quantile - unseen / all) / seen, quantile / seen);
        let (mut low, mut high) = (lowest, highest);
        for _ in 0..=LOOKS {
            let spread =
                [low, quantile, high].map(|rank| self.of.spread_at(rank)).into_iter().fold(0.0, f64::max);
            let by_chance = (DEVIATIONS * spread.sqrt() + SPARE_PACKETS * (heaviest - 1.0)) / packets;
            (low, high) = (lowest - by_chance, highest + by_chance);
        }
        Interval { low: self.at(low.max(0.0)), high: (high < 1.0).then(|| self.at(high)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(latencies: impl IntoIterator<Item = u64>, unasked: u64) -> Counted {
        let mut counted = Counted { buckets: vec![0; BUCKETS as usize], sum_ns: 0, unasked };
        for latency_ns in latencies {
            counted.buckets[bucket_of(latency_ns) as usize] += 1;
            counted.sum_ns += latency_ns;
        }
        counted
    }

    fn weighted(strata: &[Counted]) -> Weighted {
        let mut weighted = Weighted::default();
        for stratum in strata {
            weighted.add(stratum);
        }
        weighted
    }

    /// Pseudo-random numbers (xorshift).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11
        }

        /// Latencies with a long tail, in nanoseconds.
        fn latency(&mut self) -> u64 {
            let base = 2_000 + self.next() % 3_000;
            match self.next() % 1_000 {
                0..4 => base * 400,
                4..50 => base * 12,
                _ => base,
            }
        }
    }

    #[test]
    fn all_that_was_timed_is_told_as_it_is() {
        let all = weighted(&[counted([1_000, 1_000, 5_000], 0), counted([5_000], 0)]);
        let told = all.told().unwrap();
        assert_eq!((all.timed, told.sample()), (4, None));
        assert!((told.mean() - 3_000.0).abs() < f64::EPSILON);
    }

    #[test]
    fn times_of_which_little_was_timed_weigh_as_much_as_there_was() {
        // A quiet hour in which all were timed, and a busy one in which one of ten was.
        let told = weighted(&[counted([1_000; 50], 0), counted([9_000; 50], 450)]);
        let (told, packets) = (told.told().unwrap(), 550.0);
        assert!(told.at(0.5) > 8_000, "most came in the busy one: {}", told.at(0.5));
        assert!((told.mean() - (50.0 * 1_000.0 + 500.0 * 9_000.0) / packets).abs() < 1e-6);
        assert!(told.at(0.09) < 1_100 && told.at(0.1) > 8_000);
    }

    #[test]
    fn what_nothing_stands_for_is_said_not_to_be_known() {
        let told = weighted(&[counted([1_000; 500], 500), counted([], 400)]);
        let sample = told.told().unwrap().sample().unwrap();
        assert_eq!((sample.timed, sample.p99_ns.high), (500, None));
        assert!(weighted(&[counted([], 400)]).told().is_none());
    }

    #[test]
    fn few_packets_do_not_tell_the_tail() {
        let told = weighted(&[counted((0..100).map(|it| 1_000 + it), 1_500)]);
        let sample = told.told().unwrap().sample().unwrap();
        assert_eq!(sample.p999_ns.high, None);
        assert!(sample.p50_ns.high.is_some());
    }

    #[test]
    fn what_is_taken_back_is_gone_whenever_it_was_recorded() {
        let before = counted([1_000, 7_000], 6);
        let mut after = before.clone();
        after.buckets[bucket_of(7_000) as usize] -= 1;
        after.sum_ns -= 7_000;
        after.buckets[bucket_of(1_000) as usize] += 3;
        after.sum_ns += 3_000;
        let mut all = weighted(std::slice::from_ref(&before));
        all.add(&after.since(&before));
        assert_eq!(all.timed, 4);
        assert!(all.told().unwrap().at(0.9) < 7_500);
    }

    /// One of `share` of each of `strata` so many packets is timed, again and again, each with latencies so many times as long: how often a
    /// quantile of all is outside of its interval.
    fn misses(random: &mut Random, strata: &[(usize, u64, u64)], times: usize) -> usize {
        let mut missed = 0;
        for _ in 0..times {
            let (mut all, mut sampled) = (Vec::new(), Weighted::default());
            for (packets, share, longer) in strata {
                let latencies: Vec<u64> = (0..*packets).map(|_| random.latency() * longer).collect();
                let drawn: Vec<u64> =
                    latencies.iter().copied().filter(|_| random.next().is_multiple_of(*share)).collect();
                sampled.add(&counted(drawn.iter().copied(), (packets - drawn.len()) as u64));
                all.extend(latencies);
            }
            let exact = weighted(&[counted(all, 0)]);
            let (exact, sampled) = (exact.told().unwrap(), sampled.told().unwrap());
            let sample = sampled.sample().unwrap();
            let quantiles =
                [(0.5, sample.p50_ns), (0.9, sample.p90_ns), (0.99, sample.p99_ns), (0.999, sample.p999_ns)];
            for (quantile, Interval { low, high }) in quantiles {
                let truth = exact.at(quantile);
                missed += usize::from(truth < low || high.is_some_and(|high| truth > high));
            }
        }
        missed
    }

    #[test]
    fn the_quantiles_of_all_are_within_their_intervals() {
        let mut random = Random(0x1234_5678_9abc_def1);
        // The last ones: what is slow is where little is timed, in the end or in the middle.
        let all = [
            &[(20_000, 16, 1)][..],
            &[(3_000, 16, 1)],
            &[(400, 4, 1)],
            &[(2_000, 1, 1), (30_000, 32, 1)],
            &[(99_000, 1, 1), (2_000, 64, 40)],
            &[(44_000, 1, 1), (10_000, 16, 7)],
            &[(10_000, 2, 1), (10_000, 64, 3), (1_000, 1, 90)],
        ];
        for strata in all {
            let missed = misses(&mut random, strata, 100);
            // Of 1,000 one may be outside.
            assert!(missed <= 3, "{strata:?}: {missed} of 400 are outside");
        }
    }
}
