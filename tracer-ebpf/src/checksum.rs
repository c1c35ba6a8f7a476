//! Whether packets carry the right checksum when they reach the guest, which drops others without a word.
//!
//! A sample of them is looked at, in a program of its own behind the hook at the tap. `__sk_buff` does not say whether the
//! checksum is still to be computed, or is vouched for; the kernel's own `struct sk_buff` does, and that is what the context
//! of a TC program is.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_csum_diff, bpf_probe_read_kernel, bpf_skb_load_bytes},
};
use hoptrace_common::checksum::{Covered, covered, is_right};

use crate::{
    maps::{
        checksums::{self, PIECE, Room},
        counters, scratch, skb as layout,
    },
    reader::{Copied, SkbReader as _},
};

/// Pieces that are summed up at most: a frame of 9,216 bytes.
const MAX_PIECES: u32 = 18;
/// `ip_summed`: nobody has looked at the checksum.
const CHECKSUM_NONE: u8 = 0;
/// The device has summed up the packet; the guest is not told.
const CHECKSUM_COMPLETE: u8 = 2;

/// A packet that has passed the tap's hook.
#[inline(always)]
pub(crate) fn check(skb: *mut __sk_buff) {
    let Some(room) = checksums::room() else { return };
    // SAFETY: a map value of this CPU.
    let word = unsafe { &raw mut (*room).word };
    // SAFETY: the context of the running program.
    if unsafe { (*skb).gso_size } != 0 || !is_for_the_guest_to_check(skb, word) {
        return;
    }
    let Some(copy) = Copied::new(skb, word) else { return };
    let Some(frame) = copy.frame() else { return };
    let Ok(packet) = copy.packet(&frame, word) else { return };
    let Some(covered) = covered(&copy, &packet) else { return };
    if let Some(sum) = sum(skb, room, &covered) {
        checksums::count(counters::cpu(), covered.place, is_right(sum));
    }
}

/// Not one that is to be computed when the packet leaves for good, nor one that the guest is told to be right.
#[inline(always)]
fn is_for_the_guest_to_check(skb: *mut __sk_buff, word: *mut u64) -> bool {
    let place = layout::ip_summed();
    if place == 0 {
        return false;
    }
    // SAFETY: reads one byte to a map value of this CPU; the helper checks where from.
    let failed = unsafe {
        word.write_volatile(0);
        bpf_probe_read_kernel(word.cast(), 1, skb.cast::<u8>().wrapping_add(place as usize).cast())
    };
    // SAFETY: as above.
    let summed = (unsafe { word.read_volatile() } as u32 >> (layout::ip_summed_shift() & 7)) as u8 & 3;
    failed == 0 && matches!(summed, CHECKSUM_NONE | CHECKSUM_COMPLETE)
}

/// The sum of what is covered, and the pseudo-header.
#[inline(always)]
fn sum(skb: *mut __sk_buff, room: *mut Room, covered: &Covered) -> Option<u32> {
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
            if bpf_skb_load_bytes(skb.cast(), covered.start + done, piece.cast(), len) != 0 {
                return None;
            }
            bpf_csum_diff(core::ptr::null_mut(), 0, piece.cast(), whole, sum)
        } as u32;
        done += len;
        if done == covered.len {
            return Some(sum);
        }
    }
    None
}
