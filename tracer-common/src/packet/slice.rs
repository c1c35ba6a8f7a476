//! Packet bytes in a slice: the host's.

use super::{Reader, Window, deep_sum};

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

    fn deep_sum(&self, start: u32, end: u32) -> Option<u64> {
        deep_sum(self, start, end)
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
