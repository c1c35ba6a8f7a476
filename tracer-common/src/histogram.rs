//! Log-linear latency buckets: 32 per octave, so that a bucket's middle is within 1.6 % of every value in it.

/// Buckets of one histogram.
pub const BUCKETS: u32 = 1024;
/// The largest value with a bucket of its own; larger ones are counted in the last bucket. About 68.7 s.
pub const MAX_NS: u64 = (1 << 36) - 1;

const SUB_BUCKETS: u32 = 32;
const SUB_BITS: u32 = 5;

/// The bucket of a latency, below [`BUCKETS`].
///
/// Without branches: latencies jump about, and each branch is one that the CPU guesses wrong, and two ways for the verifier to follow.
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "the value is below 2^36 and shifted to six bits")]
pub const fn bucket_of(latency_ns: u64) -> u32 {
    let value = if latency_ns > MAX_NS { MAX_NS } else { latency_ns };
    // Below two times the sub-buckets each value has its own.
    let exponent = highest_bit((value >> SUB_BITS) as u32 | 1);
    exponent * SUB_BUCKETS + (value >> exponent) as u32
}

/// Which bit of `value`, which is not zero, is the highest one that is set. eBPF has no instruction that counts leading zeros, and a chain of
/// comparisons becomes branches there.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "five bits, and 32 places")]
const fn highest_bit(value: u32) -> u32 {
    let value = value | value >> 1;
    let value = value | value >> 2;
    let value = value | value >> 4;
    let value = value | value >> 8;
    let value = value | value >> 16;
    HIGHEST_BIT[(value.wrapping_mul(DE_BRUIJN) >> 27) as usize & 31] as u32
}

/// Times a number whose bits are all set from its highest one on it has upper five bits that no other such number has.
const DE_BRUIJN: u32 = 0x07c4_acdd;

#[allow(clippy::indexing_slicing, reason = "five bits, and 32 places; and it is computed by the compiler")]
static HIGHEST_BIT: [u8; 32] = {
    let mut table = [0; 32];
    let mut bit = 0_u8;
    while bit < 32 {
        table[((u32::MAX >> (31 - bit)).wrapping_mul(DE_BRUIJN) >> 27) as usize] = bit;
        bit += 1;
    }
    table
};

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
