//! What the context of a TC program says of its packet.

use aya_ebpf::bindings::__sk_buff;

/// Length of the frame, in bytes.
#[inline(always)]
pub(crate) fn len_bytes(skb: *const __sk_buff) -> u32 {
    // SAFETY: the context of the running program.
    unsafe { (*skb).len }
}

/// How many bytes of it are in linear memory.
#[inline(always)]
pub(crate) fn linear_bytes(skb: *const __sk_buff) -> u32 {
    // SAFETY: the context of the running program.
    unsafe { (*skb).data_end.wrapping_sub((*skb).data) }
}

/// Payload of each part but the last one, in bytes; 0: the packet has no parts.
#[inline(always)]
pub(crate) fn part_bytes(skb: *const __sk_buff) -> u32 {
    // SAFETY: the context of the running program. Volatile, so that the verifier knows nothing of what was read before.
    unsafe { (&raw const (*skb).gso_size).read_volatile() }
}
