//! The identities of the packets that a larger one was merged from, or will be cut into.
//!
//! The kernel merges packets (GRO) that follow each other and agree in everything the identity covers but a few fields: IPv4's
//! IP-ID goes on by one, or stays as it is; TCP's sequence number goes on by the segments' payload, which is the same for
//! all but the last one; datagrams have each their own payload, of the same length but for the last one's. The merged packet
//! has the headers of the first, and their payloads one behind the other. So the identity of each of the others follows from
//! the merged packet alone, exactly. A packet that is segmented is cut by the same rule; there the IP-ID counts.

use super::{
    ETHERTYPE_IPV4, PROTOCOL_TCP, PROTOCOL_UDP, Packet, Reader, Window,
    deep::DEEP_LEN,
    identity::{self, Identity, position},
    ipv4,
    transport::{self, TCP_MIN_LEN, UDP_LEN},
};

/// How IPv4's IP-ID goes on from packet to packet. IPv6 has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpIds {
    /// One more in each.
    Counting,
    /// The same in all, as is allowed where fragmentation is forbidden.
    Fixed,
}

/// A packet that may consist of several: TCP segments, or datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// Where the payload begins, in bytes from the start of the Ethernet header.
    pub payload_offset: u32,
    /// 1 if it is made of datagrams, 0 if of TCP segments.
    datagrams: u32,
    /// What the identity was mixed from, but for the fields that differ from packet to packet.
    common: u64,
    /// The word with the IP-ID; 0 for IPv6.
    head: u64,
    /// The word with the sequence number.
    l4: u64,
}

impl Merged {
    /// `packet`, which `reader` shows, if it is TCP or UDP.
    #[inline(always)]
    pub fn of<R: Reader>(reader: &R, packet: &Packet) -> Option<Self> {
        let datagrams = packet.protocol == PROTOCOL_UDP;
        if (!datagrams && packet.protocol != PROTOCOL_TCP) || packet.fragment_tail != 0 {
            return None;
        }
        let head = if packet.ether_type == ETHERTYPE_IPV4 {
            ipv4::head_word(&reader.window(packet.l3_offset, ipv4::IPV4_MIN_LEN)?)
        } else {
            0
        };
        let sum = identity::without(identity::unmixed(packet.identity), position::HEAD, head);
        if datagrams {
            let payload_offset = packet.l4_offset + UDP_LEN;
            let body = Body::of(reader, payload_offset, packet.l3_end)?;
            let common = sum.wrapping_sub(body.sum(is_weak(head)));
            return Some(Self { payload_offset, datagrams: 1, common, head, l4: 0 });
        }
        let tcp = reader.window(packet.l4_offset, TCP_MIN_LEN)?;
        let l4 = tcp.u64(0);
        let payload_offset = packet.l4_offset + u32::from(tcp.u8(12) >> 4) * 4;
        let common = identity::without(sum, position::L4, l4);
        Some(Self { payload_offset, datagrams: 0, common, head, l4 })
    }

    /// As numbers, for [`Merged::from_numbers`].
    #[inline(always)]
    #[must_use]
    pub const fn numbers(self) -> [u64; 4] {
        let Self { payload_offset, datagrams, common, head, l4 } = self;
        [payload_offset as u64 | (datagrams as u64) << 32, common, head, l4]
    }

    /// What [`Merged::numbers`] gave.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "two numbers in one")]
    pub const fn from_numbers([place, common, head, l4]: [u64; 4]) -> Self {
        Self { payload_offset: place as u32, datagrams: (place >> 32) as u32, common, head, l4 }
    }

    /// Whether it is made of datagrams.
    #[inline(always)]
    #[must_use]
    pub const fn is_datagrams(&self) -> bool {
        self.datagrams != 0
    }

    /// The identity of TCP segment number `number`, the first being 0, which begins `offset_bytes` into the payload.
    #[inline(always)]
    #[must_use]
    pub const fn segment(&self, number: u32, offset_bytes: u32, ip_ids: IpIds) -> u64 {
        #[allow(clippy::cast_possible_truncation, reason = "the upper half is meant")]
        let sequence = ((self.l4 >> 32) as u32).swap_bytes().wrapping_add(offset_bytes).swap_bytes();
        let l4 = (self.l4 & 0xffff_ffff) | ((sequence as u64) << 32);
        identity::mixed(identity::with(self.head_of(number, ip_ids), position::L4, l4))
    }

    /// The identity of datagram number `number`, the first being 0, whose payload begins with `body`.
    #[inline(always)]
    #[must_use]
    pub const fn datagram(&self, number: u32, body: Body, ip_ids: IpIds) -> u64 {
        let head = self.head_word(number, ip_ids);
        let sum = identity::with(self.common, position::HEAD, head);
        identity::mixed(sum.wrapping_add(body.sum(is_weak(head))))
    }

    /// What is common to all, and the IP-ID of number `number`.
    #[inline(always)]
    const fn head_of(&self, number: u32, ip_ids: IpIds) -> u64 {
        identity::with(self.common, position::HEAD, self.head_word(number, ip_ids))
    }

    /// The word with the IP-ID of number `number`.
    #[inline(always)]
    const fn head_word(&self, number: u32, ip_ids: IpIds) -> u64 {
        let mut head = self.head;
        if self.head != 0 && matches!(ip_ids, IpIds::Counting) {
            #[allow(clippy::cast_possible_truncation, reason = "it wraps in sixteen bits")]
            let id = ((head >> ipv4::ID_SHIFT) as u16).swap_bytes().wrapping_add(number as u16).swap_bytes();
            head = (head & !(0xffff << ipv4::ID_SHIFT)) | ((id as u64) << ipv4::ID_SHIFT);
        }
        head
    }
}

/// Whether the header with this word tells packets from few others: it has no IP-ID, or that is 0.
#[inline(always)]
const fn is_weak(head: u64) -> bool {
    #[allow(clippy::cast_possible_truncation, reason = "sixteen bits are meant")]
    let id = (head >> ipv4::ID_SHIFT) as u16;
    id == 0
}

/// What of a datagram's payload makes up its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    /// Of its first bytes.
    short: u64,
    /// Of those behind them, for a header that tells the packet from few others.
    deep: u64,
}

impl Body {
    /// Bytes of payload that it is read from, where there are so many.
    pub const LEN: u32 = DEEP_LEN;
    /// Bytes before them that the reader has to have: what is read may begin there.
    pub const BEHIND: u32 = 2;

    /// As numbers, for [`Body::from_numbers`].
    #[inline(always)]
    #[must_use]
    pub const fn numbers(self) -> [u64; 2] {
        [self.short, self.deep]
    }

    /// What [`Body::numbers`] gave.
    #[inline(always)]
    #[must_use]
    pub const fn from_numbers([short, deep]: [u64; 2]) -> Self {
        Self { short, deep }
    }

    #[inline(always)]
    const fn sum(self, is_weak: bool) -> u64 {
        if is_weak { self.short.wrapping_add(self.deep) } else { self.short }
    }

    #[inline(always)]
    fn of<R: Reader>(reader: &R, start: u32, end: u32) -> Option<Self> {
        let (start, end) = (reader.opaque(start), reader.opaque(end));
        let mut body = Identity::new();
        transport::body(reader, start, end, &mut body).ok()?;
        Some(Self { short: body.sum(), deep: reader.deep_sum(start, end)? })
    }

    /// The first `len` bytes of a payload, [`Body::LEN`] at most, which `reader` shows behind [`Body::BEHIND`] others.
    #[inline(always)]
    pub fn read<R: Reader>(reader: &R, len: u32) -> Option<Self> {
        Self::of(reader, Self::BEHIND, Self::BEHIND + len)
    }
}
