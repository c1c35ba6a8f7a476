//! Datagrams from the wire: floods, and echoes that are counted.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Pace;
use crate::lab::Lab;
use crate::payload;

/// Datagrams that may be on their way at once where the sender waits for the receiver: less than any queue holds.
pub(super) const WINDOW: u64 = 64;

/// How long an echo waits for the next datagram before it takes the rest for lost.
const IDLE_LIMIT: Duration = Duration::from_secs(3);

/// What a flood has sent.
#[derive(Debug, Clone)]
pub struct FloodReport {
    /// Datagrams handed to the kernel without an error.
    pub sent: u64,
    /// Tag in their payload.
    pub run_tag: u64,
    /// Source port.
    pub source_port: u16,
    /// Wall time.
    pub elapsed: Duration,
}

/// What an echo run has seen.
#[derive(Debug, Clone)]
pub struct EchoReport {
    /// Datagrams sent.
    pub sent: u64,
    /// Different datagrams that came back.
    pub echoed: u64,
    /// Datagrams that came back more than once, or that were not ours.
    pub unexpected: u64,
    /// Source port.
    pub source_port: u16,
    /// Wall time.
    pub elapsed: Duration,
}

impl Lab {
    /// Sends `count` datagrams of `size_bytes` payload from the wire, one each `pace` (zero: as fast as possible).
    ///
    /// # Errors
    /// Where the socket fails.
    pub fn wire_udp_flood(
        &self,
        to: SocketAddr,
        count: u64,
        size_bytes: usize,
        pace: Duration,
    ) -> Result<FloodReport> {
        self.in_wire(|| {
            let socket = socket_towards(to)?;
            send(&socket, count, size_bytes, pace)
        })
    }

    /// Like [`Lab::wire_udp_flood`] towards an echo port (7); counts what comes back. Never more than a few are on their way,
    /// so that no queue overflows however slow the machine is: a missing echo is a lost packet.
    ///
    /// # Errors
    /// Where the socket fails.
    pub fn wire_udp_echo(
        &self,
        to: SocketAddr,
        count: u64,
        size_bytes: usize,
        pace: Duration,
    ) -> Result<EchoReport> {
        self.in_wire(|| {
            let socket = socket_towards(to)?;
            socket.set_read_timeout(Some(IDLE_LIMIT))?;
            let (started, run_tag) = (Instant::now(), payload::new_run_tag());
            let mut echoes = Echoes { run_tag, seen: HashSet::new(), unexpected: 0 };
            let (mut pace, mut is_idle) = (Pace::new(pace), false);
            for sequence in 0..count {
                pace.wait();
                socket.send(&payload::encode(sequence, run_tag, size_bytes)).context("send a datagram")?;
                while !is_idle && sequence + 1 >= echoes.count() + WINDOW {
                    is_idle = !echoes.receive(&socket)?;
                }
            }
            while !is_idle && echoes.count() < count {
                is_idle = !echoes.receive(&socket)?;
            }
            Ok(EchoReport {
                sent: count,
                echoed: echoes.count(),
                unexpected: echoes.unexpected,
                source_port: socket.local_addr()?.port(),
                elapsed: started.elapsed(),
            })
        })
    }
}

/// What came back so far.
struct Echoes {
    run_tag: u64,
    seen: HashSet<u64>,
    unexpected: u64,
}

impl Echoes {
    fn count(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Takes one datagram; `false` where none came in time.
    fn receive(&mut self, socket: &UdpSocket) -> Result<bool> {
        let mut buffer = [0; 2048];
        match socket.recv(&mut buffer) {
            Ok(length) => match buffer.get(..length).and_then(payload::decode) {
                Some((sequence, tag)) if tag == self.run_tag && self.seen.insert(sequence) => {}
                _ => self.unexpected += 1,
            },
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => return Err(error).context("receive an echo"),
        }
        Ok(true)
    }
}

pub(super) fn socket_towards(to: SocketAddr) -> Result<UdpSocket> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).context("bind a UDP socket in the wire namespace")?;
    socket.connect(to).with_context(|| format!("connect to {to}"))?;
    Ok(socket)
}

fn send(socket: &UdpSocket, count: u64, size_bytes: usize, pace: Duration) -> Result<FloodReport> {
    let run_tag = payload::new_run_tag();
    let started = Instant::now();
    let mut pace = Pace::new(pace);
    for sequence in 0..count {
        pace.wait();
        socket.send(&payload::encode(sequence, run_tag, size_bytes)).context("send a datagram")?;
    }
    let source_port = socket.local_addr()?.port();
    Ok(FloodReport { sent: count, run_tag, source_port, elapsed: started.elapsed() })
}
