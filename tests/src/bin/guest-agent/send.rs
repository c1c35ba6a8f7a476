//! Traffic the guest sends when told to.

use std::io::Write as _;
use std::net::{IpAddr, Shutdown, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use hoptrace_tests::payload;

const CHUNK_BYTES: usize = 64 * 1024;

/// Sends `count` datagrams, one each `pace`; the address families of both ends are the same.
pub(crate) fn udp(to: (IpAddr, u16), count: u64, size_bytes: usize, pace: Duration) -> Result<Duration> {
    let any = if to.0.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).context("bind")?;
    socket.connect(to).context("connect")?;
    let run_tag = payload::new_run_tag();
    let started = Instant::now();
    let mut next = started;
    for sequence in 0..count {
        if let Some(early) = next.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        next = (next + pace).max(Instant::now());
        socket.send(&payload::encode(sequence, run_tag, size_bytes)).context("send")?;
    }
    Ok(started.elapsed())
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// Sends `bytes`, closes its direction, reads until the peer closes; returns how many bytes came back.
pub(crate) fn tcp(to: (IpAddr, u16), bytes: u64) -> Result<(u64, Duration)> {
    let started = Instant::now();
    let stream = TcpStream::connect_timeout(&to.into(), CONNECT_TIMEOUT).context("connect")?;
    stream.set_read_timeout(Some(STALL_LIMIT))?;
    stream.set_write_timeout(Some(STALL_LIMIT))?;
    let received = std::thread::scope(|scope| {
        let reader = scope.spawn(|| std::io::copy(&mut &stream, &mut std::io::sink()));
        let (mut left, chunk) = (bytes, vec![0x5a; CHUNK_BYTES]);
        while left > 0 {
            let length = CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES));
            (&stream).write_all(chunk.get(..length).unwrap_or_default()).context("send")?;
            left -= length as u64;
        }
        stream.shutdown(Shutdown::Write)?;
        reader.join().map_err(|_| anyhow!("the reader panicked"))?.context("receive")
    })?;
    Ok((received, started.elapsed()))
}
