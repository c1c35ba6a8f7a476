//! Large TCP packets that are cut into pieces on their way: software segmentation behind a hook, where the next
//! interface cannot take them whole.
//!
//! The first piece has the large packet's identity. The others follow it one by one, each beginning where the one before
//! ended: that is how they are told from packets that came by another way.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Pieces that can be expected at a time (a power of two).
pub const PLACES: u32 = 4096;
/// Frames longer than this, in bytes, may be cut: more than Ethernet's usual 1500 bytes of payload, header and tag.
pub const LARGE_ABOVE_BYTES: u32 = 1518;

/// Where a flow's next piece begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Expected {
    /// Of the flow and the hook.
    pub flow: u64,
    /// The sequence number of the next piece's first byte.
    pub sequence: u32,
    /// Zero.
    pub reserved: u32,
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

/// Where the piece of `flow` that begins at `sequence` is expected, below [`PLACES`]. A place of its own for each piece: where
/// a flow is handled on two CPUs in turn, the pieces of one large packet come between those of another.
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "the upper bits are meant")]
pub const fn place_of(flow: u64, sequence: u32) -> u32 {
    ((flow ^ sequence as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as u32 & (PLACES - 1)
}

/// A flow at a hook, as one number. `addresses` are both ends', folded, and `ports` too.
#[inline(always)]
#[must_use]
pub const fn flow(addresses: u64, ports: u32, hook: u32) -> u64 {
    let mixed = (addresses ^ ((ports as u64) << 16) ^ hook as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

const _: () = assert!(size_of::<Expected>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_large_packets_of_a_flow_are_expected_at_places_of_their_own() {
        let flow = flow(7, 8, 2);
        let places: std::collections::HashSet<_> = (0..45).map(|n| place_of(flow, 1000 + n * 1448)).collect();
        assert!(places.len() > 40, "{} places", places.len());
        assert!(places.iter().all(|place| *place < PLACES));
    }

    #[test]
    fn pieces_follow_each_other_across_the_end_of_the_sequence_space() {
        let flow = flow(7, 8, 2);
        let first = Segment { flow, sequence: u32::MAX - 99, len_bytes: 1448 };
        let expected = Expected { flow, sequence: first.end(), reserved: 0 };
        let second = Segment { flow, sequence: 1348, len_bytes: 1448 };
        assert!(second.follows(&expected));
        assert!(!Segment { sequence: 1349, ..second }.follows(&expected), "a gap");
        assert!(!Segment { len_bytes: 0, ..second }.follows(&expected), "a bare acknowledgement");
        assert!(!Segment { flow: super::flow(7, 8, 3), ..second }.follows(&expected), "another hook");
    }
}
