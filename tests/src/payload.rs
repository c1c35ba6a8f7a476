//! The payload of every test datagram: distinct per datagram, equal wherever it is looked at.
//!
//! 8 bytes sequence number, 8 bytes run tag, both big-endian, then zeros up to the wanted size.

/// Bytes of sequence number and run tag; a datagram is never smaller.
pub const HEADER_BYTES: usize = 16;

/// The payload of datagram `sequence` of run `run_tag`, `size_bytes` long (at least [`HEADER_BYTES`]).
#[must_use]
pub fn encode(sequence: u64, run_tag: u64, size_bytes: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(size_bytes.max(HEADER_BYTES));
    payload.extend_from_slice(&sequence.to_be_bytes());
    payload.extend_from_slice(&run_tag.to_be_bytes());
    payload.resize(size_bytes.max(HEADER_BYTES), 0);
    payload
}

/// Sequence number and run tag of a payload; `None` where it is too short to carry them.
#[must_use]
pub fn decode(payload: &[u8]) -> Option<(u64, u64)> {
    let (sequence, rest) = payload.split_first_chunk::<8>()?;
    let (run_tag, _) = rest.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*sequence), u64::from_be_bytes(*run_tag)))
}

/// A run tag that differs between runs: nanoseconds since the epoch, mixed with the process id.
#[must_use]
pub fn new_run_tag() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since_epoch.as_nanos() & u128::from(u64::MAX)).unwrap_or_default();
    nanos ^ (u64::from(std::process::id()) << 48)
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, decode, encode};

    #[test]
    fn what_is_encoded_is_decoded() {
        let payload = encode(7, 0xdead_beef, 64);
        assert_eq!(payload.len(), 64);
        assert_eq!(decode(&payload), Some((7, 0xdead_beef)));
    }

    #[test]
    fn small_sizes_still_carry_the_header() {
        assert_eq!(encode(1, 2, 0).len(), HEADER_BYTES);
    }

    #[test]
    fn short_payloads_are_refused() {
        assert_eq!(decode(&[0; HEADER_BYTES - 1]), None);
    }
}
