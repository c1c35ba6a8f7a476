//! Packets at tracepoints: the kernel's own `struct sk_buff`, of which only copies can be read.
//!
//! [`RawSkb::read`] copies the head of a packet, from its Ethernet header on, whatever layer `skb->data` points to at the
//! moment. Behind the linear part only the first piece in pages can be read, and that for the head alone. Programs at tracepoints must keep to memory of their own: see
//! [`crate::maps::room`].

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use hoptrace_common::heads::Head;

use crate::{
    kept::Kept,
    maps::{
        layout,
        memory::hop_pages,
        room::{Owner, Room},
        scratch,
    },
    place,
    probe::probe,
    reader::Copied,
};

/// `mac_header` of a packet that has no Ethernet header yet, or none any more.
const NOT_SET: u16 = u16::MAX;
const ETHERNET_LEN: u32 = 14;
/// EtherType in the Ethernet header.
const ETHER_TYPE: usize = 12;

/// A packet at a tracepoint.
#[derive(Clone, Copy)]
pub(crate) struct RawSkb {
    /// Reads its head: [`crate::reader::SkbReader::frame`] and `packet` give MAC addresses and identity. Without an
    /// Ethernet header it begins with an invented one, made of `skb->protocol`: both addresses read as 0.
    pub(crate) head: Copied,
    /// Length of the whole frame, in bytes, the Ethernet header included. What it is GSO may be larger than any frame.
    pub(crate) len_bytes: u32,
    /// How many bytes of it are linear; `head` has at most [`scratch::LEN`], of these and what follows.
    pub(crate) linear_bytes: u32,
    /// Where its frame begins in the kernel's memory; where the Ethernet header is an invented one, as if that stood there.
    pub(crate) start: u64,
    /// The VLAN tag beside the packet, with [`Head::TAGGED`]; 0: there is none.
    pub(crate) vlan_tci: u16,
}

impl RawSkb {
    /// Copies the head of `skb`, a tracepoint's argument, to `room`, which is that of the [`room::Owner`] with this number, the running program. `None`: it
    /// can not be read, or its headers are not where they should be.
    ///
    /// Where the headers begin: at `mac_header`, if it is set; else, or where it is the same as `network_header` (devices
    /// without Ethernet), at `network_header`.
    #[inline(always)]
    pub(crate) fn read(skb: *const c_void, room: *mut Room, owner: u32) -> Option<Self> {
        let fields = Fields::read(skb, room)?;
        let has_ethernet = fields.mac_header != NOT_SET && fields.mac_header != fields.network_header;
        let (header, skipped) =
            if has_ethernet { (fields.mac_header, 0) } else { (fields.network_header, ETHERNET_LEN) };
        let start = fields.head.wrapping_add(u64::from(header));
        // What `data` is further on was pulled, and still counts; what it is before, was pushed without telling.
        let pulled = fields.data.wrapping_sub(start) as u32;
        let linear = fields.len.wrapping_sub(fields.data_len).wrapping_add(pulled);
        // SAFETY: a map value.
        let (packet, word): (*mut u8, *mut u64) =
            unsafe { ((&raw mut (*room).packet).cast(), &raw mut (*room).word) };
        // With and without an Ethernet header the verifier follows the same way.
        let skipped = scratch::through(word, skipped);
        // No packet has headers that are longer; and the lengths of a broken one must not become large numbers.
        if linear == 0 || linear > i32::MAX as u32 {
            return None;
        }
        if !has_ethernet {
            // SAFETY: the buffer has room for them, and is aligned to eight bytes.
            unsafe {
                packet.cast::<u64>().write(0);
                packet.add(8).cast::<u32>().write(0);
                packet.add(ETHER_TYPE).cast::<u16>().write(fields.protocol_be);
            }
        }
        let room_for = scratch::LEN - ETHERNET_LEN;
        let last = if linear < room_for { linear - 1 } else { room_for - 1 };
        let len = scratch::bounded(word, last) as u32 + 1;
        // SAFETY: the buffer has room for `LEN` bytes and a window behind them; the helper checks what it reads.
        let result = unsafe {
            let target = packet.add(skipped as usize & 0xf);
            bpf_probe_read_kernel(target.cast(), len, start as *const c_void)
        };
        if result != 0 {
            return None;
        }
        // SAFETY: a map value.
        unsafe { (*room).shared = fields.head.wrapping_add(u64::from(fields.end)) };
        let mut head_bytes = scratch::through(word, len + skipped);
        // What the hook at TC could not leave to the wire hook's program, that shall not find.
        if fields.data_len != 0 && len == linear && owner != Owner::Wire as u32 {
            head_bytes = scratch::through(word, hop_pages(owner, head_bytes));
        }
        // SAFETY: the buffer of this program and CPU, and its word.
        let head = unsafe { Copied::of(packet, head_bytes, word) }.in_place(place::of_room(owner));
        let len_bytes = fields.len.wrapping_add(pulled).wrapping_add(skipped);
        let start = start.wrapping_sub(u64::from(skipped));
        let vlan_tci = fields.vlan_tci;
        Some(Self { head, len_bytes, linear_bytes: linear.wrapping_add(skipped), start, vlan_tci })
    }

    /// What of it can wait in memory: all but pointers, which the verifier would not know again.
    #[inline(always)]
    pub(crate) const fn kept(&self) -> Kept {
        Kept {
            start: self.start,
            len_bytes: self.len_bytes,
            linear_bytes: self.linear_bytes,
            head_bytes: self.head.len(),
            vlan_tci: self.vlan_tci,
        }
    }

    /// What was kept of the packet whose head is still in `room`, which has this number.
    #[inline(always)]
    pub(crate) fn again(kept: Kept, room: *mut Room, number: u32) -> Self {
        let Kept { start, len_bytes, linear_bytes, head_bytes, vlan_tci } = kept;
        // SAFETY: a map value; the buffer of this program and CPU, and its word.
        let head = unsafe {
            let (packet, word): (*mut u8, *mut u64) =
                ((&raw mut (*room).packet).cast(), &raw mut (*room).word);
            Copied::of(packet, head_bytes, word).in_place(place::of_room(number))
        };
        Self { head, len_bytes, linear_bytes, start, vlan_tci }
    }

    /// Copies `len` bytes at `offset` of the frame to `target`. `false`: they are not in linear memory, or can not be read.
    ///
    /// # Safety
    /// `target` has room for them.
    #[inline(always)]
    pub(crate) unsafe fn load(&self, offset: u32, target: *mut u8, len: u32) -> bool {
        if offset.wrapping_add(len) > self.linear_bytes {
            return false;
        }
        let from = self.start.wrapping_add(u64::from(offset)) as *const c_void;
        // SAFETY: the caller's; the helper checks what it reads.
        unsafe { bpf_probe_read_kernel(target.cast(), len, from) == 0 }
    }
}

/// What of `struct sk_buff` is needed.
struct Fields {
    len: u32,
    data_len: u32,
    protocol_be: u16,
    network_header: u16,
    mac_header: u16,
    head: u64,
    data: u64,
    end: u32,
    vlan_tci: u16,
}

impl Fields {
    #[inline(always)]
    fn read(skb: *const c_void, room: *mut Room) -> Option<Self> {
        // SAFETY: the block has room for `MAX_BLOCK` bytes, which the verifier compares with the constant length.
        let result = unsafe {
            let block: *mut c_void = (&raw mut (*room).block).cast();
            bpf_probe_read_kernel(block, layout::block_len(), skb.byte_add(layout::block() as usize))
        };
        if result != 0 {
            return None;
        }
        Some(Self {
            len: field(room, layout::len()),
            data_len: field(room, layout::data_len()),
            protocol_be: field(room, layout::protocol()),
            network_header: field(room, layout::network_header()),
            mac_header: field(room, layout::mac_header()),
            head: field(room, layout::head()),
            data: field(room, layout::data()),
            end: field(room, layout::end()),
            vlan_tci: vlan_tci(room),
        })
    }
}

/// The VLAN tag beside the packet, as [`RawSkb::vlan_tci`] has it.
#[inline(always)]
fn vlan_tci(room: *mut Room) -> u16 {
    let bit = layout::vlan_present_bit();
    let present = if bit == 0 {
        field::<u16>(room, layout::vlan_proto()) != 0
    } else {
        u32::from(field::<u8>(room, layout::vlan_present())) & bit != 0
    };
    if present { field::<u16>(room, layout::vlan_tci()) | Head::TAGGED } else { 0 }
}

/// The field at `offset` of the block.
#[inline(always)]
fn field<T: Copy>(room: *mut Room, offset: u32) -> T {
    // SAFETY: inside the block and aligned, because the block is; the loader checked that, and the verifier does.
    unsafe { (&raw const (*room).block).cast::<u8>().add(offset as usize).cast::<T>().read() }
}

/// Whether `skb` was received before: an `ifb` gives what traffic control had redirected to it back to the interface, and marks it.
#[inline(always)]
pub(crate) fn is_given_back(skb: *const c_void) -> bool {
    let bit = layout::skip_classify_bit();
    bit != 0 && u32::from(probe::<u8>(skb, layout::skip_classify())) & bit != 0
}
