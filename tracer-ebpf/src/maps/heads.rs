//! Heads of packets before the switch, where they are asked for.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_probe_read_kernel, bpf_skb_load_bytes},
    macros::map,
    maps::Array,
};
use hoptrace_common::{
    config::HookConfig,
    heads::{HEAD_BYTES, Head},
};

use super::{MMAPABLE, config, counters, hooks::HookFacts, scratch};
use crate::raw::RawSkb;

/// The loader sets the size: one where none are kept.
#[map]
static HEADS: Array<Head> = Array::with_max_entries(1, MMAPABLE);

/// Whether `hook` keeps heads. Where none does, the verifier knows that, and removes what comes of it.
#[inline(always)]
pub(crate) fn are_kept(hook: HookFacts) -> bool {
    config::keeping_heads() != 0 && hook.has(HookConfig::KEEPS_HEADS)
}

/// Keeps the head of the packet `key`, which is in the table. A function of its own: it is called only where that was asked for.
#[inline(never)]
pub(crate) fn keep(skb: *mut __sk_buff, key: u64, number: u32) {
    let Some(head) = HEADS.get_ptr_mut(Head::place_of(key)) else { return };
    let Some(counted) = counters::of(counters::cpu(), number) else { return };
    // SAFETY: the context of the running program, and a map value with room for `HEAD_BYTES` bytes, which is what the mask
    // and the addition leave at most. The key is away meanwhile, so that the head is not taken for this packet's.
    unsafe {
        (&raw mut (*head).key).write_volatile(0);
        let len = (*skb).len;
        let last = (if len < HEAD_BYTES { len } else { HEAD_BYTES }).wrapping_sub(1);
        let kept = (scratch::through(counted.scratch.as_mut_ptr(), last) & (HEAD_BYTES - 1)) + 1;
        let target = (&raw mut (*head).bytes).cast();
        if bpf_skb_load_bytes(skb.cast(), 0, target, kept) != 0 {
            return;
        }
        let tag = if (*skb).vlan_present != 0 { (*skb).vlan_tci as u16 | Head::TAGGED } else { 0 };
        (&raw mut (*head).len_bytes).write_volatile(len);
        (&raw mut (*head).vlan_tci).write_volatile(tag);
        (&raw mut (*head).kept_bytes).write_volatile(kept as u8);
        (&raw mut (*head).hook).write_volatile((number & 0xf) as u8);
        (&raw mut (*head).key).write_volatile(key);
    }
}

/// As [`keep`], of a packet at a tracepoint: what of its head was copied.
#[inline(always)]
pub(crate) fn keep_copy(skb: &RawSkb, key: u64, number: u32) {
    let tag = u32::from(skb.vlan_tci) | (number << 16);
    let kept = if skb.linear_bytes < HEAD_BYTES { skb.linear_bytes } else { HEAD_BYTES };
    write_copy(key, skb.start, u64::from(skb.len_bytes) | (u64::from(kept) << 32), tag);
}

/// A function of its own: see [`keep`]. `lengths` are the frame's and, in the upper half, what is kept of it; `tag` is the VLAN
/// tag, and above it the hook.
#[inline(never)]
fn write_copy(key: u64, start: u64, lengths: u64, tag: u32) {
    let Some(head) = HEADS.get_ptr_mut(Head::place_of(key)) else { return };
    let number = tag >> 16;
    let Some(counted) = counters::of(counters::cpu(), number) else { return };
    // SAFETY: as in `keep`.
    unsafe {
        (&raw mut (*head).key).write_volatile(0);
        let last = ((lengths >> 32) as u32).wrapping_sub(1);
        let kept = (scratch::through(counted.scratch.as_mut_ptr(), last) & (HEAD_BYTES - 1)) + 1;
        let target = (&raw mut (*head).bytes).cast();
        if bpf_probe_read_kernel(target, kept, start as *const c_void) != 0 {
            return;
        }
        (&raw mut (*head).len_bytes).write_volatile(lengths as u32);
        (&raw mut (*head).vlan_tci).write_volatile(tag as u16);
        (&raw mut (*head).kept_bytes).write_volatile(kept as u8);
        (&raw mut (*head).hook).write_volatile((number & 0xf) as u8);
        (&raw mut (*head).key).write_volatile(key);
    }
}
