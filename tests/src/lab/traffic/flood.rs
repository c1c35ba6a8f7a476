//! Floods of small datagrams from a guest that is a namespace: as many per second as the path carries.

use std::io::{Error, ErrorKind, IoSlice};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::udp::socket_towards;
use crate::lab::{Guest, Lab};
use crate::payload;

/// Datagrams per system call.
const BATCH: u64 = 64;
const PORT: u16 = 5009;
/// Payload: as many bytes as make a frame of 106, a small one.
pub(super) const SIZE_BYTES: usize = 64;
/// The sender's, so that what else runs on its CPU does not stand in its way. On Linux it is one of the thread alone.
const HIGHEST_PRIORITY: i32 = -20;
/// How often the receiver looks whether it is to stop: bounds how late it notices, not what it counts.
pub(super) const STOP_CHECK: Duration = Duration::from_millis(20);
/// Nothing has come for so long: the rest will not come.
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// What a flood has sent and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Flood {
    /// Datagrams handed to the kernel without an error.
    pub sent: u64,
    /// Datagrams that the receiver on the wire has read.
    pub arrived: u64,
    /// Wall time of sending. Sending is all of it: each packet goes the whole way to the receiver's socket before the
    /// system call that sent it ends.
    pub elapsed: Duration,
    /// What the sender's thread, and with it the whole path, took of its CPU.
    pub cpu: Duration,
}

impl Flood {
    /// Packets that arrived per second of wall time.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        rate(self.arrived, self.elapsed)
    }

    /// Packets that were sent, and went the whole way, per second of wall time; the receiver may not have read them all.
    #[must_use]
    pub fn sent_per_second(&self) -> f64 {
        rate(self.sent, self.elapsed)
    }

    /// Packets that arrived per second that the sender had its CPU: what others take of the CPU does not count.
    #[must_use]
    pub fn per_cpu_second(&self) -> f64 {
        rate(self.arrived, self.cpu)
    }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

impl Lab {
    /// Sends `count` different datagrams from the guest, a namespace, to the wire: `per_second` at most, or as many as go.
    /// The sender, on whose CPU the packets go all the way, is on the first CPU, before everything else there; the receiver
    /// is on the last.
    ///
    /// # Errors
    /// Where the guest is a VM, or a socket fails.
    pub fn flood(&self, guest: &Guest, count: u64, per_second: Option<u64>) -> Result<Flood> {
        let sink = self.in_wire(|| {
            let socket = UdpSocket::bind((self.wire.ipv4, PORT)).context("bind the flood's port")?;
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 128 << 20)?;
            socket.set_read_timeout(Some(STOP_CHECK))?;
            Ok(socket)
        })?;
        let (arrived, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let receiver = scope.spawn(|| {
                let received = receive(&sink, &arrived, &stop);
                // A sender that waits for more must not wait for ever.
                stop.store(true, Ordering::Release);
                received
            });
            let sent = guest.in_netns(|| {
                pin(0)?;
                setpriority_process(None, HIGHEST_PRIORITY).context("raise the sender's priority")?;
                send(&socket_towards((self.wire.ipv4, PORT).into())?, count, per_second)
            });
            let wanted = sent.as_ref().map_or(0, |(sent, ..)| *sent);
            wait(&arrived, wanted, &stop);
            stop.store(true, Ordering::Release);
            receiver.join().map_err(|_| anyhow!("the flood's receiver panicked"))??;
            let (sent, elapsed, cpu) = sent?;
            Ok(Flood { sent, arrived: arrived.load(Ordering::Acquire), elapsed, cpu })
        })
    }
}

/// Returns when `wanted` have arrived, or nothing does any more.
fn wait(arrived: &AtomicU64, wanted: u64, stop: &AtomicBool) {
    let (mut before, mut since) = (0, Instant::now());
    loop {
        let now = arrived.load(Ordering::Acquire);
        if now >= wanted || stop.load(Ordering::Acquire) || (now == before && since.elapsed() > IDLE_LIMIT) {
            return;
        }
        if now != before {
            (before, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn receive(socket: &UdpSocket, arrived: &AtomicU64, stop: &AtomicBool) -> Result<()> {
    pin(std::thread::available_parallelism()?.get() - 1)?;
    let (mut buffer, mut count) = ([0; SIZE_BYTES], 0);
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) => {
                count += 1;
                arrived.store(count, Ordering::Release);
            }
            Err(error) if is_timeout(&error) => {
                if stop.load(Ordering::Acquire) {
                    return Ok(());
                }
            }
            Err(error) => return Err(error).context("receive the flood"),
        }
    }
}

/// Gives how many were sent, and the wall and CPU time that took.
fn send(socket: &UdpSocket, count: u64, per_second: Option<u64>) -> Result<(u64, Duration, Duration)> {
    let mut payloads = payloads(BATCH);
    let (started, cpu_before) = (Instant::now(), thread_cpu());
    let mut sent = 0;
    while sent < count {
        if let Some(per_second) = per_second {
            wait_until(started + due(sent, per_second));
        }
        let batch = usize::try_from(BATCH.min(count - sent)).unwrap_or(0);
        sent += send_batch(socket, payloads.get_mut(..batch).unwrap_or_default(), sent)?;
    }
    Ok((sent, started.elapsed(), thread_cpu().saturating_sub(cpu_before)))
}

/// Payloads of one run, which are numbered as they are sent.
pub(super) fn payloads(count: u64) -> Vec<Vec<u8>> {
    let run_tag = payload::new_run_tag();
    (0..count).map(|_| payload::encode(0, run_tag, SIZE_BYTES)).collect()
}

/// Sends them in one system call, numbered from `sequence` on; gives how many were sent.
pub(super) fn send_batch(socket: &UdpSocket, payloads: &mut [Vec<u8>], sequence: u64) -> Result<u64> {
    for (payload, sequence) in payloads.iter_mut().zip(sequence..) {
        if let Some(head) = payload.first_chunk_mut::<8>() {
            *head = sequence.to_be_bytes();
        }
    }
    let slices: Vec<_> = payloads.iter().map(|payload| [IoSlice::new(payload)]).collect();
    let mut controls: Vec<_> = slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut messages: Vec<_> =
        slices.iter().zip(&mut controls).map(|(slice, control)| MMsgHdr::new(slice, control)).collect();
    Ok(sendmmsg(socket, &mut messages, SendFlags::empty()).context("sendmmsg")? as u64)
}

/// Whether a socket has nothing at the moment.
pub(super) fn is_timeout(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// When packet `sent` is due, after the start.
pub(super) fn due(sent: u64, per_second: u64) -> Duration {
    let ns = u128::from(sent) * 1_000_000_000 / u128::from(per_second.max(1));
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

/// Sleeps, and for the last part of it spins: a sleep ends late.
fn wait_until(moment: Instant) {
    const LATE: Duration = Duration::from_micros(200);
    if let Some(early) = moment.checked_duration_since(Instant::now() + LATE) {
        std::thread::sleep(early);
    }
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
}

/// The calling thread runs there only.
pub(super) fn pin(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).with_context(|| format!("stay on CPU {cpu}"))
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::due;

    #[test]
    fn packets_are_due_at_equal_distances() {
        assert_eq!(due(0, 150_000).as_nanos(), 0);
        assert_eq!(due(150_000, 150_000).as_secs(), 1);
        assert_eq!(due(10_000_000_000, 1_000).as_secs(), 10_000_000);
    }
}
