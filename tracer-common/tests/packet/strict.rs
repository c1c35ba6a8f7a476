//! A reader that forbids what the eBPF one cannot do.

use hoptrace_common::packet::{Frame, Packet, ParseError, Reader, Window, deep_sum, parse};

/// Like `SliceReader`, but a read outside its window panics: in eBPF nothing but the verifier would notice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StrictReader<'a>(pub(crate) &'a [u8]);

#[derive(Debug, Clone, Copy)]
pub(crate) struct StrictWindow<'a>(&'a [u8]);

impl<'a> Reader for StrictReader<'a> {
    type Window = StrictWindow<'a>;

    fn window(&self, offset: u32, len: u32) -> Option<StrictWindow<'a>> {
        assert!(len >= 2, "the verifier does not understand windows of one byte");
        assert!(len <= 64, "the eBPF reader's copy leaves 64 bytes behind the last offset");
        let start = offset as usize;
        self.0.get(start..start + len as usize).map(StrictWindow)
    }

    fn deep_sum(&self, start: u32, end: u32) -> Option<u64> {
        deep_sum(self, start, end)
    }
}

impl StrictWindow<'_> {
    fn read<const N: usize>(self, at: u32) -> [u8; N] {
        let at = at as usize;
        self.0[at..at + N].try_into().unwrap()
    }
}

impl Window for StrictWindow<'_> {
    fn u8(&self, at: u32) -> u8 {
        u8::from_le_bytes(self.read(at))
    }

    fn u16(&self, at: u32) -> u16 {
        u16::from_le_bytes(self.read(at))
    }

    fn u32(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.read(at))
    }

    fn u64(&self, at: u32) -> u64 {
        u64::from_le_bytes(self.read(at))
    }
}

/// Parses a whole frame; a missing Ethernet or VLAN header is a truncation, as it is to the programs.
pub(crate) fn parsed(frame: &[u8]) -> Result<Packet, ParseError> {
    let reader = StrictReader(frame);
    let header = Frame::read(&reader).ok_or(ParseError::Truncated)?;
    parse(&reader, &header)
}

pub(crate) fn identity_of(frame: &[u8]) -> Result<u64, ParseError> {
    parsed(frame).map(|packet| packet.identity)
}
