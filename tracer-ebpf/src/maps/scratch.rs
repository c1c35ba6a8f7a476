//! Memory of each CPU for the head of a packet that is not linear.

use aya_ebpf::{macros::map, maps::PerCpuArray};

/// Bytes copied: enough for two VLAN tags, IPv6 with extension headers, and TCP with all its options.
pub(crate) const LEN: u32 = 256;
/// The longest piece that is read at once.
const WINDOW: u32 = 64;

/// The number of this place for the heads of packets: that of programs at TC and XDP.
pub(crate) const PLACE: u32 = 0;

/// A buffer with room for a window at whatever offset [`bounded`] gives.
pub(crate) type Buffer = [u8; (LEN + WINDOW) as usize];

#[map]
static SCRATCH: PerCpuArray<Buffer> = PerCpuArray::with_max_entries(1, 0);

/// This CPU's buffer.
#[inline(always)]
pub(crate) fn buffer() -> Option<*mut u8> {
    SCRATCH.get_ptr_mut(0).map(<*mut Buffer>::cast)
}

/// An offset that is known to be inside the buffer, in a way that every kernel's verifier sees: older ones (6.12, 6.1)
/// forget a comparison when the compiler keeps the number on the stack. `word` is a scratch word of this CPU.
#[inline(always)]
pub(crate) fn bounded(word: *mut u64, offset: u32) -> usize {
    (through(word, offset) & (LEN - 1)) as usize
}

/// Sends a value through memory the verifier does not look into. `word` is a scratch word of this CPU.
#[inline(always)]
pub(crate) fn through(word: *mut u64, value: u32) -> u32 {
    through_u64(word, u64::from(value)) as u32
}

/// As [`through`].
#[inline(always)]
pub(crate) fn through_u64(word: *mut u64, value: u64) -> u64 {
    // SAFETY: a map value of this CPU.
    unsafe {
        word.write_volatile(value);
        word.read_volatile()
    }
}
