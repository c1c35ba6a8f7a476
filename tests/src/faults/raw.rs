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
    /// Its port there.
    pub from_port: u16,
    /// Whom it is for.
    pub to: Ipv4Addr,
    /// Its port there.
    pub port: u16,
}

/// Sends datagrams whose checksum is wrong, from the thread's network namespace.
///
/// # Errors
/// When it may not.
pub fn send_with_bad_checksum(ends: Ends, count: u64, size_bytes: usize) -> Result<()> {
    send(count, size_bytes, |_| ends, |right| right.wrapping_add(1).max(1))
}

/// Sends datagrams from the thread's network namespace, each from a port of its own, the first from that of `ends`.
pub(super) fn send_as_new_flows(ends: Ends, count: u16, size_bytes: usize) -> Result<()> {
    let each = |sequence| Ends { from_port: ends.from_port.wrapping_add(sequence), ..ends };
    // A checksum of 0 would say that there is none.
    send(count.into(), size_bytes, each, |right| if right == 0 { u16::MAX } else { right })
}

/// Sends datagrams, each between its `ends`, with what becomes of the right checksum in its place.
fn send(count: u64, size_bytes: usize, ends: impl Fn(u16) -> Ends, sum: impl Fn(u16) -> u16) -> Result<()> {
    let socket =
        socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::UDP)).context("open a raw socket")?;
    let run_tag = payload::new_run_tag();
    for sequence in 0..count {
        let ends = ends(u16::try_from(sequence & u64::from(u16::MAX))?);
        let datagram = datagram(ends, &payload::encode(sequence, run_tag, size_bytes), &sum)?;
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

/// A UDP header with `sum` of the right checksum, and the payload.
fn datagram(ends: Ends, payload: &[u8], sum: impl Fn(u16) -> u16) -> Result<Vec<u8>> {
    let len = u16::try_from(8 + payload.len()).context("too large")?;
    let mut datagram = Vec::with_capacity(usize::from(len));
    for word in [ends.from_port, ends.port, len, 0] {
        datagram.extend_from_slice(&word.to_be_bytes());
    }
    datagram.extend_from_slice(payload);
    let sum = sum(checksum(ends, &datagram));
    if let Some(field) = datagram.get_mut(6..8) {
        field.copy_from_slice(&sum.to_be_bytes());
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
    fn the_right_checksum_stands_in_the_datagram() {
        let ends = Ends { from: [10, 0, 0, 1].into(), from_port: 7, to: [10, 0, 0, 2].into(), port: 9 };
        let sent = datagram(ends, &[1, 2, 3, 4], |right| right).expect("it is small");
        assert_eq!(sent[..4], [0, 7, 0, 9]);
        assert!(sent[6..8] != [0, 0]);
        // With the right one in its place, the sum is nought.
        assert_eq!(checksum(ends, &sent), 0);
    }
}
