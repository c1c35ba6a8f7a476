//! Bounds-checked access to packet bytes, the same for the host and for eBPF.

/// Bytes of one packet from its Ethernet header on.
///
/// A window is checked once, at its start, and then read freely: that is what the eBPF verifier wants, and it keeps
/// the number of comparisons per packet small.
pub trait Reader: Copy {
    /// A checked piece of the packet.
    type Window: Window;

    /// The `len` bytes from `offset`, or `None` when the packet ends before. `len` is a constant at every call,
    /// two at least (a comparison for one byte the compiler turns into a form that the verifier does not understand).
    fn window(&self, offset: u32, len: u32) -> Option<Self::Window>;

    /// The same value, but nothing is known about it any more. The eBPF verifier follows each value a variable can
    /// have apart; where many ways meet (VLAN tags, extension headers, options) this makes them one again.
    #[inline(always)]
    fn opaque(&self, value: u32) -> u32 {
        value
    }

    /// [`super::deep_sum`]; a method so that the eBPF side can make it a function of its own: few packets need it.
    fn deep_sum(&self, start: u32, end: u32) -> Option<u64>;
}

/// A piece of a packet of known length. Reads beyond that length give 0.
pub trait Window: Copy {
    /// The byte at `at`.
    fn u8(&self, at: u32) -> u8;
    /// Two bytes at `at`, as they are in memory (wire order read as little-endian).
    fn u16(&self, at: u32) -> u16;
    /// Four bytes at `at`, as they are in memory.
    fn u32(&self, at: u32) -> u32;
    /// Eight bytes at `at`, as they are in memory.
    fn u64(&self, at: u32) -> u64;

    /// A 16-bit field in network byte order.
    #[inline(always)]
    fn u16_be(&self, at: u32) -> u16 {
        self.u16(at).swap_bytes()
    }

    /// A 32-bit field in network byte order.
    #[inline(always)]
    fn u32_be(&self, at: u32) -> u32 {
        self.u32(at).swap_bytes()
    }
}
