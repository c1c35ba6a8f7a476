//! Whether packets carry the right checksum when they reach the guest, which drops others without a word.
//!
//! A sample of them is looked at, in a program of its own behind the hook at the tap. `__sk_buff` does not say whether the
//! checksum is still to be computed, or is vouched for; the kernel's own `struct sk_buff` does, and that is what the context
//! of a TC program is.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_csum_diff, bpf_probe_read_kernel, bpf_skb_load_bytes},
    programs::RawTracePointContext,
};
use hoptrace_common::checksum::{Covered, covered, is_right};

use crate::{
    maps::{
        checksums::{self, PIECE, Room},
        counters, layout, room, scratch,
    },
    raw::RawSkb,
    reader::{Copied, SkbReader as _},
    skb::part_bytes,
};

/// Pieces that are summed up at most: a frame of 9,216 bytes.
const MAX_PIECES: u32 = 18;
/// `ip_summed`: the checksum was not looked at.
const CHECKSUM_NONE: u8 = 0;
/// The device has summed up the packet; the guest is not told.
const CHECKSUM_COMPLETE: u8 = 2;

/// A packet that has passed the hook at the tap of `port`.
#[inline(always)]
pub(crate) fn check(skb: *mut __sk_buff, port: u32) {
    let Some(room) = checksums::room() else { return };
    // SAFETY: a map value of this CPU.
    let word = unsafe { &raw mut (*room).word };
    if part_bytes(skb) != 0 || !is_for_the_guest_to_check(skb.cast(), word) {
        return;
    }
    let Some(copy) = Copied::new(skb, word) else { return };
    look(&copy, &Tc(skb), room, port);
}

/// The same at a tracepoint, of packets that are all in linear memory.
#[inline(always)]
pub(crate) fn check_at_tracepoint(ctx: &RawTracePointContext, port: u32) {
    let Some(room) = checksums::room() else { return };
    let owner = room::Owner::Hooks;
    let Some(head_room) = room::of(owner) else { return };
    // SAFETY: a map value of this CPU.
    let word = unsafe { &raw mut (*room).word };
    let Some(skb) = RawSkb::read(ctx.arg(0), head_room, owner as u32) else { return };
    if room::part_bytes(owner as u32) == 0 && is_for_the_guest_to_check(ctx.arg(0), word) {
        look(&skb.head, &Raw(skb), room, port);
    }
}

#[inline(always)]
fn look<B: Bytes>(copy: &Copied, bytes: &B, room: *mut Room, port: u32) {
    // SAFETY: a map value of this CPU.
    let word = unsafe { &raw mut (*room).word };
    let Some(frame) = copy.frame() else { return };
    let Ok(packet) = copy.packet(&frame, word) else { return };
    let Some(covered) = covered(copy, &packet) else { return };
    if let Some(sum) = sum(bytes, room, &covered) {
        checksums::count(counters::block(counters::cpu(), port), covered.place, is_right(sum));
    }
}

/// The bytes of a packet.
trait Bytes {
    /// Copies `len` bytes at `offset` to `target`, [`PIECE`] at most.
    ///
    /// # Safety
    /// `target` has room for them.
    unsafe fn load(&self, offset: u32, target: *mut u8, len: u32) -> bool;
    /// `sum` and the first `len` bytes of `piece`, whole words, in ones' complement.
    fn add(piece: *mut u8, len: u32, sum: u32) -> u32;
}

struct Tc(*mut __sk_buff);

impl Bytes for Tc {
    #[inline(always)]
    unsafe fn load(&self, offset: u32, target: *mut u8, len: u32) -> bool {
        // SAFETY: the caller's.
        unsafe { bpf_skb_load_bytes(self.0.cast(), offset, target.cast(), len) == 0 }
    }

    #[inline(always)]
    fn add(piece: *mut u8, len: u32, sum: u32) -> u32 {
        // SAFETY: the helper reads no more than the verifier has seen.
        unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, piece.cast(), len, sum) as u32 }
    }
}

struct Raw(RawSkb);

impl Bytes for Raw {
    #[inline(always)]
    unsafe fn load(&self, offset: u32, target: *mut u8, len: u32) -> bool {
        // SAFETY: the caller's.
        unsafe { self.0.load(offset, target, len) }
    }

    /// There is no `bpf_csum_diff` at tracepoints.
    #[inline(always)]
    fn add(_: *mut u8, len: u32, sum: u32) -> u32 {
        hop_sum(len, sum)
    }
}

/// `sum` and the first `len` bytes of the piece in the room, whole words, in ones' complement. A global function, so that the
/// verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_sum(len: u32, sum: u32) -> u32 {
    let Some(room) = checksums::room() else { return 0 };
    // SAFETY: a map value of this CPU, aligned to eight bytes.
    let piece: *const u32 = unsafe { (&raw const (*room).piece).cast() };
    let mut total = u64::from(sum);
    let mut word = 0;
    while word < PIECE / 4 {
        if word * 4 >= len {
            break;
        }
        // SAFETY: below the end of a piece.
        total += u64::from(unsafe { piece.add(word as usize).read_volatile() });
        word += 1;
    }
    let folded = (total & 0xffff_ffff) + (total >> 32);
    ((folded & 0xffff_ffff) + (folded >> 32)) as u32
}

/// Not one that is to be computed when the packet leaves for good, nor one that the guest is told to be right.
#[inline(always)]
fn is_for_the_guest_to_check(skb: *const c_void, word: *mut u64) -> bool {
    let place = layout::ip_summed();
    if place == 0 {
        return false;
    }
    // SAFETY: reads one byte to a map value of this CPU; the helper checks where from.
    let failed = unsafe {
        word.write_volatile(0);
        bpf_probe_read_kernel(word.cast(), 1, skb.wrapping_byte_add(place as usize))
    };
    // SAFETY: as above.
    let summed = (unsafe { word.read_volatile() } as u32 >> (layout::ip_summed_shift() & 7)) as u8 & 3;
    failed == 0 && matches!(summed, CHECKSUM_NONE | CHECKSUM_COMPLETE)
}

/// The sum of what is covered, and the pseudo-header.
#[inline(always)]
fn sum<B: Bytes>(bytes: &B, room: *mut Room, covered: &Covered) -> Option<u32> {
    // SAFETY: a map value of this CPU.
    let (piece, word): (*mut u8, *mut u64) =
        unsafe { ((&raw mut (*room).piece).cast(), &raw mut (*room).word) };
    let mut sum = covered.pseudo;
    let mut done = 0;
    let mut pieces = 0;
    while pieces < MAX_PIECES {
        pieces += 1;
        let left = covered.len.wrapping_sub(done);
        let len = if left < PIECE { left } else { PIECE };
        // Between 1 and a piece, in a way that every kernel's verifier sees.
        let len = (scratch::through(word, len.wrapping_sub(1)) & (PIECE - 1)) + 1;
        let whole = (len + 3) & !3;
        // SAFETY: inside the room: the last word, part of which the packet may not fill; then the packet's bytes; then a sum
        // over both.
        sum = unsafe {
            piece.add((whole - 4) as usize & 0x3fc).cast::<u32>().write_volatile(0);
            if !bytes.load(covered.start + done, piece, len) {
                return None;
            }
            B::add(piece, whole, sum)
        };
        done += len;
        if done == covered.len {
            return Some(sum);
        }
    }
    None
}
