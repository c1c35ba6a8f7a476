//! Telling a guest what to do, beside the traced path.
//!
//! One line per command and one JSON line per answer, over a serial port that libvirt exposes as a unix socket:
//! `ID COMMAND ARGS…` → `{"id":ID,"ok":true,…}`. Commands are those of the guest agent.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Guest, Lab};
use crate::frames::to_words;

/// Longest a single command may take, the guest's own work included.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(3);

/// Answer to `ping`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PingReport {
    /// Echo requests sent.
    pub sent: u64,
    /// Echo replies received.
    pub received: u64,
}

/// Answer to `udp` and `tcp`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendReport {
    /// Datagrams (UDP) or bytes (TCP) sent.
    pub sent: u64,
    /// Bytes that came back (TCP to an echo server).
    #[serde(default)]
    pub received: u64,
    /// Wall time in the guest.
    pub elapsed_us: u64,
}

/// Answer to `sink-count`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SinkCount {
    /// Datagrams received on the sink port since the last reset.
    pub datagrams: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

impl Guest {
    /// Sends one command to the guest agent and waits for its answer.
    ///
    /// # Errors
    /// Where the socket cannot be used, the answer does not come in time, or the agent reports an error.
    pub fn control(&self, command: &str) -> Result<Value> {
        static NEXT_ID: AtomicU32 = AtomicU32::new(1);
        // Ids of two processes must differ: an answer to a client that went away may still be in the pipe.
        let id = u64::from(std::process::id()) << 32 | u64::from(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let mut stream = connect(&self.control_socket)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        writeln!(stream, "{id} {command}").with_context(|| format!("{}: send `{command}`", self.domain))?;
        for line in BufReader::new(stream).lines() {
            let line = line.with_context(|| format!("{}: no answer to `{command}`", self.domain))?;
            let Ok(answer) = serde_json::from_str::<Value>(line.trim()) else { continue };
            if answer.get("id").and_then(Value::as_u64) != Some(id) {
                continue;
            }
            if let Some(error) = answer.get("error").and_then(Value::as_str) {
                bail!("{}: `{command}`: {error}", self.domain);
            }
            return Ok(answer);
        }
        bail!("{}: the control port closed before it answered `{command}`", self.domain)
    }

    fn typed<T: for<'de> Deserialize<'de>>(&self, command: &str) -> Result<T> {
        Ok(serde_json::from_value(self.control(command)?)?)
    }

    /// Makes the guest send `count` echo requests, one each `interval`.
    ///
    /// # Errors
    /// As [`Guest::control`].
    pub fn ping(&self, address: IpAddr, count: u64, interval: Duration) -> Result<PingReport> {
        self.typed(&format!("ping {address} {count} {}", interval.as_micros()))
    }

    /// Makes the guest send `count` datagrams of `size_bytes` payload, one each `pace`.
    ///
    /// # Errors
    /// As [`Guest::control`].
    pub fn send_udp(
        &self,
        to: (IpAddr, u16),
        count: u64,
        size_bytes: usize,
        pace: Duration,
    ) -> Result<SendReport> {
        self.typed(&format!("udp {} {} {count} {size_bytes} {}", to.0, to.1, pace.as_micros()))
    }

    /// Makes the guest open a TCP connection, send `bytes`, and read until the peer closes.
    ///
    /// # Errors
    /// As [`Guest::control`].
    pub fn send_tcp(&self, to: (IpAddr, u16), bytes: u64) -> Result<SendReport> {
        self.typed(&format!("tcp {} {} {bytes}", to.0, to.1))
    }

    /// Makes the guest send frames as they are, at once.
    ///
    /// # Errors
    /// As [`Guest::control`].
    pub fn send_frames(&self, frames: &[Vec<u8>]) -> Result<()> {
        self.control(&format!("frames {}", to_words(frames))).map(drop)
    }

    /// The guest's interface has another MAC address until the borrowed one is dropped.
    ///
    /// # Errors
    /// As [`Guest::control`].
    pub fn use_address(&self, mac: &str) -> Result<BorrowedAddress<'_>> {
        self.control(&format!("address {mac}"))?;
        Ok(BorrowedAddress(self))
    }

    /// What arrived on the guest's UDP sink port (9) since the last reset.
    ///
    /// # Errors
    /// As [`Guest::control`].
    pub fn sink_count(&self) -> Result<SinkCount> {
        self.typed("sink-count")
    }

    /// Waits, in the guest, until its sink port has received `count` datagrams or `timeout` has passed.
    ///
    /// # Errors
    /// As [`Guest::control`].
    pub fn sink_wait(&self, count: u64, timeout: Duration) -> Result<SinkCount> {
        self.typed(&format!("sink-wait {count} {}", timeout.as_millis()))
    }

    /// Sets the sink's counts to zero.
    ///
    /// # Errors
    /// As [`Guest::control`].
    pub fn sink_reset(&self) -> Result<()> {
        self.control("sink-reset").map(drop)
    }
}

impl Lab {
    /// Has both ends, guests and wire, forget all neighbours: who was spoken to is asked for some seconds afterwards whether it is
    /// still there, and such a question, or its answer, would be a packet that no test has sent.
    ///
    /// # Errors
    /// As [`Guest::control`], and where the wire's table cannot be emptied.
    pub fn forget_neighbours(&self) -> Result<()> {
        for family in ["-4", "-6"] {
            let flush = [family, "neighbour", "flush", "dev", &self.wire.interface];
            ensure!(self.wire("ip", flush).status()?.success(), "cannot empty the wire's neighbour table");
        }
        self.guests.iter().try_for_each(|guest| guest.control("neighbours-flush").map(drop))
    }
}

/// A MAC address that is not the guest's own, while it uses it.
#[derive(Debug)]
pub struct BorrowedAddress<'g>(&'g Guest);

impl Drop for BorrowedAddress<'_> {
    fn drop(&mut self) {
        let back = self.0.control(&format!("address {}", self.0.mac));
        if !std::thread::panicking() {
            assert!(back.is_ok(), "the guest keeps the address: {back:?}");
        }
    }
}

/// Waits for the line the agent writes when it is up. The socket must have been connected before the guest ran.
pub(crate) fn wait_ready(stream: UnixStream, timeout: Duration) -> Result<()> {
    stream.set_read_timeout(Some(timeout))?;
    for line in BufReader::new(stream).lines() {
        if line.context("the guest did not report READY in time")?.trim() == "READY" {
            return Ok(());
        }
    }
    bail!("the guest's control port closed before it was ready")
}

pub(crate) fn connect(socket: &Path) -> Result<UnixStream> {
    UnixStream::connect(socket).with_context(|| format!("connect to {}", socket.display()))
}
