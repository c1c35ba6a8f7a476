//! Packets that a socket would not send.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};

use crate::payload;

/// Ends of a datagram.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// Who says to have sent it.
    pub from: Ipv4Addr,
    /// Whom it is for.
    pub to: Ipv4Addr,
    /// The port at both ends.
    pub port: u16,
}

/// Sends datagrams whose checksum is wrong, from the thread's network namespace.
///
/// # Errors
/// When it may not.
pub fn send_with_bad_checksum(ends: Ends, count: u64, size_bytes: usize) -> Result<()> {
    let socket =
        socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::UDP)).context("open a raw socket")?;
    let run_tag = payload::new_run_tag();
    for sequence in 0..count {
        let datagram = datagram(ends, &payload::encode(sequence, run_tag, size_bytes))?;
        sendto(&socket, &datagram, SendFlags::empty(), &SocketAddr::from((ends.to, 0)))
            .context("send a raw datagram")?;
    }
    Ok(())
}

/// Sends datagrams that the kernel has to cut, from the thread's network namespace.
pub(super) fn send_fragmented(to: (Ipv4Addr, u16), count: u64, size_bytes: usize) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("bind")?;
    let run_tag = payload::new_run_tag();
    (0..count).try_for_each(|sequence| {
        socket.send_to(&payload::encode(sequence, run_tag, size_bytes), to).map(drop).context("send")
    })
}

/// A UDP header with a wrong checksum, and the payload.
fn datagram(ends: Ends, payload: &[u8]) -> Result<Vec<u8>> {
    let len = u16::try_from(8 + payload.len()).context("too large")?;
    let mut datagram = Vec::with_capacity(usize::from(len));
    for word in [ends.port, ends.port, len, 0] {
        datagram.extend_from_slice(&word.to_be_bytes());
    }
    datagram.extend_from_slice(payload);
    let wrong = checksum(ends, &datagram).wrapping_add(1).max(1);
    if let Some(field) = datagram.get_mut(6..8) {
        field.copy_from_slice(&wrong.to_be_bytes());
    }
    Ok(datagram)
}

/// The right one, RFC 768.
fn checksum(ends: Ends, datagram: &[u8]) -> u16 {
    let mut pseudo = [ends.from.octets(), ends.to.octets()].concat();
    pseudo.extend_from_slice(&[0, 17]);
    pseudo.extend_from_slice(&u16::try_from(datagram.len()).unwrap_or_default().to_be_bytes());
    pseudo.extend_from_slice(datagram);
    let mut sum: u32 = pseudo
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
            [high] => u32::from(*high) << 8,
            _ => 0,
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Ends, checksum, datagram};

    #[test]
    fn the_checksum_is_right_and_then_is_not() {
        let ends = Ends { from: [10, 0, 0, 1].into(), to: [10, 0, 0, 2].into(), port: 9 };
        let mut sent = datagram(ends, &[1, 2, 3, 4]).expect("it is small");
        let wrong = u16::from_be_bytes([sent[6], sent[7]]);
        sent[6..8].fill(0);
        let right = checksum(ends, &sent);
        assert!(right != wrong && wrong != 0);
        // With the right one in its place, the sum is nought.
        sent[6..8].copy_from_slice(&right.to_be_bytes());
        assert_eq!(checksum(ends, &sent), 0);
    }
}
