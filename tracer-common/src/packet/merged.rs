//! The identities of the packets that a larger one was merged from.
//!
//! The kernel merges TCP segments (GRO) that follow each other and agree in everything the identity covers but two fields:
//! the sequence number goes on by the segments' payload, which is the same for all but the last one, and IPv4's IP-ID goes
//! on by one, or stays as it is. The merged packet has the headers of the first. So the identity of each of the others
//! follows from the merged packet alone, exactly.

use super::{
    ETHERTYPE_IPV4, PROTOCOL_TCP, Packet, Reader, Window,
    identity::{self, position},
    ipv4,
};

/// How IPv4's IP-ID goes on from segment to segment. IPv6 has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpIds {
    /// One more in each.
    Counting,
    /// The same in all, as is allowed where fragmentation is forbidden.
    Fixed,
}

/// A TCP packet that may consist of several segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// What the identity was mixed from.
    sum: u64,
    /// The word with the IP-ID; 0 for IPv6.
    head: u64,
    /// The word with the sequence number.
    l4: u64,
}

impl Merged {
    /// `packet`, which `reader` shows, if it is TCP.
    #[inline(always)]
    pub fn of<R: Reader>(reader: &R, packet: &Packet) -> Option<Self> {
        if packet.protocol != PROTOCOL_TCP || packet.fragment_tail != 0 {
            return None;
        }
        let head = if packet.ether_type == ETHERTYPE_IPV4 {
            ipv4::head_word(&reader.window(packet.l3_offset, ipv4::IPV4_MIN_LEN)?)
        } else {
            0
        };
        let l4 = reader.window(packet.l4_offset, 8)?.u64(0);
        Some(Self { sum: identity::unmixed(packet.identity), head, l4 })
    }

    /// Whether its segments could have IP-IDs that count.
    #[inline(always)]
    #[must_use]
    pub const fn has_ip_ids(&self) -> bool {
        self.head != 0
    }

    /// The identity of segment number `number`, the first being 0, which begins `offset_bytes` into the payload.
    #[inline(always)]
    #[must_use]
    pub const fn segment(&self, number: u32, offset_bytes: u32, ip_ids: IpIds) -> u64 {
        let mut sum = self.sum;
        if self.has_ip_ids() && matches!(ip_ids, IpIds::Counting) {
            #[allow(clippy::cast_possible_truncation, reason = "it wraps in sixteen bits")]
            let id =
                ((self.head >> ipv4::ID_SHIFT) as u16).swap_bytes().wrapping_add(number as u16).swap_bytes();
            let head = (self.head & !(0xffff << ipv4::ID_SHIFT)) | ((id as u64) << ipv4::ID_SHIFT);
            sum = identity::replaced(sum, position::HEAD, self.head, head);
        }
        #[allow(clippy::cast_possible_truncation, reason = "the upper half is meant")]
        let sequence = ((self.l4 >> 32) as u32).swap_bytes().wrapping_add(offset_bytes).swap_bytes();
        let l4 = (self.l4 & 0xffff_ffff) | ((sequence as u64) << 32);
        identity::mixed(identity::replaced(sum, position::L4, self.l4, l4))
    }
}
