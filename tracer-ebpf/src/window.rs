//! Bytes that were found to be there.

use hoptrace_common::packet::Window;

/// A checked piece of memory that a packet, or a copy of it, is in.
#[derive(Clone, Copy)]
pub(crate) struct Bytes(*const u8);

impl Bytes {
    /// Those at `start`.
    ///
    /// # Safety
    /// As many can be read as the window is long.
    #[inline(always)]
    pub(crate) const unsafe fn at(start: *const u8) -> Self {
        Self(start)
    }

    /// Reads inside the window, whatever the alignment: the verifier allows it where the CPU does, while an
    /// unaligned read in Rust's own terms would become single bytes.
    #[inline(always)]
    fn read<T: Copy>(self, at: u32) -> T {
        // SAFETY: the maker of the window has compared its end with that of what can be read, and the verifier proves it again
        // at load.
        unsafe { *self.0.add(at as usize).cast::<T>() }
    }
}

impl Window for Bytes {
    #[inline(always)]
    fn u8(&self, at: u32) -> u8 {
        self.read(at)
    }

    #[inline(always)]
    fn u16(&self, at: u32) -> u16 {
        self.read(at)
    }

    #[inline(always)]
    fn u32(&self, at: u32) -> u32 {
        self.read(at)
    }

    #[inline(always)]
    fn u64(&self, at: u32) -> u64 {
        self.read(at)
    }
}
