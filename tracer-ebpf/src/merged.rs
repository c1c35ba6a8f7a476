//! Packets that became part of another one before a hook saw that (GRO).
//!
//! The identities of the packets that a larger one was made of follow from its headers and its segments' size
//! ([`hoptrace_common::packet::Merged`]). So each of them can be looked up, and counts as merged at the hook that sees the
//! larger one: exactly those, and no other that may be lost nearby.

use aya_ebpf::bindings::__sk_buff;
use hoptrace_common::{
    config::HookConfig,
    inflight::merge,
    packet::{IpIds, Merged, PROTOCOL_TCP, Reader as _, Window as _},
};

use crate::{
    maps::{
        config::{self, HookFacts},
        counters,
        inflight::Inflight,
        rare::{self, Note},
    },
    reader::{Copied, SkbReader as _},
};

/// Segments that one run of the program looks up; for more it calls itself, 33 times at most.
const AT_ONCE: u32 = 64;
const TCP_LEN: u32 = 20;

/// Whether other packets may be part of this one, because the interface merges what it receives.
#[inline(always)]
pub(crate) fn is_possible(hook: HookFacts, skb: *mut __sk_buff, protocol: u8) -> bool {
    // SAFETY: the context of the running program.
    hook.has(HookConfig::MERGES) && protocol == PROTOCOL_TCP && unsafe { (*skb).gso_size } != 0
}

/// The program that follows them.
#[inline(always)]
pub(crate) fn merged(skb: *mut __sk_buff) {
    let Some(note) = rare::note() else { return };
    let number = note.hook & 0xf;
    let Some(counted) = counters::of(counters::cpu(), number) else { return };
    let word = counted.scratch.as_mut_ptr();
    let Some(copy) = Copied::new(skb, word) else { return };
    let Some(frame) = copy.frame() else { return };
    let Ok(packet) = copy.packet(&frame, word) else { return };
    let Some(merged) = Merged::of(&copy, &packet) else { return };
    let Some(tcp) = copy.window(packet.l4_offset, TCP_LEN) else { return };
    // SAFETY: the context of the running program.
    let (size_bytes, frame_len) = unsafe { ((*skb).gso_size, (*skb).len) };
    let end = if packet.l3_end == u32::MAX { frame_len } else { packet.l3_end };
    let payload_bytes = end.wrapping_sub(packet.l4_offset + u32::from(tcp.u8(12) >> 4) * 4);
    if size_bytes == 0 || payload_bytes > frame_len {
        return;
    }
    let mut segment = note.next();
    let mut looked = 0;
    while looked < AT_ONCE {
        looked += 1;
        let offset_bytes = segment.wrapping_mul(size_bytes);
        if offset_bytes >= payload_bytes {
            return;
        }
        let found = hop_merge(number, merged.segment(segment, offset_bytes, IpIds::Counting));
        if found == 0 && merged.has_ip_ids() {
            hop_merge(number, merged.segment(segment, offset_bytes, IpIds::Fixed));
        }
        segment = segment.wrapping_add(1);
    }
    rare::leave(Note::merged(number, segment));
    rare::call(skb, rare::MERGED);
}

/// Takes the packet `key` out of the table, if it is on its way to hook `number`, and counts it as merged. Gives 1 if it
/// was. A global function, so that the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_merge(number: u32, key: u64) -> u32 {
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number & 0xf) else { return 0 };
    let hook = config::hook(number).for_rules(number, false);
    let Some(control) = merge(Inflight(counted.scratch.as_mut_ptr()), key, &hook) else { return 0 };
    let counted_at = if control.direction() == hook.direction {
        number
    } else {
        let [egress, ingress] = config::entries();
        u32::from(if control.direction() == 0 { egress } else { ingress })
    };
    if let Some(counted) = counters::of(cpu, counted_at & 0xf) {
        counted.merged += 1;
    }
    1
}
