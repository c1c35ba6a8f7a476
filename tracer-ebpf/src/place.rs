//! Where heads of packets are copied to.

use hoptrace_common::{packet::Frame, ports::NUMBER_MASK};

use crate::maps::{counters, room, scratch};

/// A hook, and where the head of the packet was copied to that it sees, in one number: for functions that take nothing else.
#[derive(Clone, Copy)]
pub(crate) struct At(pub(crate) u32);

impl At {
    const PLACE_SHIFT: u32 = NUMBER_MASK.trailing_ones();

    /// At hook `number`, the head being in `place`: [`scratch::PLACE`] or what [`of_room`] gives.
    #[inline(always)]
    pub(crate) const fn new(number: u32, place: u32) -> Self {
        Self(number & NUMBER_MASK | place << Self::PLACE_SHIFT)
    }

    /// The hook's number.
    #[inline(always)]
    pub(crate) const fn number(self) -> u32 {
        self.0 & NUMBER_MASK
    }

    /// The place.
    #[inline(always)]
    pub(crate) const fn place(self) -> u32 {
        self.0 >> Self::PLACE_SHIFT
    }

    /// The frame whose head was copied last to the place, with its addresses alone.
    #[inline(always)]
    pub(crate) fn frame(self) -> Option<Frame> {
        /// The bytes of an address among eight.
        const MAC: u64 = 0xffff_ffff_ffff;
        let (head, _) = copy(self.place())?;
        // SAFETY: the buffer has room for more than an Ethernet header.
        let (destination, source) =
            unsafe { (head.cast::<u64>().read_unaligned(), head.add(6).cast::<u64>().read_unaligned()) };
        Some(Frame { destination: destination & MAC, source: source & MAC, ether_type: 0, l3_offset: 0 })
    }
}

/// The place in the room with this number.
#[inline(always)]
pub(crate) const fn of_room(number: u32) -> u32 {
    number + 1
}

/// The number of the room that `place` is in, which is not [`scratch::PLACE`].
#[inline(always)]
pub(crate) const fn room_of(place: u32) -> u32 {
    place - 1
}

/// The copy in `place`, and a scratch word beside it.
#[inline(always)]
pub(crate) fn copy(place: u32) -> Option<(*const u8, *mut u64)> {
    if place == scratch::PLACE {
        let counted = counters::of(counters::cpu(), 0)?;
        return Some((scratch::buffer()?, counted.scratch.as_mut_ptr()));
    }
    let room = room::numbered(room_of(place))?;
    // SAFETY: a map value of the running program and CPU.
    unsafe { Some(((&raw const (*room).packet).cast(), &raw mut (*room).word)) }
}
