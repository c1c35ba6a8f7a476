//! Memory of each CPU for the head of a packet that is not linear.

use aya_ebpf::{macros::map, maps::PerCpuArray};

/// Bytes copied: enough for two VLAN tags, IPv6 with extension headers, and TCP with all its options.
pub(crate) const LEN: u32 = 256;

#[map]
static SCRATCH: PerCpuArray<[u8; LEN as usize]> = PerCpuArray::with_max_entries(1, 0);

/// This CPU's buffer.
#[inline(always)]
pub(crate) fn buffer() -> Option<*mut u8> {
    SCRATCH.get_ptr_mut(0).map(<*mut [u8; LEN as usize]>::cast)
}

/// Sends a value through memory the verifier does not look into. `word` is a scratch word of this CPU.
#[inline(always)]
pub(crate) fn through(word: *mut u64, value: u32) -> u32 {
    // SAFETY: a map value of this CPU.
    unsafe {
        word.write_volatile(u64::from(value));
        word.read_volatile() as u32
    }
}
