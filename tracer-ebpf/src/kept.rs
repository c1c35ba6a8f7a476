//! What of a packet at a tracepoint waits in a room ([`crate::maps::room`]), from one function of its program to the next.

use hoptrace_common::{
    drops::{Device, Free, Meaning},
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
    pub(crate) l3_offset: u32,
    pub(crate) l4_offset: u32,
    pub(crate) ether_type: u16,
    pub(crate) protocol: u8,
    pub(crate) fragment_tail: u8,
    /// As in [`Free`].
    pub(crate) meaning: u8,
    pub(crate) socket: u8,
    /// As in [`Device`].
    pub(crate) flags: u16,
    pub(crate) live_after: u16,
    pub(crate) done_after: u16,
    pub(crate) entry: u8,
    pub(crate) direction: u8,
    /// Whether it is one of the VM's where no hook has seen it.
    pub(crate) early: u8,
    /// What [`freed_identified`] leaves for [`remembered`], where it is to be an example.
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

    /// The interface it was at.
    #[inline(always)]
    pub(crate) const fn device(&self) -> Device {
        Device {
            live_after: self.live_after,
            done_after: self.done_after,
            flags: self.flags,
            entry: self.entry,
            direction: self.direction,
        }
    }
}
