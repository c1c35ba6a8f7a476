//! What of a packet at a tracepoint waits in a room ([`crate::maps::room`]), from one function of its program to the next.

use hoptrace_common::{
    drops::{Free, Meaning},
    packet::Packet,
};

/// What of a packet at a tracepoint can wait: all but pointers, which the verifier would not know again. As in
/// [`RawSkb`](crate::raw::RawSkb).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Kept {
    pub(crate) start: u64,
    pub(crate) len_bytes: u32,
    pub(crate) linear_bytes: u32,
    pub(crate) head_bytes: u32,
    pub(crate) vlan_tci: u16,
}

/// What is known of a packet once it is identified.
#[repr(C)]
pub(crate) struct Sighted {
    pub(crate) skb: Kept,
    pub(crate) packet: Packet,
    /// Beside the path: where.
    pub(crate) port: u64,
    /// A constant of [`crate::neighbour`].
    pub(crate) sight: u32,
    /// 1 if it may have a slot.
    pub(crate) admissible: u32,
}

/// What is known of a packet that is freed.
#[repr(C)]
pub(crate) struct Freed {
    pub(crate) len_bytes: u32,
    pub(crate) readable_bytes: u32,
    /// Bytes of it that were copied to the room.
    pub(crate) head_bytes: u32,
    /// The interface it was at; 0: none.
    pub(crate) ifindex: u32,
    pub(crate) l3_offset: u32,
    pub(crate) l4_offset: u32,
    pub(crate) ether_type: u16,
    pub(crate) protocol: u8,
    pub(crate) fragment_tail: u8,
    /// As in [`Free`].
    pub(crate) meaning: u8,
    pub(crate) socket: u8,
    /// What [`freed_on_path`](crate::freed::freed_on_path) leaves for [`remembered`](crate::freed::remembered), where it is to be an example.
    pub(crate) example: What,
}

/// What an example is one of.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct What {
    /// The site's index.
    pub(crate) site: u32,
    pub(crate) state: u16,
    pub(crate) direction: u8,
    /// The hook that saw it last, or would have been the first.
    pub(crate) hook: u8,
    pub(crate) now_ns: u64,
}

impl What {
    pub(crate) const NOTHING: Self = Self { site: 0, state: 0, direction: 0, hook: 0, now_ns: 0 };
}

impl Freed {
    /// What the kernel told of it.
    #[inline(always)]
    pub(crate) const fn free(&self) -> Free {
        Free { meaning: Meaning(self.meaning), socket: self.socket != 0 }
    }

    /// The packet as far as that is known, with this identity.
    #[inline(always)]
    pub(crate) const fn packet(&self, identity: u64) -> Packet {
        Packet {
            identity,
            ether_type: self.ether_type,
            protocol: self.protocol,
            fragment_tail: self.fragment_tail,
            l3_offset: self.l3_offset,
            l4_offset: self.l4_offset,
            l3_end: 0,
        }
    }
}
