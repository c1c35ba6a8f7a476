//! Packets that became part of another one before a hook saw that (GRO), and datagrams that will be cut into pieces.
//!
//! The identities of the packets that a larger one was made of follow from its headers, its parts' size and, of datagrams,
//! the first bytes of each ([`hoptrace_common::packet::Merged`]). So each of them can be looked up, and counts as merged at
//! the hook that sees the larger one: exactly those, and no other that may be lost nearby. A datagram's pieces have the
//! same identities, should it be cut behind the hook: they are noted, to be known when they come.

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_skb_load_bytes, programs::RawTracePointContext};
use hoptrace_common::{
    config::HookConfig,
    counters::HookCounters,
    inflight::{Kind, merge},
    packet::{Body, IpIds, Merged, PROTOCOL_TCP, PROTOCOL_UDP, Reader as _},
    ports::NUMBER_MASK,
};

use crate::{
    maps::{
        config, counters,
        hooks::{self, HookFacts},
        inflight::Inflight,
        rare::{self, Note},
        room, scratch,
    },
    pieces,
    raw::RawSkb,
    reader::{Copied, SkbReader as _},
    skb,
};

/// Parts that one run of the program looks up; for more it calls itself, 33 times at most.
const AT_ONCE: u32 = 32;

/// Whether packets of this protocol can be merged, and cut.
#[inline(always)]
const fn can_be(protocol: u8) -> bool {
    // Without a branch for each, all of which the verifier would follow.
    (protocol == PROTOCOL_TCP) | (protocol == PROTOCOL_UDP)
}

/// Whether a packet of this protocol, whose frame is `frame_len` bytes long, may be cut into pieces on its way.
#[inline(always)]
pub(crate) const fn is_large(protocol: u8, frame_len: u32) -> bool {
    can_be(protocol) & pieces::is_large(frame_len)
}

/// Whether other packets may be part of this one, which can be merged, because the interface merges what it receives.
#[inline(always)]
pub(crate) fn is_possible(hook: HookFacts, skb: *mut __sk_buff) -> bool {
    hook.has(HookConfig::MERGES) && skb::part_bytes(skb) != 0
}

/// As [`is_possible`], for the program that knows all rules, of a packet with parts of `part_bytes`: also where it has `grown`,
/// or its pieces are to be noted. A global function, so that the verifier looks at it once.
#[inline(always)]
pub(crate) fn has_parts(number: u32, protocol: u8, part_bytes: u32, outcome: u32) -> bool {
    hop_has_parts(number | u32::from(protocol) << 16, part_bytes, outcome) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_has_parts(hook: u32, part_bytes: u32, outcome: u32) -> u32 {
    let protocol = (hook >> 16) as u8;
    if part_bytes == 0 || !can_be(protocol) {
        return 0;
    }
    let grown = outcome >> 8 != 0;
    let noted = outcome & 0xff == Kind::New as u32 && protocol == PROTOCOL_UDP;
    u32::from(grown || noted || hooks::hook(hook & NUMBER_MASK).has(HookConfig::MERGES))
}

/// Whether it is worth to ask what a packet at a tracepoint is made of: see [`has_parts`].
#[inline(always)]
pub(crate) fn may_have_parts(number: u32, protocol: u8, outcome: u32) -> bool {
    // Of whatever size the parts may be.
    has_parts(number, protocol, 1, outcome)
}

/// The program that follows them.
#[inline(always)]
pub(crate) fn merged(skb: *mut __sk_buff) {
    let Some(note) = rare::note() else { return };
    let Some(counted) = counters::of(counters::cpu(), note.hook & NUMBER_MASK) else { return };
    let Some(copy) = Copied::new(skb, counted.scratch.as_mut_ptr()) else { return };
    if parts(&copy, &Tc(skb), note) {
        rare::call(skb, rare::MERGED);
    }
}

/// The same of a packet at a tracepoint.
#[inline(always)]
pub(crate) fn merged_at_tracepoint(ctx: &RawTracePointContext) {
    let Some(note) = rare::note() else { return };
    let Some(counted) = counters::of(counters::cpu(), note.hook & NUMBER_MASK) else { return };
    let owner = room::Owner::Hooks;
    let Some(room) = room::of(owner) else { return };
    let Some(skb) = RawSkb::read(ctx.arg(0), room, owner as u32) else { return };
    let part_bytes = room::part_bytes(owner as u32);
    if parts(&skb.head, &Raw { skb, part_bytes, word: counted.scratch.as_mut_ptr() }, note) {
        rare::call_seen(ctx, rare::PARTS);
    }
}

/// A packet that consists of others.
trait Whole {
    /// Length of the frame, in bytes.
    fn len_bytes(&self) -> u32;
    /// Payload of each part but the last one, in bytes: a number that the verifier knows nothing of.
    fn part_bytes(&self) -> u32;
    /// Copies `len` bytes at `offset` to `target`, [`Body::LEN`] at most.
    ///
    /// # Safety
    /// `target` has room for them.
    unsafe fn load(&self, offset: u32, target: *mut u8, len: u32) -> bool;
}

struct Tc(*mut __sk_buff);

impl Whole for Tc {
    #[inline(always)]
    fn len_bytes(&self) -> u32 {
        skb::len_bytes(self.0)
    }

    #[inline(always)]
    fn part_bytes(&self) -> u32 {
        skb::part_bytes(self.0)
    }

    #[inline(always)]
    unsafe fn load(&self, offset: u32, target: *mut u8, len: u32) -> bool {
        // SAFETY: the caller's.
        unsafe { bpf_skb_load_bytes(self.0.cast(), offset, target.cast(), len) == 0 }
    }
}

struct Raw {
    skb: RawSkb,
    part_bytes: u32,
    word: *mut u64,
}

impl Whole for Raw {
    #[inline(always)]
    fn len_bytes(&self) -> u32 {
        self.skb.len_bytes
    }

    #[inline(always)]
    fn part_bytes(&self) -> u32 {
        scratch::through(self.word, self.part_bytes)
    }

    #[inline(always)]
    unsafe fn load(&self, offset: u32, target: *mut u8, len: u32) -> bool {
        // SAFETY: the caller's.
        unsafe { self.skb.load(offset, target, len) }
    }
}

/// Looks up the next parts of `whole`, whose head is `copy`. `true`: there are more, and a note about them.
#[inline(always)]
fn parts<W: Whole>(copy: &Copied, whole: &W, note: Note) -> bool {
    let number = note.hook & NUMBER_MASK;
    let Some(counted) = counters::of(counters::cpu(), number) else { return false };
    let word = counted.scratch.as_mut_ptr();
    let Some(frame) = copy.frame() else { return false };
    let Ok(packet) = copy.packet(&frame, word) else { return false };
    let Some(merged) = Merged::of(copy, &packet) else { return false };
    let end = if packet.l3_end == u32::MAX { whole.len_bytes() } else { packet.l3_end };
    let payload_bytes = end.wrapping_sub(merged.payload_offset);
    if whole.part_bytes() == 0 || payload_bytes > whole.len_bytes() {
        return false;
    }
    // The first segment is the packet itself; so is the first datagram, unless more than its own bytes are part of the identity.
    let first = u32::from(!merged.is_datagrams());
    let mut part = if note.next() < first { first } else { note.next() };
    let parts = Parts {
        merged,
        identity: packet.identity,
        payload_bytes,
        part_bytes: whole.part_bytes(),
        written_us: pieces::now_us(),
    };
    parts.leave(counted);
    let mut looked = 0;
    while looked < AT_ONCE {
        looked += 1;
        // What the verifier knows of it from the last turn is of no use to it, and makes each turn another one.
        part = copy.opaque(part);
        let place = hop_part_place(number, part);
        if place == 0 {
            return false;
        }
        if place & LOADED != 0 && !load(whole, copy, place as u32, ((place & !LOADED) >> 32) as u32) {
            return false;
        }
        hop_part(number, part);
        part = part.wrapping_add(1);
    }
    rare::leave(Note::merged(number, part));
    true
}

/// What is known of a packet that consists of others, and of them.
struct Parts {
    merged: Merged,
    identity: u64,
    payload_bytes: u32,
    /// As [`Whole::part_bytes`].
    part_bytes: u32,
    /// When the packet came, as [`pieces::now_us`] says it.
    written_us: u32,
}

impl Parts {
    /// Leaves it in the scratch memory: what the verifier knows of it by how the headers were read ends there, and it follows what
    /// is done with each part once.
    #[inline(always)]
    fn leave(self, counted: &mut HookCounters) {
        let [_, place, common, head, l4, identity, lengths, written_us] = &mut counted.scratch;
        [*place, *common, *head, *l4] = self.merged.numbers();
        *identity = self.identity;
        *lengths = u64::from(self.payload_bytes) | u64::from(self.part_bytes) << 32;
        *written_us = u64::from(self.written_us);
    }

    #[inline(always)]
    fn of(counted: &HookCounters) -> Self {
        let [_, place, common, head, l4, identity, lengths, written_us] = counted.scratch;
        Self {
            merged: Merged::from_numbers([place, common, head, l4]),
            identity,
            payload_bytes: lengths as u32,
            part_bytes: (lengths >> 32) as u32,
            written_us: written_us as u32,
        }
    }

    /// Where the payload of number `part` begins in the whole one, and how long it is, in bytes. `None`: there is no such part.
    #[inline(always)]
    fn place(&self, part: u32) -> Option<(u32, u32)> {
        let offset_bytes = part.wrapping_mul(self.part_bytes);
        if offset_bytes >= self.payload_bytes {
            return None;
        }
        let left_bytes = self.payload_bytes - offset_bytes;
        Some((offset_bytes, if left_bytes < self.part_bytes { left_bytes } else { self.part_bytes }))
    }
}

/// Of what [`hop_part_place`] gives: the payload has to be loaded.
const LOADED: u64 = 1 << 63;

/// Where number `part` of the packet at hook `number` begins in the frame, and above that its length, with [`LOADED`]; 0: there is none.
/// A global function, so that the verifier looks at it once; so are those that follow.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_part_place(number: u32, part: u32) -> u64 {
    let Some(counted) = counters::of(counters::cpu(), number) else { return 0 };
    let parts = Parts::of(counted);
    let Some((offset_bytes, len_bytes)) = parts.place(part) else { return 0 };
    let loaded = if parts.merged.is_datagrams() { LOADED } else { 0 };
    u64::from(parts.merged.payload_offset + offset_bytes) | u64::from(len_bytes) << 32 | loaded
}

/// Looks up number `part` of the packet at hook `number`, whose payload has been loaded if it is a datagram.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_part(number: u32, part: u32) -> u32 {
    let Some(counted) = counters::of(counters::cpu(), number) else { return 0 };
    let parts = Parts::of(counted);
    let merged = parts.merged;
    let Some((offset_bytes, len_bytes)) = parts.place(part) else { return 0 };
    let (counting, fixed) = if merged.is_datagrams() {
        let short = hop_body(number, len_bytes);
        let body = Body::from_numbers([short, counted.word]);
        let counting = merged.datagram(part, body, IpIds::Counting);
        if counting == parts.identity {
            return 0;
        }
        pieces::hop_expect(config::key(counting, config::port(number)), parts.written_us);
        (counting, merged.datagram(part, body, IpIds::Fixed))
    } else {
        let counting = merged.segment(part, offset_bytes, IpIds::Counting);
        (counting, merged.segment(part, offset_bytes, IpIds::Fixed))
    };
    // Nothing is on its way to the first hook.
    if hooks::hook(number).has(HookConfig::ENTRY) {
        return 0;
    }
    if hop_merge(number, counting) == 0 && fixed != counting {
        hop_merge(number, fixed);
    }
    0
}

/// Copies the first of the `len` bytes at `offset` to where `copy` has the headers, which are not needed any more.
#[inline(always)]
fn load<W: Whole>(whole: &W, copy: &Copied, offset: u32, len: u32) -> bool {
    let Some(target) = scratch::buffer() else { return false };
    let last = if len < Body::LEN { len.wrapping_sub(1) } else { Body::LEN - 1 };
    // Never 0, which the helper does not take.
    let len = (copy.opaque(last) & (scratch::LEN - 1)) + 1;
    // SAFETY: the target has room for `scratch::LEN` bytes behind others.
    unsafe { whole.load(offset, target.add(Body::BEHIND as usize), len) }
}

/// What of a payload of `len` bytes makes up a datagram's identity; [`load`] has copied it. The second number is in the
/// scratch word of hook `number`.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_body(number: u32, len: u32) -> u64 {
    let Some(counted) = counters::of(counters::cpu(), number) else { return 0 };
    let Some(start) = scratch::buffer() else { return 0 };
    // SAFETY: such a buffer, and a word of this CPU.
    let copy = unsafe { Copied::of(start, Body::BEHIND + Body::LEN, counted.scratch.as_mut_ptr()) };
    let len = if len < Body::LEN { len } else { Body::LEN };
    let [short, deep] = Body::read(&copy, len).map_or([0; 2], Body::numbers);
    counted.word = deep;
    short
}

/// Takes the packet `key` out of the table, if it is on its way to hook `number`, and counts it as merged. Gives 1 if it
/// was.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_merge(number: u32, key: u64) -> u32 {
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return 0 };
    let hook = hooks::hook(number).for_rules(number, false);
    let port = config::port(number);
    let key = config::key(key, port);
    let Some(control) = merge(Inflight::through(counted.scratch.as_mut_ptr()), key, &hook) else { return 0 };
    let counted_at = if control.direction() == hook.direction {
        number
    } else {
        let [egress, ingress] = config::entries(port);
        config::number(port, if control.direction() == 0 { egress } else { ingress })
    };
    if let Some(counted) = counters::of(cpu, counted_at) {
        counted.merged += 1;
    }
    1
}
