//! What the eBPF build of the parser finds in a packet, for comparison with the host's.

use aya_ebpf::{
    bindings::{__sk_buff, tcx_action_base::TCX_NEXT},
    macros::{classifier, map},
    maps::Array,
    programs::TcContext,
};
use hoptrace_common::packet::ParseError;

use crate::{
    maps::scratch,
    reader::{Copied, Direct, SkbReader},
};

/// What a program found. As `Found` in `tracer/tests/identity`.
#[repr(C)]
struct Found {
    /// 0: nothing was written, 1: an identity, 2: foreign, 3: truncated, 4: malformed, 5: the reader failed.
    status: u64,
    identity: u64,
}

#[map]
static FOUND: Array<Found> = Array::with_max_entries(1, 0);

#[map]
static WORD: Array<u64> = Array::with_max_entries(1, 0);

/// As the programs at TC do: the usual shapes, read in place.
#[classifier]
#[inline(always)]
pub(crate) fn identity_usual(ctx: TcContext) -> i32 {
    let skb: *mut __sk_buff = ctx.skb.skb;
    let Some(word) = WORD.get_ptr_mut(0) else { return TCX_NEXT };
    // SAFETY: the context of the running program, and a map value.
    let direct = unsafe { Direct::new(skb, word) };
    find(&direct, word);
    TCX_NEXT
}

/// As the program that all hooks share does: every shape, read from a copy of the packet's head.
#[classifier]
#[inline(always)]
pub(crate) fn identity_thorough(ctx: TcContext) -> i32 {
    let Some(word) = WORD.get_ptr_mut(0) else { return TCX_NEXT };
    match Copied::new(ctx.skb.skb, word) {
        Some(copied) => find(&copied, word),
        None => tell(5, 0),
    }
    TCX_NEXT
}

#[inline(always)]
fn find<R: SkbReader>(reader: &R, word: *mut u64) {
    let Some(frame) = reader.frame() else { return tell(3, 0) };
    match reader.packet(&frame, word) {
        Ok(packet) => tell(1, packet.identity),
        Err(ParseError::Foreign) => tell(2, 0),
        Err(ParseError::Truncated) => tell(3, 0),
        Err(ParseError::Malformed) => tell(4, 0),
    }
}

#[inline(always)]
fn tell(status: u64, identity: u64) {
    if let Some(found) = FOUND.get_ptr_mut(0) {
        // SAFETY: a map value that one program at a time writes.
        unsafe { found.write(Found { status, identity }) };
    }
}

// `HEAD_BYTES` in `tracer/tests/identity`.
const _: () = assert!(scratch::LEN == 256);
