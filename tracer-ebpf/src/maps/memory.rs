//! What of a packet is in pages, read by the addresses that these have in the kernel.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_probe_read_kernel, macros::map, maps::Array};
use hoptrace_common::skb::Memory;

use super::{
    layout,
    room::{self, Room},
    scratch,
};
use crate::probe::probe;

/// User space fills it before programs are attached, if it knows.
#[map]
static MEMORY: Array<Memory> = Array::with_max_entries(1, 0);

/// A page is 4 KiB.
const PAGE_SHIFT: u32 = 12;
/// Bytes that are read at once: as many as the buffer has room for behind every offset.
const PIECE: u32 = 64;
/// Pieces at most: the whole buffer.
const PIECES: u32 = scratch::LEN / PIECE;
/// Not a page, in `skb_frag_t`.
const NO_PAGE: u64 = 1;

/// Copies what follows the linear part of a packet, which was read to the room with this number, to there: behind the `len` bytes that
/// there are. Gives how many there are then. A global function: the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_pages(number: u32, len: u32) -> u32 {
    let Some(room) = room::numbered(number) else { return len };
    let Some((start, bytes)) = first_piece(room) else { return len };
    // SAFETY: a map value of the running program and CPU.
    let (packet, word): (*mut u8, *mut u64) =
        unsafe { ((&raw mut (*room).packet).cast(), &raw mut (*room).word) };
    let mut done = 0;
    let mut pieces = 0;
    while pieces < PIECES {
        pieces += 1;
        let at = scratch::through(word, len + done);
        let left = scratch::through(word, bytes.wrapping_sub(done));
        if at >= scratch::LEN || left == 0 || left > bytes {
            break;
        }
        let last = if left < PIECE { left - 1 } else { PIECE - 1 };
        let count = (scratch::through(word, last) & (PIECE - 1)) + 1;
        // SAFETY: the buffer has room for a piece behind every bounded offset; the helper checks what it reads.
        let result = unsafe {
            let target = packet.add(scratch::bounded(word, at));
            bpf_probe_read_kernel(target.cast(), count, start.wrapping_add(u64::from(done)) as *const c_void)
        };
        if result != 0 {
            break;
        }
        done += count;
    }
    let all = len + done;
    if all < scratch::LEN { all } else { scratch::LEN }
}

/// Where the first of the pieces is that the packet has in pages, and its length in bytes.
#[inline(always)]
fn first_piece(room: *mut Room) -> Option<(u64, u32)> {
    let memory = MEMORY.get_ptr(0)?;
    // SAFETY: a map value.
    let (page_offset, vmemmap, shared) =
        unsafe { ((*memory).page_offset_base, (*memory).vmemmap_base, (*room).shared) };
    if page_offset == 0 {
        return None;
    }
    let shared = shared as *const c_void;
    if probe::<u8>(shared, layout::nr_frags()) == 0 {
        return None;
    }
    let page: u64 = probe(shared, layout::frags());
    let bytes: u32 = probe(shared, layout::frags() + 8);
    let offset: u32 = probe(shared, layout::frags() + 12);
    if page & NO_PAGE != 0 {
        return None;
    }
    let first = probe::<u64>(vmemmap as *const c_void, 0);
    let mapped = probe::<u64>(page_offset as *const c_void, 0);
    // Checked: a panic would be a function without an end.
    let number = page.wrapping_sub(first).checked_div(u64::from(layout::page_bytes()))?;
    Some((mapped.wrapping_add(number << PAGE_SHIFT).wrapping_add(u64::from(offset)), bytes))
}
