//! Pieces of large packets.

use core::mem::MaybeUninit;

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_skb_load_bytes};
use hoptrace_common::{
    packet::{ETHERTYPE_IPV4, PROTOCOL_TCP, PROTOCOL_UDP, Packet, Reader, Window as _},
    pieces::{Expected, LARGE_ABOVE_BYTES, Segment, WAYS, flow},
    ports::NUMBER_MASK,
};

use crate::{
    clock::now_ns,
    maps::pieces,
    skb::{len_bytes, part_bytes},
};

/// Bytes of a TCP header without options.
const TCP_LEN: usize = 20;

/// Whether the packet may be cut into pieces on its way, if it is one of those that can be merged ([`crate::merged::is_large`]).
#[inline(always)]
pub(crate) const fn is_large(frame_len: u32) -> bool {
    frame_len > LARGE_ABOVE_BYTES
}

/// Whether it is a datagram that is made of several: what its pieces are called is known at its first hook.
#[inline(always)]
pub(crate) fn is_of_datagrams(skb: *mut __sk_buff, protocol: u8) -> bool {
    protocol == PROTOCOL_UDP && part_bytes(skb) != 0
}

/// A large packet, or its first piece, came to `hook`: pieces may follow. Those of a datagram are expected since its first
/// hook ([`hop_expect`]).
#[inline(always)]
pub(crate) fn expect(skb: *mut __sk_buff, packet: &Packet, hook: u32) {
    if packet.protocol == PROTOCOL_TCP {
        piece(skb, packet.l3_offset | (packet.l4_offset << 16), packet.l3_end, hook | expect_flag(packet));
    }
}

/// Whether a packet that is new at `hook` is the piece that was expected there.
#[inline(always)]
pub(crate) fn is_expected(skb: *mut __sk_buff, packet: &Packet, hook: u32) -> bool {
    if packet.fragment_tail != 0 {
        return false;
    }
    if packet.protocol == PROTOCOL_UDP {
        return datagram(packet.identity) != 0;
    }
    packet.protocol == PROTOCOL_TCP
        && piece(skb, packet.l3_offset | (packet.l4_offset << 16), packet.l3_end, hook | ip_flag(packet)) != 0
}

/// The datagram `key` may come as a piece from now on. Gives 0. A global function, so that the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_expect(key: u64, written_us: u32) -> u32 {
    let piece = Segment::datagram(key);
    write(Expected { flow: piece.flow, sequence: piece.sequence, written_us });
    0
}

/// Gives 1 if the datagram `key` was expected as a piece: once, and no more then. A function of its own: few packets come here.
#[inline(never)]
fn datagram(key: u64) -> u32 {
    let piece = Segment::datagram(key);
    let Some(set) = pieces::of(piece.flow, piece.sequence) else { return 0 };
    // SAFETY: a map value; torn by another CPU it fits no piece, or a piece is taken for a packet that joined midway.
    let Some(number) = (unsafe { &*set }).place_of(&piece) else { return 0 };
    // SAFETY: likewise; the number of the place is below four.
    unsafe {
        let place: *mut Expected = (&raw mut (*set).0).cast();
        place.add(number & (WAYS - 1)).write_volatile(Expected::default());
    }
    1
}

const HOOK: u32 = NUMBER_MASK;
const IS_IPV4: u32 = 1 << 16;
const IS_FIRST: u32 = 1 << 17;

#[inline(always)]
const fn ip_flag(packet: &Packet) -> u32 {
    if packet.ether_type == ETHERTYPE_IPV4 { IS_IPV4 } else { 0 }
}

#[inline(always)]
const fn expect_flag(packet: &Packet) -> u32 {
    ip_flag(packet) | IS_FIRST
}

/// Looks at one segment; `terms` are the flags above. Gives 1 when it was expected, or is the first. A function of its
/// own: few packets come here.
#[inline(never)]
fn piece(skb: *mut __sk_buff, offsets: u32, l3_end: u32, terms: u32) -> u32 {
    let Some(segment) = read(skb, offsets & 0xffff, offsets >> 16, l3_end, terms) else { return 0 };
    u32::from(follow(&segment, terms & IS_FIRST != 0))
}

/// As [`expect`] and [`is_expected`], of a packet whose head `reader` has and whose frame is `frame_len` bytes long; the
/// former if `first`.
#[inline(always)]
pub(crate) fn is_expected_in<R: Reader>(
    reader: &R,
    packet: &Packet,
    frame_len: u32,
    hook: u32,
    first: bool,
) -> bool {
    if packet.protocol == PROTOCOL_UDP && packet.fragment_tail == 0 && !first {
        return datagram(packet.identity) != 0;
    }
    if packet.protocol != PROTOCOL_TCP || packet.fragment_tail != 0 {
        return false;
    }
    let Some(tcp) = reader.window(packet.l4_offset, TCP_LEN as u32) else { return false };
    let addresses = if packet.ether_type == ETHERTYPE_IPV4 {
        let Some(both) = reader.window(packet.l3_offset, 20) else { return false };
        [both.u64(12), 0, 0, 0]
    } else {
        let Some(both) = reader.window(packet.l3_offset, 40) else { return false };
        [both.u64(8), both.u64(16), both.u64(24), both.u64(32)]
    };
    let header = Header { ports: tcp.u32(0), sequence: tcp.u32_be(4), len: u32::from(tcp.u8(12) >> 4) * 4 };
    follow(&segment(&header, addresses, packet.l4_offset, packet.l3_end, frame_len, hook), first)
}

/// Whether the segment was expected, or is the first; then the next one is expected behind it.
#[inline(always)]
fn follow(segment: &Segment, first: bool) -> bool {
    if !first {
        let Some(set) = pieces::of(segment.flow, segment.sequence) else { return false };
        // SAFETY: a map value; torn by another CPU it fits no segment, or a piece is taken for a packet that joined midway.
        if unsafe { &*set }.place_of(segment).is_none() {
            return false;
        }
    }
    write(Expected { flow: segment.flow, sequence: segment.end(), written_us: now_us() })
}

/// The time, as [`Expected`] has it.
#[inline(always)]
pub(crate) fn now_us() -> u32 {
    (now_ns() >> 10) as u32
}

/// Puts it where the oldest one of its set is.
#[inline(always)]
fn write(expected: Expected) -> bool {
    let Some(set) = pieces::of(expected.flow, expected.sequence) else { return false };
    // SAFETY: a map value, which may be torn by another CPU; the number of the place is below four.
    unsafe {
        let place: *mut Expected = (&raw mut (*set).0).cast();
        let place = place.add((*set).oldest(expected.written_us) & (WAYS - 1));
        place.write_volatile(expected);
    }
    true
}

#[inline(always)]
fn read(skb: *mut __sk_buff, l3_offset: u32, l4_offset: u32, l3_end: u32, terms: u32) -> Option<Segment> {
    // Not filled with zeros by a function, which the verifier would follow byte by byte.
    let mut tcp = MaybeUninit::<[u8; TCP_LEN]>::uninit();
    let mut addresses = MaybeUninit::<[u64; 4]>::uninit();
    // SAFETY: both targets have room for what is read, and are filled.
    let (tcp, addresses) = unsafe {
        let rest: *mut u64 = addresses.as_mut_ptr().cast();
        rest.add(1).write_volatile(0);
        rest.add(2).write_volatile(0);
        rest.add(3).write_volatile(0);
        let (offset, len) = if terms & IS_IPV4 != 0 { (12, 8) } else { (8, 32) };
        let failed = bpf_skb_load_bytes(skb.cast(), l4_offset, tcp.as_mut_ptr().cast(), TCP_LEN as u32)
            | bpf_skb_load_bytes(skb.cast(), l3_offset + offset, addresses.as_mut_ptr().cast(), len);
        if failed != 0 {
            return None;
        }
        (tcp.assume_init(), addresses.assume_init())
    };
    let frame_len = len_bytes(skb);
    let header = Header {
        ports: u32::from_ne_bytes([tcp[0], tcp[1], tcp[2], tcp[3]]),
        sequence: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
        len: u32::from(tcp[12] >> 4) * 4,
    };
    Some(segment(&header, addresses, l4_offset, l3_end, frame_len, terms & HOOK))
}

/// What of a TCP header is needed: both ports as they are in memory, and its length in bytes.
struct Header {
    ports: u32,
    sequence: u32,
    len: u32,
}

#[inline(always)]
fn segment(
    header: &Header,
    addresses: [u64; 4],
    l4_offset: u32,
    l3_end: u32,
    frame_len: u32,
    hook: u32,
) -> Segment {
    // Where the length field of IP can not say it, the frame does.
    let end = if l3_end == u32::MAX { frame_len } else { l3_end };
    let [a, b, c, d] = addresses;
    Segment {
        flow: flow(a ^ b.rotate_left(16) ^ c.rotate_left(32) ^ d.rotate_left(48), header.ports, hook),
        sequence: header.sequence,
        len_bytes: end.wrapping_sub(l4_offset).wrapping_sub(header.len),
    }
}
