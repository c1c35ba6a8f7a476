//! The identity hash.

/// Odd constants, one for each position a word may have (fractional digits of roots of small primes).
const KEYS: [u64; 14] = [
    0x9e37_79b9_7f4a_7c15,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
    0xcbbb_9d5d_c105_9ed9,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
];

/// Collects header words into an identity.
///
/// Each word is folded and multiplied by the key of its position and the products are added, so the multiplications
/// do not wait for each other; a final mix spreads every bit. No seed: every host computes the same value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    sum: u64,
}

/// Positions of the words, so that no two fields of one packet share a key.
pub(super) mod position {
    /// EtherType, protocol, IP-ID, fragment offset, flow label.
    pub(in crate::packet) const HEAD: usize = 0;
    /// Network addresses: one word for IPv4, four for IPv6.
    pub(in crate::packet) const ADDRESS: usize = 1;
    /// First word of the transport header.
    pub(in crate::packet) const L4: usize = 5;
    /// Second word of the transport header.
    pub(in crate::packet) const L4_NEXT: usize = 6;
    /// Up to five words: bytes behind the transport header, or TCP options.
    pub(in crate::packet) const BODY: usize = 7;
    /// The last four bytes of TCP options that are no whole number of words.
    pub(in crate::packet) const OPTIONS_TAIL: usize = 12;
    /// The offset in the IPv6 fragment header.
    pub(in crate::packet) const FRAGMENT: usize = 13;
}

impl Identity {
    #[inline(always)]
    pub(super) const fn new() -> Self {
        Self { sum: 0 }
    }

    /// Adds the word at `position`; both the position and the number of words of a packet kind are constants.
    #[inline(always)]
    pub(super) const fn add(&mut self, position: usize, word: u64) {
        self.sum = with(self.sum, position, word);
    }

    /// Adds what [`super::deep_sum`] gave.
    #[inline(always)]
    pub(super) const fn extend(&mut self, sum: u64) {
        self.sum = self.sum.wrapping_add(sum);
    }

    /// What the identity is mixed from.
    #[inline(always)]
    pub(super) const fn sum(self) -> u64 {
        self.sum
    }

    /// The identity.
    #[inline(always)]
    pub(super) const fn finish(self) -> u64 {
        mixed(self.sum)
    }
}

#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "positions are constants below the number of keys")]
const fn product(position: usize, word: u64) -> u64 {
    multiplied(word, 32, KEYS[position])
}

/// `word`, folded by `shift` bits so that its upper bits reach lower ones, times `key`, an odd number. Where the same bytes are
/// read twice, the two shifts must differ, or the upper bits of both products can cancel out.
#[inline(always)]
pub(super) const fn multiplied(word: u64, shift: u32, key: u64) -> u64 {
    (word ^ (word >> shift)).wrapping_mul(key)
}

/// `sum` with `word` at `position`, where there was none.
#[inline(always)]
pub(super) const fn with(sum: u64, position: usize, word: u64) -> u64 {
    sum.wrapping_add(product(position, word))
}

/// `sum` without the `word` that it had at `position`.
#[inline(always)]
pub(super) const fn without(sum: u64, position: usize, word: u64) -> u64 {
    sum.wrapping_sub(product(position, word))
}

/// The finaliser of `SplitMix64`.
#[inline(always)]
pub(super) const fn mixed(sum: u64) -> u64 {
    let mut hash = sum;
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// What [`mixed`] made `hash` of: each of its steps can be undone.
#[inline(always)]
pub(super) const fn unmixed(hash: u64) -> u64 {
    let mut sum = hash ^ (hash >> 31) ^ (hash >> 62);
    sum = sum.wrapping_mul(0x3196_42b2_d24d_8ec3);
    sum = sum ^ (sum >> 27) ^ (sum >> 54);
    sum = sum.wrapping_mul(0x96de_1b17_3f11_9089);
    sum ^ (sum >> 30) ^ (sum >> 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_can_be_undone() {
        for sum in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef, 1 << 63, 0xdead_beef] {
            assert_eq!(unmixed(mixed(sum)), sum);
        }
    }
}
