//! Large packets that are cut into pieces on their way: software segmentation behind a hook, where the next interface
//! cannot take them whole.
//!
//! The first piece has the large packet's identity. Those of TCP follow it one by one, each beginning where the one before
//! ended: that is how they are told from packets that came by another way. Those of a datagram are told by their
//! identities, which are known beforehand ([`crate::packet::Merged`]).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Sets of places (a power of two).
pub const SETS: u32 = 4096;
/// Pieces that can be expected at a time in a set: a cache line.
pub const WAYS: usize = 4;
/// Frames longer than this, in bytes, may be cut: more than Ethernet's usual 1500 bytes of payload, header and tag.
pub const LARGE_ABOVE_BYTES: u32 = 1518;

/// Where a flow's next piece begins; or the identity of a datagram's piece.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Expected {
    /// Of the flow and the hook.
    pub flow: u64,
    /// The sequence number of the next piece's first byte.
    pub sequence: u32,
    /// When this was written, in units of 1024 ns of any clock, the lower 32 bits.
    pub written_us: u32,
}

/// The places that a piece can be expected at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Set(pub [Expected; WAYS]);

impl Set {
    /// The place where `segment` is expected.
    #[inline(always)]
    #[must_use]
    pub const fn place_of(&self, segment: &Segment) -> Option<usize> {
        let [a, b, c, d] = &self.0;
        if segment.follows(a) {
            Some(0)
        } else if segment.follows(b) {
            Some(1)
        } else if segment.follows(c) {
            Some(2)
        } else if segment.follows(d) {
            Some(3)
        } else {
            None
        }
    }

    /// The place that was written longest ago: most large packets end and leave an expectation that nothing meets any more.
    #[inline(always)]
    #[must_use]
    pub fn oldest(&self, now_us: u32) -> usize {
        let [a, b, c, d] = &self.0;
        let older = |(one, age): (usize, u32), (other, other_age): (usize, u32)| {
            if other_age > age { (other, other_age) } else { (one, age) }
        };
        let age = |place: &Expected| now_us.wrapping_sub(place.written_us);
        let first = older((0, age(a)), (1, age(b)));
        older(first, older((2, age(c)), (3, age(d)))).0
    }
}

/// A segment of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Of the flow and the hook.
    pub flow: u64,
    /// The sequence number of its first byte.
    pub sequence: u32,
    /// Its payload, in bytes.
    pub len_bytes: u32,
}

impl Segment {
    /// A datagram's piece: each is a flow of its own, which begins at 0.
    #[inline(always)]
    #[must_use]
    pub const fn datagram(identity: u64) -> Self {
        Self { flow: identity, sequence: 0, len_bytes: 1 }
    }

    /// Where the flow's next segment begins.
    #[inline(always)]
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.len_bytes)
    }

    /// Whether it is the piece that `expected` speaks of.
    #[inline(always)]
    #[must_use]
    pub const fn follows(&self, expected: &Expected) -> bool {
        self.len_bytes > 0 && self.flow == expected.flow && self.sequence == expected.sequence
    }
}

/// The set where the piece of `flow` that begins at `sequence` is expected, below [`SETS`]. Another one for each piece: where
/// a flow is handled on two CPUs in turn, the pieces of one large packet come between those of another.
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "the upper bits are meant")]
pub const fn set_of(flow: u64, sequence: u32) -> u32 {
    ((flow ^ sequence as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as u32 & (SETS - 1)
}

/// A flow at a hook, as one number. `addresses` are both ends', folded, and `ports` too.
#[inline(always)]
#[must_use]
pub const fn flow(addresses: u64, ports: u32, hook: u32) -> u64 {
    let mixed = (addresses ^ ((ports as u64) << 16) ^ hook as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

const _: () = assert!(size_of::<Set>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_flow_are_spread_over_the_sets() {
        let flow = flow(7, 8, 2);
        let sets: std::collections::HashSet<_> = (0..45).map(|n| set_of(flow, 1000 + n * 1448)).collect();
        assert!(sets.len() > 40, "{} sets", sets.len());
        assert!(sets.iter().all(|set| *set < SETS));
    }

    #[test]
    fn four_large_packets_can_be_expected_in_one_set_whatever_was_left_there() {
        let mut set = Set::default();
        // The clock wraps meanwhile.
        for (now_us, left) in (u32::MAX - 9..=u32::MAX).chain(0..10).zip(0..) {
            let way = set.oldest(now_us);
            set.0[way] = Expected { flow: 1, sequence: left, written_us: now_us };
        }
        for sequence in 16..20 {
            assert!(
                set.place_of(&Segment { flow: 1, sequence, len_bytes: 1 }).is_some(),
                "{sequence}: {set:?}"
            );
        }
        assert!(set.place_of(&Segment { flow: 1, sequence: 15, len_bytes: 1 }).is_none());
    }

    #[test]
    fn a_datagrams_piece_is_expected_once_for_each_time_that_it_was_noted() {
        let piece = Segment::datagram(77);
        let mut set = Set::default();
        assert_eq!(set.place_of(&piece), None, "an empty place expects nothing");
        set.0[2] = Expected { flow: piece.flow, sequence: piece.sequence, written_us: 1 };
        assert_eq!(set.place_of(&piece), Some(2));
        assert_eq!(set.place_of(&Segment::datagram(78)), None, "another identity");
        set.0[2] = Expected::default();
        assert_eq!(set.place_of(&piece), None);
    }

    #[test]
    fn pieces_follow_each_other_across_the_end_of_the_sequence_space() {
        let flow = flow(7, 8, 2);
        let first = Segment { flow, sequence: u32::MAX - 99, len_bytes: 1448 };
        let expected = Expected { flow, sequence: first.end(), written_us: 0 };
        let second = Segment { flow, sequence: 1348, len_bytes: 1448 };
        assert!(second.follows(&expected));
        assert!(!Segment { sequence: 1349, ..second }.follows(&expected), "a gap");
        assert!(!Segment { len_bytes: 0, ..second }.follows(&expected), "a bare acknowledgement");
        assert!(!Segment { flow: super::flow(7, 8, 3), ..second }.follows(&expected), "another hook");
    }
}
