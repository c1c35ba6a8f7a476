//! TCP between the wire and guests.

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use crate::lab::Lab;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const STALL_LIMIT: Duration = Duration::from_secs(30);
const CHUNK_BYTES: usize = 64 * 1024;

/// A listener on the wire that takes one connection; see [`Lab::wire_tcp_sink`].
#[derive(Debug)]
pub struct TcpSink {
    thread: JoinHandle<Result<u64>>,
}

impl Lab {
    /// Sends `bytes` from the wire to an echo port (7) and returns how many came back unchanged before the peer closed.
    ///
    /// # Errors
    /// Where the connection fails or what comes back differs from what was sent.
    pub fn wire_tcp_echo(&self, to: SocketAddr, bytes: u64) -> Result<u64> {
        self.in_wire(|| {
            let stream = TcpStream::connect_timeout(&to, CONNECT_TIMEOUT)
                .with_context(|| format!("connect to {to}"))?;
            stream.set_read_timeout(Some(STALL_LIMIT))?;
            stream.set_write_timeout(Some(STALL_LIMIT))?;
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| read_pattern(&stream));
                write_pattern(&stream, bytes)?;
                stream.shutdown(Shutdown::Write)?;
                reader.join().map_err(|_| anyhow!("the reader panicked"))?
            })
        })
    }

    /// Takes one TCP connection on `port` of the wire and counts its bytes until the peer closes.
    ///
    /// # Errors
    /// Where the port cannot be bound.
    pub fn wire_tcp_sink(&self, port: u16) -> Result<TcpSink> {
        let listener = self.in_wire(|| {
            let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            TcpListener::bind(address).with_context(|| format!("listen on TCP port {port} of the wire"))
        })?;
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().context("accept on the wire")?;
            stream.set_read_timeout(Some(STALL_LIMIT))?;
            Ok(std::io::copy(&mut stream, &mut std::io::sink())?)
        });
        Ok(TcpSink { thread })
    }
}

impl TcpSink {
    /// Waits for the connection to end and returns the bytes received. Call it once the peer has connected.
    ///
    /// # Errors
    /// Where accepting or reading failed.
    pub fn finish(self) -> Result<u64> {
        self.thread.join().map_err(|_| anyhow!("the TCP sink panicked"))?
    }
}

/// Byte `offset` of the stream: a prime period, so that a lost or doubled segment cannot go unnoticed.
fn pattern(offset: u64) -> u8 {
    u8::try_from(offset % 251).unwrap_or_default()
}

fn write_pattern(mut stream: &TcpStream, bytes: u64) -> Result<()> {
    let mut offset = 0;
    while offset < bytes {
        let end = bytes.min(offset + CHUNK_BYTES as u64);
        let chunk: Vec<u8> = (offset..end).map(pattern).collect();
        stream.write_all(&chunk).context("send TCP data")?;
        offset = end;
    }
    Ok(())
}

fn read_pattern(mut stream: &TcpStream) -> Result<u64> {
    let (mut offset, mut buffer) = (0_u64, vec![0; CHUNK_BYTES]);
    loop {
        let length = stream.read(&mut buffer).context("receive TCP data")?;
        if length == 0 {
            return Ok(offset);
        }
        for byte in buffer.iter().take(length) {
            anyhow::ensure!(*byte == pattern(offset), "byte {offset} came back changed");
            offset += 1;
        }
    }
}
