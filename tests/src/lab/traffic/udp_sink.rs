//! A UDP port that counts what arrives.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use crate::lab::{Guest, Lab};
use crate::payload;

/// How often the receiving thread looks whether it is to stop: bounds how late it notices, not what it counts.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// What a sink has received.
#[derive(Debug, Clone, Default)]
pub struct SinkReport {
    /// Datagrams.
    pub datagrams: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Different pairs of sequence number and run tag.
    pub distinct: u64,
}

/// A running sink; see [`Lab::wire_udp_sink`].
#[derive(Debug)]
pub struct UdpSink {
    thread: Option<JoinHandle<Result<SinkReport>>>,
    expected: Arc<Expectation>,
}

#[derive(Debug, Default)]
struct Expectation {
    received: std::sync::Mutex<u64>,
    changed: std::sync::Condvar,
    stop: AtomicBool,
}

impl Lab {
    /// Counts datagrams to `port` of the wire (IPv4 and IPv6) until [`UdpSink::finish`].
    ///
    /// # Errors
    /// Where the port cannot be bound.
    pub fn wire_udp_sink(&self, port: u16) -> Result<UdpSink> {
        Ok(UdpSink::of(self.in_wire(|| bind(port))?))
    }
}

impl Guest {
    /// As [`Lab::wire_udp_sink`], to `port` of the guest.
    ///
    /// # Errors
    /// Where the guest is a VM, or the port cannot be bound.
    pub fn udp_sink(&self, port: u16) -> Result<UdpSink> {
        Ok(UdpSink::of(self.in_netns(|| bind(port))?))
    }
}

fn bind(port: u16) -> Result<UdpSocket> {
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let socket = UdpSocket::bind(address).with_context(|| format!("bind UDP port {port}"))?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 32 << 20)?;
    socket.set_read_timeout(Some(STOP_CHECK))?;
    Ok(socket)
}

impl UdpSink {
    /// A socket belongs to the namespace it was made in, wherever the thread that reads it runs.
    fn of(socket: UdpSocket) -> Self {
        let expected = Arc::new(Expectation::default());
        let shared = Arc::clone(&expected);
        let thread = std::thread::spawn(move || receive(&socket, &shared));
        Self { thread: Some(thread), expected }
    }

    /// Waits until `count` datagrams have arrived or `timeout` has passed; returns how many have.
    ///
    /// # Errors
    /// Where receiving failed.
    pub fn wait(&self, count: u64, timeout: Duration) -> Result<u64> {
        let deadline = Instant::now() + timeout;
        let mut received = self.expected.received.lock().map_err(|_| anyhow!("the sink panicked"))?;
        while *received < count && self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            received = self
                .expected
                .changed
                .wait_timeout(received, left)
                .map_err(|_| anyhow!("the sink panicked"))?
                .0;
        }
        Ok(*received)
    }

    /// Like [`UdpSink::wait`], then stops and reports. More than `count` show only where they were already queued.
    ///
    /// # Errors
    /// Where receiving failed.
    pub fn finish(mut self, count: u64, timeout: Duration) -> Result<SinkReport> {
        self.wait(count, timeout)?;
        self.expected.stop.store(true, Ordering::Release);
        let thread = self.thread.take().context("the sink has ended")?;
        thread.join().map_err(|_| anyhow!("the sink panicked"))?
    }
}

/// A sink that nobody waits for frees its port, too.
impl Drop for UdpSink {
    fn drop(&mut self) {
        self.expected.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it does not want to know.
            drop(thread.join());
        }
    }
}

fn receive(socket: &UdpSocket, shared: &Expectation) -> Result<SinkReport> {
    let (mut report, mut seen) = (SinkReport::default(), HashSet::new());
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                report.datagrams += 1;
                report.bytes += length as u64;
                if let Some(identity) = buffer.get(..length).and_then(payload::decode) {
                    seen.insert(identity);
                }
                report.distinct = seen.len() as u64;
                if let Ok(mut received) = shared.received.lock() {
                    *received = report.datagrams;
                }
                shared.changed.notify_all();
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if shared.stop.load(Ordering::Acquire) {
                    return Ok(report);
                }
            }
            Err(error) => return Err(error).context("receive a datagram"),
        }
    }
}
