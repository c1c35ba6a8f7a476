//! The head of a packet in memory of this CPU.

use hoptrace_common::packet::{self, Reader};

use crate::{maps::scratch, window::Bytes};

/// So many bytes of it, in a [`scratch::Buffer`].
#[derive(Clone, Copy)]
pub(crate) struct Buffered {
    start: *const u8,
    len: u32,
    word: *mut u64,
}

impl Buffered {
    /// `len` bytes from `start` on.
    ///
    /// # Safety
    /// `start` is the start of such a buffer, `word` one of this CPU that is not used otherwise meanwhile.
    #[inline(always)]
    pub(crate) const unsafe fn new(start: *const u8, len: u32, word: *mut u64) -> Self {
        Self { start, len, word }
    }

    /// Bytes of it.
    #[inline(always)]
    pub(crate) const fn len(self) -> u32 {
        self.len
    }
}

impl Reader for Buffered {
    type Window = Bytes;

    #[inline(always)]
    fn window(&self, offset: u32, len: u32) -> Option<Bytes> {
        if offset >= scratch::LEN || offset + len > self.len {
            return None;
        }
        // SAFETY: the buffer has room for the longest window behind every bounded offset.
        Some(unsafe { Bytes::at(self.start.add(scratch::bounded(self.word, offset))) })
    }

    #[inline(always)]
    fn opaque(&self, value: u32) -> u32 {
        scratch::through(self.word, value)
    }

    #[inline(always)]
    fn deep_sum(&self, start: u32, end: u32) -> Option<u64> {
        packet::deep_sum(self, start, end)
    }
}

/// Where the first datagram's payload ends of one that begins at `start`, ends at `end`, and is made of parts of `part` bytes: a packet
/// that is to be cut, or was merged, has the identity of its first part.
#[inline(always)]
pub(crate) const fn end_of_first(start: u32, end: u32, part: u32) -> u32 {
    if part != 0 && start + part < end { start + part } else { end }
}
