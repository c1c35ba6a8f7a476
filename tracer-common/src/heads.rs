//! Heads of packets, kept before the switch decides about them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a frame that are kept: Ethernet, two VLAN tags, IPv6, and TCP with all its options.
pub const HEAD_BYTES: u32 = 128;
/// Heads that are kept at one time; a power of two.
pub const HEADS: u32 = 4096;

/// The head of a packet. Written without protection, key first and last: what is torn has another identity than its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Head {
    /// The packet's identity; 0: there is none here.
    pub key: u64,
    /// Length of the frame, in bytes.
    pub len_bytes: u32,
    /// The VLAN tag that is not in the frame, as in the frame; [`Head::TAGGED`] is set if there is one.
    pub vlan_tci: u16,
    /// How many of `bytes` are set.
    pub kept_bytes: u8,
    /// The hook that saw it.
    pub hook: u8,
    /// The frame from its Ethernet header on.
    pub bytes: [u8; HEAD_BYTES as usize],
}

impl Head {
    /// The bit of [`Head::vlan_tci`] that says that there is a tag; what it is in a frame (DEI) is of no interest here.
    pub const TAGGED: u16 = 1 << 12;

    /// Where the head of packet `key` is kept.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "some of the bits are meant")]
    pub const fn place_of(key: u64) -> u32 {
        // The low bits may be a port.
        (key >> 16) as u32 & (HEADS - 1)
    }
}

const _: () = assert!(size_of::<Head>() == 144);
