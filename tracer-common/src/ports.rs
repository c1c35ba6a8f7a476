//! Several ports in one trace.
//!
//! A hook's number is a *place on a path* ([`MAX_HOOKS`]) and, above it, the port whose path that is. What a trace of one port has as
//! constants, one of several has per port, in memory that user space changes while programs run: so ports come and go without new programs.
//! A packet's identity has the port in its low bits, because a packet from one traced VM to another has two ways at a time; and
//! whoever holds a slot of the in-flight table is told that way.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::config::MAX_HOOKS;

/// Ports of one trace at most.
pub const MAX_PORTS: usize = 1 << PORT_BITS;
const PORT_BITS: u32 = 10;
/// Where the port begins in a hook's number.
pub const PORT_SHIFT: u32 = MAX_HOOKS.trailing_zeros();
/// Bits of a hook's number that are its place.
const PLACE_MASK: u32 = (1 << PORT_SHIFT) - 1;
/// Bits of a hook's number.
pub const NUMBER_MASK: u32 = (1 << (PORT_SHIFT + PORT_BITS)) - 1;
/// Bits of an identity that are the port.
const PORT_MASK: u64 = (1 << PORT_BITS) - 1;

/// The number of the hook at `place` on the path of `port`.
#[inline(always)]
#[must_use]
pub const fn number_of(port: u32, place: u32) -> u32 {
    port << PORT_SHIFT | place & PLACE_MASK
}

/// The port that the hook with this number is one of.
#[inline(always)]
#[must_use]
pub const fn port_of(number: u32) -> u32 {
    (number & NUMBER_MASK) >> PORT_SHIFT
}

/// The place on its port's path of the hook with this number.
#[inline(always)]
#[must_use]
pub const fn place_of(number: u32) -> u32 {
    number & PLACE_MASK
}

/// An identity as one of a packet on the path of `port`.
#[inline(always)]
#[must_use]
pub const fn key_at(identity: u64, port: u32) -> u64 {
    identity & !PORT_MASK | port as u64 & PORT_MASK
}

/// The port on whose path the packet is that [`key_at`] gave this key.
#[inline(always)]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "ten bits")]
pub const fn port_of_key(key: u64) -> u32 {
    (key & PORT_MASK) as u32
}

/// Interfaces that paths share, at most: NICs, and whatever else packets of several ports come by.
pub const MAX_SHARED: usize = 16;

/// What holds for one port: in a trace of one port these are constants ([`crate::config::TraceConfig`] and others).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct PortConfig {
    /// As [`crate::config::TraceConfig::mac`].
    pub mac: u64,
    /// As [`crate::config::TraceConfig::ipv4`].
    pub ipv4: [u32; 4],
    /// As [`crate::config::TraceConfig::guest_segment`]: counted from the port's first segment.
    pub guest_segment: u16,
    /// As [`crate::config::TraceConfig::neighbour_entries`].
    pub neighbour_entries: u16,
    /// As [`crate::config::TraceConfig::entries`].
    pub entries: [u8; 2],
    /// As [`crate::config::TraceConfig::beside`]; [`PortConfig::NO_HOOK`]: there is none.
    pub beside: [u8; 2],
    /// The hooks at the switch, as the probe of answers has them.
    pub at_switch: u32,
    /// As [`crate::upcalls::UpcallConfig::after`].
    pub upcalled_after: u32,
    /// As [`crate::drops::DropConfig::nowhere_after`].
    pub nowhere_after: u32,
    /// Zero.
    pub reserved: u32,
    /// The places of its hooks at interfaces that paths share, by the interface's number ([`Whose::shared`]) and the side
    /// ([`Whose::INGRESS`] and its siblings); [`PortConfig::NO_HOOK`]: there is none.
    pub shared: [[u8; 4]; MAX_SHARED],
}

impl PortConfig {
    /// No hook.
    pub const NO_HOOK: u8 = u8::MAX;
}

/// Whose an interface is that packets of traced ports come by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Whose {
    /// The port whose own it is, or [`Whose::SHARED`].
    pub port: u32,
    /// The places of the port's hooks here, by side; [`PortConfig::NO_HOOK`]: there is none. Where it is shared: the first is its
    /// number ([`Whose::shared`]), the second 1 if what comes in here is on its way out.
    pub sides: [u8; 4],
}

impl Whose {
    /// It is not one port's alone: whose a packet is tell its addresses.
    pub const SHARED: u32 = u32::MAX;
    /// Sides of an interface: what it receives, at traffic control or its tracepoint.
    pub const INGRESS: usize = 0;
    /// What it sends, likewise.
    pub const EGRESS: usize = 1;
    /// What it receives, at XDP.
    pub const XDP: usize = 2;
    /// What it sends, where the driver takes it over.
    pub const WIRE: usize = 3;

    /// The number of a shared interface, below [`MAX_SHARED`]; [`PortConfig::NO_HOOK`]: no hook is there, but packets can die.
    #[must_use]
    pub const fn shared(self) -> u8 {
        self.sides[0]
    }

    /// Whether packets that a shared interface receives are on their way out.
    #[must_use]
    pub const fn receives_egress(self) -> bool {
        self.sides[1] != 0
    }
}

/// Words of the bits that tell at a glance what is no traced port's: [`mac_bit`], [`own_bit`], [`target_bit`].
pub const GLANCE_WORDS: usize = 1 << 10;

/// The word and the bit in it that stand for a MAC address. Where it is not set no traced port has the address; others can have the same.
#[inline(always)]
#[must_use]
pub const fn mac_bit(mac: u64) -> (usize, u64) {
    let spread = mac.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    ((spread >> 6) as usize & (GLANCE_WORDS - 1), 1 << (spread & 63))
}

/// Likewise for an IPv4 address, its bytes read as a little-endian number.
#[inline(always)]
#[must_use]
pub const fn target_bit(address: u32) -> (usize, u64) {
    mac_bit(address as u64)
}

/// Likewise for an interface with this index that is one traced port's own.
#[inline(always)]
#[must_use]
pub const fn own_bit(ifindex: u32) -> (usize, u64) {
    ((ifindex >> 6) as usize & (GLANCE_WORDS - 1), 1 << (ifindex & 63))
}

/// Where the map of interfaces at which packets can die has one: by its index, and the port for whose packets that is said. In a trace of one
/// port that is port 0.
#[inline(always)]
#[must_use]
pub const fn device_key(ifindex: u32, port: u32) -> u64 {
    ifindex as u64 | (port as u64) << 32
}

const _: () = assert!(size_of::<PortConfig>() == 8 + 16 + 8 + 16 + 4 * MAX_SHARED);
const _: () = assert!(size_of::<Whose>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_port_and_a_place() {
        for (port, place) in [(0, 0), (0, 15), (1, 3), (1023, 15)] {
            let number = number_of(port, place);
            assert_eq!((port_of(number), place_of(number)), (port, place));
            assert!(number <= NUMBER_MASK);
        }
    }

    #[test]
    fn a_key_tells_its_port_and_differs_from_that_at_another() {
        let identity = 0x1234_5678_9abc_def0;
        assert_eq!(port_of_key(key_at(identity, 1023)), 1023);
        assert_ne!(key_at(identity, 1), key_at(identity, 2));
        // What the high bits decide, the sample and the checks of checksums, is the same at both.
        assert_eq!(key_at(identity, 1) >> 10, identity >> 10);
    }
}
