//! The ports others talk to: UDP echo (7) and sink (9), TCP echo (7).

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

const ECHO_PORT: u16 = 7;
const SINK_PORT: u16 = 9;
const RECEIVE_BUFFER_BYTES: usize = 32 << 20;

/// What arrived on the sink port.
#[derive(Default)]
pub(crate) struct Sink {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
}

impl Sink {
    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reset(&self) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = Counts::default();
    }

    /// Returns when `datagrams` have arrived or `timeout` has passed.
    pub(crate) fn wait(&self, datagrams: u64, timeout: Duration) -> Counts {
        let deadline = Instant::now() + timeout;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        while counts.datagrams < datagrams {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            counts = self.changed.wait_timeout(counts, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *counts
    }

    fn add(&self, bytes: usize) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.datagrams += 1;
        counts.bytes += bytes as u64;
        drop(counts);
        self.changed.notify_all();
    }
}

/// Starts every port on threads of its own; when it returns, all are bound.
pub(crate) fn start(sink: &Arc<Sink>) -> Result<()> {
    let echo = udp(ECHO_PORT)?;
    let sinking = udp(SINK_PORT)?;
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, ECHO_PORT)).context("listen on TCP port 7")?;
    let sink = Arc::clone(sink);
    thread::spawn(move || udp_echo(&echo));
    thread::spawn(move || udp_sink(&sinking, &sink));
    thread::spawn(move || tcp_echo(&listener));
    Ok(())
}

/// A socket for both IP versions with room for bursts.
fn udp(port: u16) -> Result<UdpSocket> {
    let socket =
        UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).with_context(|| format!("bind UDP port {port}"))?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER_BYTES)?;
    Ok(socket)
}

fn udp_echo(socket: &UdpSocket) {
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                if let Some(payload) = buffer.get(..length)
                    && let Err(error) = socket.send_to(payload, from)
                {
                    crate::report(&format!("udp echo to {from}: {error}"));
                }
            }
            Err(error) => crate::report(&format!("udp echo: {error}")),
        }
    }
}

fn udp_sink(socket: &UdpSocket, sink: &Sink) {
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => sink.add(length),
            Err(error) => crate::report(&format!("udp sink: {error}")),
        }
    }
}

fn tcp_echo(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || {
            if let Err(error) = echo_stream(stream) {
                crate::report(&format!("tcp echo: {error}"));
            }
        });
    }
}

fn echo_stream(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = stream.read(&mut buffer)?;
        match buffer.get(..length) {
            Some(read) if !read.is_empty() => stream.write_all(read)?,
            _ => return stream.shutdown(Shutdown::Write),
        }
    }
}
