//! UDP that loses nothing on its own: the sender waits for the receiver, whose counts travel beside the path.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::udp::{WINDOW, socket_towards};
use super::{FloodReport, SinkReport};
use crate::lab::{Guest, Lab};
use crate::payload;

const GUEST_SINK_PORT: u16 = 9;
const WINDOW_TIMEOUT: Duration = Duration::from_secs(10);

impl Lab {
    /// Sends `count` datagrams from the wire to the guest's sink port (9), each of which arrives. Resets the sink.
    ///
    /// # Errors
    /// Where a datagram does not arrive, or a socket fails.
    pub fn wire_udp_exact(&self, guest: &Guest, count: u64, size_bytes: usize) -> Result<FloodReport> {
        guest.sink_reset()?;
        self.in_wire(|| {
            let socket = socket_towards((guest.ipv4, GUEST_SINK_PORT).into())?;
            let (started, run_tag) = (Instant::now(), payload::new_run_tag());
            let mut sent = 0;
            while sent < count {
                let end = count.min(sent + WINDOW);
                for sequence in sent..end {
                    socket
                        .send(&payload::encode(sequence, run_tag, size_bytes))
                        .context("send a datagram")?;
                }
                sent = end;
                let arrived = guest.sink_wait(sent, WINDOW_TIMEOUT)?.datagrams;
                ensure!(arrived == sent, "{} received {arrived} of {sent} datagrams", guest.domain);
            }
            let source_port = socket.local_addr()?.port();
            Ok(FloodReport { sent, run_tag, source_port, elapsed: started.elapsed() })
        })
    }

    /// Makes the guest send `count` datagrams to `port` of the wire, each of which arrives. Every window of them has a
    /// source port and run tag of its own.
    ///
    /// # Errors
    /// Where a datagram does not arrive, or a socket fails.
    pub fn guest_udp_exact(
        &self,
        guest: &Guest,
        port: u16,
        count: u64,
        size_bytes: usize,
    ) -> Result<SinkReport> {
        let sink = self.wire_udp_sink(port)?;
        let mut sent = 0;
        while sent < count {
            let batch = WINDOW.min(count - sent);
            guest.send_udp((self.wire.ipv4.into(), port), batch, size_bytes, Duration::ZERO)?;
            sent += batch;
            let arrived = sink.wait(sent, WINDOW_TIMEOUT)?;
            ensure!(arrived == sent, "the wire received {arrived} of {sent} datagrams of {}", guest.domain);
        }
        sink.finish(count, WINDOW_TIMEOUT)
    }
}
