//! Where the slowest share of the recent packets begins. Pure.

use hoptrace_common::histogram::{BUCKETS, bounds_ns};

use crate::model::PARTS_PER_MILLION;

/// Packets beyond the threshold that the recent ones shall contain, on the average of a full window: enough for the
/// threshold to be steady, few enough for it to follow the load.
const TAIL_PACKETS: f64 = 100.0;
/// Packets beyond the threshold without which there is none.
const LEAST_TAIL_PACKETS: f64 = 1.0;

/// A histogram of the recent packets. Whenever it holds `TAIL_PACKETS` / share of them, all its counts are halved: so
/// it follows the load quickly where there are many packets, and takes its time where there are few.
#[derive(Debug)]
pub(super) struct Recent {
    share: f64,
    /// What the kernel's histogram said at the last look.
    before: Vec<u64>,
    counts: Vec<f64>,
    total: f64,
}

impl Recent {
    /// For the slowest share, in parts per million.
    pub(super) fn new(share_ppm: u32) -> Self {
        let buckets = BUCKETS as usize;
        let share = f64::from(share_ppm.max(1)) / f64::from(PARTS_PER_MILLION);
        Self { share, before: vec![0; buckets], counts: vec![0.0; buckets], total: 0.0 }
    }

    /// Takes in the kernel's histogram as it is now, bucket by bucket.
    pub(super) fn look(&mut self, buckets: impl Iterator<Item = u64>) {
        let places = self.before.iter_mut().zip(&mut self.counts);
        for ((before, count), now) in places.zip(buckets) {
            #[allow(clippy::cast_precision_loss, reason = "packets of a tenth of a second")]
            let new = now.saturating_sub(*before) as f64;
            *before = now;
            *count += new;
            self.total += new;
        }
        while self.total * self.share > TAIL_PACKETS {
            self.counts.iter_mut().for_each(|count| *count /= 2.0);
            self.total /= 2.0;
        }
    }

    /// The latency that at most the share exceeds, in nanoseconds, at the upper end of a bucket. `None` while there
    /// are too few packets to tell.
    pub(super) fn threshold_ns(&self) -> Option<u64> {
        let allowed = self.total * self.share;
        if allowed < LEAST_TAIL_PACKETS {
            return None;
        }
        let mut beyond = 0.0;
        (0..BUCKETS)
            .zip(&self.counts)
            .rev()
            .find(|(_, count)| {
                beyond += **count;
                beyond > allowed
            })
            .map(|(bucket, _)| bounds_ns(bucket).1)
    }
}

#[cfg(test)]
mod tests {
    use hoptrace_common::histogram::bucket_of;

    use super::*;

    /// A kernel's histogram that grows.
    struct Kernel(Vec<u64>);

    impl Kernel {
        fn add(&mut self, latency_ns: u64, packets: u64) {
            self.0[bucket_of(latency_ns) as usize] += packets;
        }
    }

    fn looked(kernel: &Kernel, recent: &mut Recent) -> Option<u64> {
        recent.look(kernel.0.iter().copied());
        recent.threshold_ns()
    }

    #[test]
    fn there_is_no_threshold_before_one_packet_can_exceed_it() {
        let (mut kernel, mut recent) = (Kernel(vec![0; BUCKETS as usize]), Recent::new(1_000));
        kernel.add(5_000, 999);
        assert_eq!(looked(&kernel, &mut recent), None);
        kernel.add(90_000, 1);
        // One of a thousand: the slow one is it.
        let threshold = looked(&kernel, &mut recent).unwrap();
        assert!((5_000..5_200).contains(&threshold), "{threshold}");
    }

    #[test]
    fn the_share_is_not_exceeded() {
        let (mut kernel, mut recent) = (Kernel(vec![0; BUCKETS as usize]), Recent::new(1_000));
        for latency_us in 1..=10_000 {
            kernel.add(latency_us * 1_000, 1);
        }
        let threshold = looked(&kernel, &mut recent).unwrap();
        // Ten of ten thousand, and the bucket is three percent wide.
        assert!((9_990_000..10_300_000).contains(&threshold), "{threshold}");
    }

    #[test]
    fn it_follows_the_load() {
        let (mut kernel, mut recent) = (Kernel(vec![0; BUCKETS as usize]), Recent::new(1_000));
        kernel.add(5_000, 1_000_000);
        assert!(looked(&kernel, &mut recent).unwrap() < 5_200);
        // Ten times slower from now on: after some windows the old packets weigh nothing.
        for _ in 0..40 {
            kernel.add(50_000, 25_000);
            looked(&kernel, &mut recent);
        }
        let threshold = recent.threshold_ns().unwrap();
        assert!((50_000..52_000).contains(&threshold), "{threshold}");
        for _ in 0..40 {
            kernel.add(5_000, 25_000);
            looked(&kernel, &mut recent);
        }
        assert!(recent.threshold_ns().unwrap() < 5_200);
    }
}
