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
    #[inline(always)]
    fn deep_sum(&self, start: u32, end: u32) -> Option<u64> {
        super::deep_sum(self, start, end)
    }
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

/// A [`Reader`] over a byte slice.
#[derive(Debug, Clone, Copy)]
pub struct SliceReader<'a>(pub &'a [u8]);

/// A piece of a slice.
#[derive(Debug, Clone, Copy)]
pub struct SliceWindow<'a>(&'a [u8]);

impl<'a> Reader for SliceReader<'a> {
    type Window = SliceWindow<'a>;

    fn window(&self, offset: u32, len: u32) -> Option<SliceWindow<'a>> {
        let start = offset as usize;
        self.0.get(start..start.checked_add(len as usize)?).map(SliceWindow)
    }
}

impl SliceWindow<'_> {
    fn bytes<const N: usize>(&self, at: u32) -> [u8; N] {
        self.0.get(at as usize..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
    }
}

impl Window for SliceWindow<'_> {
    fn u8(&self, at: u32) -> u8 {
        u8::from_le_bytes(self.bytes(at))
    }

    fn u16(&self, at: u32) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    fn u32(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    fn u64(&self, at: u32) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }
}
