//! Checksums of TCP, UDP and ICMP: what of a packet they cover, and whether they are right.
//!
//! Sums are taken over words as they lie in memory; a sum of ones' complement does not care for byte order.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    filter::addresses,
    packet::{
        ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, Packet,
        Reader, Window,
    },
};

/// Kinds of checksums that are told apart.
pub const PLACES: usize = 4;
/// Their protocols, by place.
pub const PROTOCOLS: [&str; PLACES] = ["TCP", "UDP", "ICMP", "ICMPv6"];

/// More fragments, and a fragment's offset, in the IPv4 header.
const FRAGMENT: u16 = 0x3fff;

/// What was found of packets that reached the guest, on one CPU, by place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ChecksumCounters {
    /// Packets whose checksum was looked at.
    pub checked: [u64; PLACES],
    /// Of those: it was not that of the packet.
    pub wrong: [u64; PLACES],
}

/// What a packet's checksum covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// Where the transport header starts.
    pub start: u32,
    /// From there, in bytes.
    pub len: u32,
    /// The sum of the pseudo-header.
    pub pseudo: u32,
    /// Its place in [`PROTOCOLS`].
    pub place: u32,
}

/// What the checksum of `packet` covers; `None` where there is none, or not all of what it covers is in this packet.
#[inline(always)]
pub fn covered<R: Reader>(reader: &R, packet: &Packet) -> Option<Covered> {
    match packet.ether_type {
        ETHERTYPE_IPV4 if reader.window(packet.l3_offset, 20)?.u16_be(6) & FRAGMENT == 0 => {}
        // Extension headers may stand for a fragment, or for another destination.
        ETHERTYPE_IPV6 if packet.l4_offset == packet.l3_offset + 40 => {}
        _ => return None,
    }
    let mut len = packet.l3_end.checked_sub(packet.l4_offset)?;
    let place = match packet.protocol {
        PROTOCOL_TCP => 0,
        PROTOCOL_UDP => {
            let header = reader.window(packet.l4_offset, 8)?;
            let own_len = u32::from(header.u16_be(4));
            // Without a checksum, or with a length that contradicts that of IP.
            if header.u16(6) == 0 || own_len < 8 || own_len > len {
                return None;
            }
            len = own_len;
            1
        }
        PROTOCOL_ICMP => 2,
        PROTOCOL_ICMPV6 => 3,
        _ => return None,
    };
    let stated_len = u16::try_from(len).ok().filter(|len| *len >= 4)?;
    let mut pseudo = 0;
    if packet.protocol != PROTOCOL_ICMP {
        let (source, destination) = addresses(reader, packet)?;
        let numbers = u32::from(stated_len.swap_bytes()) + u32::from(u16::from(packet.protocol).swap_bytes());
        let sum = halves(source[0]) + halves(source[1]) + halves(destination[0]) + halves(destination[1]);
        pseudo = fold64(sum + u64::from(numbers));
    }
    Some(Covered { start: packet.l4_offset, len, pseudo, place })
}

#[inline(always)]
const fn halves(word: u64) -> u64 {
    (word & 0xffff_ffff) + (word >> 32)
}

/// A sum of a few 32-bit words in 18 bits.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "three numbers of 16 bits fit")]
const fn fold64(sum: u64) -> u32 {
    let sum = halves(sum);
    ((sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32)) as u32
}

/// Whether `sum`, of all that is covered and the pseudo-header, says that the checksum is right.
#[inline(always)]
#[must_use]
pub const fn is_right(sum: u32) -> bool {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum == 0xffff
}

const _: () = assert!(size_of::<ChecksumCounters>() == 64);
