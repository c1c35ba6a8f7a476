//! Round trips between a guest that is a namespace and the wire, and a steady load on the same path beside them.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::flood::{SIZE_BYTES, STOP_CHECK, due, is_timeout, payloads, pin, send_batch};
use super::udp::socket_towards;
use crate::lab::{Guest, Lab};
use crate::payload;

/// The wire's port that answers, and the one that the load goes to.
const PORT: u16 = 5011;
const LOAD_PORT: u16 = 5012;
/// Datagrams of the load that are sent at a time.
const LOAD_BATCH: u64 = 16;
/// A response that has not come for so long does not come.
const RESPONSE_LIMIT: Duration = Duration::from_secs(5);

/// How many round trips, and beside which load.
#[derive(Debug, Clone, Copy)]
pub struct Trips {
    /// Before those that count.
    pub lead_in: u64,
    /// Those that count.
    pub count: u64,
    /// Datagrams of the load in a second.
    pub load_per_second: u64,
}

/// What the load was.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Datagrams handed to the kernel without an error.
    pub sent: u64,
    /// Datagrams that the wire has read.
    pub arrived: u64,
    /// How long it was sent.
    pub elapsed: Duration,
}

impl Load {
    /// Datagrams sent per second.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn per_second(&self) -> f64 {
        self.sent as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl Lab {
    /// Sends requests from the guest, a namespace, one at a time; the wire answers each. `took` is given how long each of those that count
    /// took, from sending the request to having read the response.
    ///
    /// Both ends are on the last CPU, which so has no time to fall asleep. The load, from the guest to the wire, is sent and received on
    /// the first one: a round trip waits for what is done to packets, not for packets before it in a queue of its CPU.
    ///
    /// # Errors
    /// Where the guest is a VM, a socket fails, or a response does not come.
    pub fn round_trips(
        &self,
        guest: &Guest,
        trips: Trips,
        mut took: impl FnMut(Duration) + Send,
    ) -> Result<Load> {
        let (server, sink) = self.in_wire(|| Ok((bound(self, PORT)?, bound(self, LOAD_PORT)?)))?;
        server.set_read_timeout(Some(STOP_CHECK))?;
        sink.set_nonblocking(true)?;
        let last_cpu = std::thread::available_parallelism()?.get() - 1;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                pin(last_cpu)?;
                answer(&server, &stop)
            });
            let load = scope.spawn(|| {
                guest.in_netns(|| {
                    pin(0)?;
                    let socket = socket_towards((self.wire.ipv4, LOAD_PORT).into())?;
                    load(&socket, &sink, trips.load_per_second, &stop)
                })
            });
            let asked = guest.in_netns(|| {
                pin(last_cpu)?;
                ask(&socket_towards((self.wire.ipv4, PORT).into())?, trips, &mut took)
            });
            stop.store(true, Ordering::Release);
            let joined = |what| anyhow!("the {what} panicked");
            let answered = server.join().map_err(|_| joined("wire's answering thread"))?;
            let load = load.join().map_err(|_| joined("load"))?;
            asked.and(answered)?;
            load
        })
    }
}

fn bound(lab: &Lab, port: u16) -> Result<UdpSocket> {
    UdpSocket::bind((lab.wire.ipv4, port)).with_context(|| format!("bind port {port} of the wire"))
}

fn ask(socket: &UdpSocket, trips: Trips, took: &mut impl FnMut(Duration)) -> Result<()> {
    socket.set_read_timeout(Some(RESPONSE_LIMIT))?;
    let (run_tag, mut buffer) = (payload::new_run_tag(), [0; SIZE_BYTES]);
    for sequence in 0..trips.lead_in + trips.count {
        let request = payload::encode(sequence, run_tag, SIZE_BYTES);
        let sent = Instant::now();
        socket.send(&request).context("send a request")?;
        socket.recv(&mut buffer).with_context(|| format!("no response to request {sequence}"))?;
        let elapsed = sent.elapsed();
        ensure!(buffer.as_slice() == request, "request {sequence} has another one's response");
        if sequence >= trips.lead_in {
            took(elapsed);
        }
    }
    Ok(())
}

fn answer(socket: &UdpSocket, stop: &AtomicBool) -> Result<()> {
    let mut buffer = [0; SIZE_BYTES];
    while !stop.load(Ordering::Acquire) {
        match socket.recv_from(&mut buffer) {
            Ok((_, from)) => drop(socket.send_to(&buffer, from).context("send a response")?),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error).context("receive a request"),
        }
    }
    Ok(())
}

/// Sends until it is told to stop, and reads what has arrived after each batch.
fn load(socket: &UdpSocket, sink: &UdpSocket, per_second: u64, stop: &AtomicBool) -> Result<Load> {
    let (mut payloads, mut buffer) = (payloads(LOAD_BATCH), [0; SIZE_BYTES]);
    let (mut sent, mut arrived, started) = (0, 0, Instant::now());
    while !stop.load(Ordering::Acquire) {
        if per_second == 0 {
            std::thread::sleep(STOP_CHECK);
            continue;
        }
        std::thread::sleep((started + due(sent, per_second)).saturating_duration_since(Instant::now()));
        sent += send_batch(socket, &mut payloads, sent)?;
        loop {
            match sink.recv(&mut buffer) {
                Ok(_) => arrived += 1,
                Err(error) if is_timeout(&error) => break,
                Err(error) => return Err(error).context("receive the load"),
            }
        }
    }
    Ok(Load { sent, arrived, elapsed: started.elapsed() })
}
