//! More of the payload, for packets that their headers alone do not tell apart.
//!
//! An IPv4 packet with an IP-ID is told from its neighbours by that and a few bytes behind its headers. IPv6 has no such
//! number, and IPv4 leaves it at 0 where fragmentation is forbidden and the sender keeps no count (Linux does for datagrams of
//! sockets that are not connected). What such packets carry often begins alike: the time and the name of the host in syslog,
//! the request line of SIP, the sender's address in sFlow, the outer headers of a tunnel.

use core::hint::black_box;

use super::{Reader, Window, identity, transport::BODY_LEN};

/// Bytes of payload that make up the identity of such a packet: with the longest headers it still fits into what is copied
/// of a packet that is not linear.
///
/// A datagram that is cut into pieces smaller than this has another identity than its first piece.
pub(super) const DEEP_LEN: u32 = 160;
const STEP_LEN: u32 = 16;
/// No payload that is looked at ends behind this.
const MOST: u32 = 0x3fff;
/// Bits by which words are folded; the last ones may have been read before.
const STEP_SHIFT: u32 = 29;
const LAST_SHIFT: u32 = 25;
const STEPS: usize = ((DEEP_LEN - BODY_LEN) / STEP_LEN) as usize;

/// Two for each step, two for the last bytes, one for the length.
const KEYS: [u64; STEPS * 2 + 3] = keys();
const LAST_KEY: usize = STEPS * 2;
const LEN_KEY: usize = STEPS * 2 + 2;

#[allow(clippy::indexing_slicing, reason = "below the number of keys; a constant's value")]
const fn keys() -> [u64; STEPS * 2 + 3] {
    let mut keys = [0; STEPS * 2 + 3];
    let mut number = 0;
    while number < keys.len() {
        // Odd, so that no bit of the word is lost.
        keys[number] = identity::mixed((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        number += 1;
    }
    keys
}

/// What the payload from `start` to `end` adds to an identity besides its first [`BODY_LEN`] bytes: up to [`DEEP_LEN`] bytes of
/// it, and how many there are of those. `None`: the reader does not show them.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "constants below the number of keys")]
pub fn deep_sum<R: Reader>(reader: &R, start: u32, end: u32) -> Option<u64> {
    let limit = start + DEEP_LEN;
    let end = if end < limit { end } else { limit };
    if end > MOST {
        return None;
    }
    // Never 0, which would mean that there is none.
    let len = u64::from(end.wrapping_sub(start)) + 1;
    let mut sum = identity::multiplied(len, STEP_SHIFT, KEYS[LEN_KEY]);
    let mut at = start + BODY_LEN;
    let mut step = 0;
    while step < STEPS {
        if at + STEP_LEN > end {
            break;
        }
        let window = reader.window(at, STEP_LEN)?;
        sum = sum.wrapping_add(identity::multiplied(window.u64(0), STEP_SHIFT, KEYS[step * 2]));
        sum = sum.wrapping_add(identity::multiplied(window.u64(8), STEP_SHIFT, KEYS[step * 2 + 1]));
        at += STEP_LEN;
        step += 1;
    }
    if at < end {
        // With some of those that were read already. The mask is for the eBPF verifier, and must not be for the compiler.
        let window = reader.window(black_box(end - STEP_LEN) & MOST, STEP_LEN)?;
        sum = sum.wrapping_add(identity::multiplied(window.u64(0), LAST_SHIFT, KEYS[LAST_KEY]));
        sum = sum.wrapping_add(identity::multiplied(window.u64(8), LAST_SHIFT, KEYS[LAST_KEY + 1]));
    }
    Some(sum)
}
