//! Header bytes that know which of their bits the identity covers.

/// What a hop may do to a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bits {
    /// Belongs to the identity.
    Hashed,
    /// A hop may change it; the identity must not care.
    Free,
    /// Neither: it says how the packet is to be read, or nothing is promised about it.
    Structure,
}
pub(crate) use Bits::{Free, Hashed, Structure};

/// Bytes with a mask of the hashed bits and one of the free bits.
#[allow(clippy::struct_field_names, reason = "bytes beside their masks")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hashed: Vec<u8>,
    pub(crate) free: Vec<u8>,
    /// Where a payload begins of which more is hashed below a weak header.
    deep_from: Option<usize>,
}

/// So much of it.
const DEEP_LEN: usize = 160;

impl Bytes {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn put(&mut self, bytes: &[u8], bits: Bits) -> &mut Self {
        for &byte in bytes {
            self.put_bits(byte, if bits == Hashed { 0xff } else { 0 }, if bits == Free { 0xff } else { 0 });
        }
        self
    }

    /// One byte of several fields.
    pub(crate) fn put_bits(&mut self, byte: u8, hashed: u8, free: u8) -> &mut Self {
        assert_eq!(hashed & free, 0);
        self.bytes.push(byte);
        self.hashed.push(hashed);
        self.free.push(free);
        self
    }

    /// The bytes of which the first `hashed_len` are hashed.
    pub(crate) fn put_head(&mut self, bytes: &[u8], hashed_len: usize) -> &mut Self {
        let (head, rest) = bytes.split_at(hashed_len.min(bytes.len()));
        self.put(head, Hashed).put(rest, Structure)
    }

    /// A payload of which the first 16 bytes are hashed, and more below a weak header.
    pub(crate) fn put_payload(&mut self, bytes: &[u8]) -> &mut Self {
        self.deep_from = Some(self.len());
        self.put_head(bytes, 16)
    }

    /// The same bytes below a header that has no number to tell packets apart.
    pub(crate) fn below_weak(mut self) -> Self {
        if let Some(from) = self.deep_from {
            let to = (from + DEEP_LEN).min(self.len());
            self.hashed[from..to].fill(0xff);
        }
        self
    }

    pub(crate) fn append(&mut self, other: &Self) -> &mut Self {
        self.bytes.extend(&other.bytes);
        self.hashed.extend(&other.hashed);
        self.free.extend(&other.free);
        self
    }

    /// The same bytes, none of which the identity covers any more.
    pub(crate) fn not_covered(mut self) -> Self {
        self.hashed.fill(0);
        self.free.fill(0);
        self
    }

    /// Where the last hashed byte ends.
    pub(crate) fn hashed_end(&self) -> usize {
        self.hashed.iter().rposition(|&mask| mask != 0).map_or(0, |last| last + 1)
    }

    /// The bytes with one bit flipped, counted from the first byte's lowest.
    pub(crate) fn with_flipped(&self, bit: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    }

    /// The numbers of the bits set in `mask`.
    pub(crate) fn bits_of(mask: &[u8]) -> impl Iterator<Item = usize> {
        (0..mask.len() * 8).filter(|bit| mask[bit / 8] >> (bit % 8) & 1 == 1)
    }
}
