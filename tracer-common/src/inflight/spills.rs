//! How many slots of each set hold a packet whose home is another slot: a byte per set, so that those of a table of 65,536 slots stay in the
//! nearest cache, where a word for each set would not.
//!
//! A set counts as many as it has slots, and one for each CPU that has added one and not yet found that its slot was taken meanwhile. A byte is not
//! too small for that: it would take some 248 CPUs at one set in the same few nanoseconds, and their taking it back would put the next set right again.

/// Sets whose counts are in one word.
pub const SETS_PER_WORD: u32 = 8;

/// Which word has the count of `set`.
#[inline(always)]
#[must_use]
pub const fn word_of(set: u32) -> u32 {
    set / SETS_PER_WORD
}

/// The count of `set` in its word.
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "a byte is meant")]
pub const fn count_in(word: u64, set: u32) -> u32 {
    (word >> shift(set)) as u32 & 0xff
}

/// What has to be added to the word so that the count of `set` changes by `change`, less than nothing as a two's complement.
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "a two's complement")]
pub const fn change_of(set: u32, change: u32) -> u64 {
    ((change as i32 as i64) << shift(set)) as u64
}

#[inline(always)]
const fn shift(set: u32) -> u32 {
    set % SETS_PER_WORD * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_one_word_count_apart() {
        let mut word = 0_u64;
        let mut counts = [0_u32; SETS_PER_WORD as usize];
        for (set, change) in [(0, 1), (7, 1), (3, 1), (7, 1), (0, u32::MAX), (3, 1), (7, u32::MAX), (6, 1)] {
            word = word.wrapping_add(change_of(set, change));
            counts[set as usize] = counts[set as usize].wrapping_add(change);
            assert!((0..SETS_PER_WORD).all(|set| count_in(word, set) == counts[set as usize]), "{word:x}");
        }
        assert_eq!(counts, [0, 0, 0, 2, 0, 0, 1, 1]);
        assert_eq!((word_of(7), word_of(8), count_in(change_of(9, 1), 1)), (0, 1, 1));
    }
}
