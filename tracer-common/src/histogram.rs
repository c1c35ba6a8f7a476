//! Log-linear latency buckets: 32 per octave, so that a bucket's middle is within 1.6 % of every value in it.

/// Buckets of one histogram.
pub const BUCKETS: u32 = 1024;
/// The largest value with a bucket of its own; larger ones are counted in the last bucket. About 68.7 s.
pub const MAX_NS: u64 = (1 << 36) - 1;

const SUB_BUCKETS: u32 = 32;
const SUB_BITS: u32 = 5;

/// The bucket of a latency, below [`BUCKETS`].
///
/// Written without a count-leading-zeros instruction, which eBPF does not have.
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "the value is below 2^36 and shifted to six bits")]
pub const fn bucket_of(latency_ns: u64) -> u32 {
    let value = if latency_ns > MAX_NS { MAX_NS } else { latency_ns };
    // Without branches: latencies jump about, and each branch would have the verifier follow two ways.
    let (rest, exponent) = halved(value, 0, 4);
    let (rest, exponent) = halved(rest, exponent, 3);
    let (rest, exponent) = halved(rest, exponent, 2);
    let (rest, exponent) = halved(rest, exponent, 1);
    let (rest, exponent) = halved(rest, exponent, 0);
    exponent * SUB_BUCKETS + rest as u32
}

/// `rest` halved `1 << power` times, if no less than the number of sub-buckets is left then, and `exponent` raised by as
/// much. `rest` is below 2^63.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "a single bit")]
const fn halved(rest: u64, exponent: u32, power: u32) -> (u64, u32) {
    let largest = (1 << ((1 << power) + SUB_BITS)) - 1_u64;
    // 1 where it is larger: the difference is below zero then.
    let times = (largest.wrapping_sub(rest) >> 63) << power;
    (rest >> times, exponent + times as u32)
}

/// The smallest and the largest latency of a bucket, in nanoseconds.
#[must_use]
pub const fn bounds_ns(bucket: u32) -> (u64, u64) {
    if bucket < 2 * SUB_BUCKETS {
        return (bucket as u64, bucket as u64);
    }
    let exponent = bucket / SUB_BUCKETS - 1;
    let low = ((bucket - exponent * SUB_BUCKETS) as u64) << exponent;
    (low, low + (1 << exponent) - 1)
}

/// The middle of a bucket, in nanoseconds.
#[must_use]
pub const fn middle_ns(bucket: u32) -> u64 {
    let (low, high) = bounds_ns(bucket);
    low + (high - low) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_the_range_without_gap_or_overlap() {
        let mut expected_low = 0;
        for bucket in 0..BUCKETS {
            let (low, high) = bounds_ns(bucket);
            assert_eq!(low, expected_low, "bucket {bucket}");
            assert_eq!(bucket_of(low), bucket);
            assert_eq!(bucket_of(high), bucket);
            expected_low = high + 1;
        }
        assert_eq!(expected_low, MAX_NS + 1);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn the_middle_is_within_the_stated_error() {
        let mut value = 1_u64;
        while value <= MAX_NS {
            let middle = middle_ns(bucket_of(value));
            let error = (middle as f64 - value as f64).abs() / value as f64;
            assert!(error <= 0.016, "{value}: {middle}");
            value += value / 97 + 1;
        }
    }
}
