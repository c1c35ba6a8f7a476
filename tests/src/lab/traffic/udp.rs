//! Datagrams from the wire: floods, and echoes that are counted.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::Pace;
use crate::lab::Lab;
use crate::payload;

/// How long an echo or a sink waits for the next datagram before it takes the rest for lost.
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

    /// Like [`Lab::wire_udp_flood`] towards an echo port (7); counts what comes back.
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
            let started = Instant::now();
            let (flood, echoed, unexpected) = std::thread::scope(|scope| {
                let receiver = scope.spawn(|| receive_echoes(&socket, count));
                let flood = send(&socket, count, size_bytes, pace)?;
                let (tags, unexpected) = receiver.join().map_err(|_| anyhow!("the receiver panicked"))??;
                anyhow::Ok((flood, tags, unexpected))
            })?;
            let foreign = echoed.iter().filter(|(_, tag)| *tag != flood.run_tag).count() as u64;
            Ok(EchoReport {
                sent: flood.sent,
                echoed: echoed.len() as u64 - foreign,
                unexpected: unexpected + foreign,
                source_port: flood.source_port,
                elapsed: started.elapsed(),
            })
        })
    }
}

fn socket_towards(to: SocketAddr) -> Result<UdpSocket> {
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

/// Identities of what came back, and how many were double or unreadable. Ends when all are there or nothing more comes.
fn receive_echoes(socket: &UdpSocket, count: u64) -> Result<(HashSet<(u64, u64)>, u64)> {
    let (mut seen, mut unexpected) = (HashSet::new(), 0);
    let mut buffer = vec![0; 65_536];
    while (seen.len() as u64) < count {
        match socket.recv(&mut buffer) {
            Ok(length) => match buffer.get(..length).and_then(payload::decode) {
                Some(identity) if seen.insert(identity) => {}
                _ => unexpected += 1,
            },
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => return Err(error).context("receive an echo"),
        }
    }
    Ok((seen, unexpected))
}
