//! Packets held up in user space by netfilter's queue, as exactly as a CPU that does nothing else can: for kernels without
//! netem, whose timers are real.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, sendto, socket};
use rustix::thread::gettid;

use crate::exec::run;

/// The queues' numbers, for iptables' `NFQUEUE`.
pub(super) const QUEUES: [u16; 2] = [4, 5];

/// `linux/netfilter/nfnetlink_queue.h`: subsystem and messages, attributes, and their values.
const SUBSYSTEM: u16 = 3 << 8;
const PACKET: u16 = SUBSYSTEM;
const VERDICT: u16 = SUBSYSTEM | 1;
const CONFIG: u16 = SUBSYSTEM | 2;
const CONFIG_COMMAND: u16 = 1;
const CONFIG_PARAMETERS: u16 = 2;
const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
const BIND: u8 = 1;
const COPY_META: u8 = 1;
const ACCEPT: u32 = 1;
const REQUEST: u16 = 1;

/// `struct nlmsghdr` and `struct nfgenmsg`.
const HEADER_BYTES: usize = 16;
const GENERIC_BYTES: usize = 4;
const ATTRIBUTE_BYTES: usize = 4;

/// How long packets are held.
#[derive(Debug, Default)]
struct Hold {
    mean_ns: AtomicU64,
    jitter_ns: AtomicU64,
    stop: AtomicBool,
    /// How long each packet was held, by queue, in nanoseconds.
    held: Mutex<[Vec<u64>; 2]>,
}

/// A packet that is held: until when, since when, its number in the list of [`QUEUES`], its id.
type Held = (Instant, Instant, usize, u32);

/// Holds what the queues get, until it is dropped.
#[derive(Debug)]
pub(super) struct Holder {
    hold: Arc<Hold>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Holder {
    /// Takes the queues of the thread's network namespace.
    pub(super) fn start() -> Result<Self> {
        let socket =
            socket(AddressFamily::NETLINK, SocketType::RAW, Some(NETFILTER)).context("open netlink")?;
        for queue in QUEUES {
            tell(&socket, queue, CONFIG, CONFIG_COMMAND, &[BIND, 0, 0, 0])?;
            tell(&socket, queue, CONFIG, CONFIG_PARAMETERS, &[0, 0, 0, 0, COPY_META])?;
        }
        let hold = Arc::new(Hold::default());
        let shared = Arc::clone(&hold);
        let thread = std::thread::spawn(move || serve(&socket, &shared));
        Ok(Self { hold, thread: Some(thread) })
    }

    /// From now on packets are held so long, more or less by up to `jitter_ns`.
    pub(super) fn set(&self, mean_ns: u64, jitter_ns: u64) {
        self.hold.mean_ns.store(mean_ns, Ordering::Relaxed);
        self.hold.jitter_ns.store(jitter_ns, Ordering::Relaxed);
    }

    /// How long packets were held since the last time, by queue: the medians, in nanoseconds. On a busy machine that is longer
    /// than it was to be.
    pub(super) fn medians_ns(&self) -> Result<[u64; 2]> {
        let mut held = self.hold.held.lock().map_err(|_| anyhow!("the holder panicked"))?;
        let medians = std::mem::take(&mut *held).map(|mut held| {
            held.sort_unstable();
            held.get(held.len() / 2).copied()
        });
        let [Some(one), Some(other)] = medians else { bail!("a queue got no packets") };
        Ok([one, other])
    }

    /// Ends it; what is still held goes on.
    pub(super) fn finish(mut self) -> Result<()> {
        self.hold.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it has ended")?;
        thread.join().map_err(|_| anyhow!("the holder panicked"))?
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.hold.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it does not want to know.
            drop(thread.join());
        }
    }
}

/// Looks at queues and clock without a pause: to be woken up takes longer, and not always the same time.
fn serve(socket: &OwnedFd, hold: &Hold) -> Result<()> {
    // However busy the machine is: what waits for its turn to be read is not known to be held.
    let thread = gettid().as_raw_nonzero().to_string();
    run("chrt", &["--fifo", "--pid", "1", &thread])?;
    let mut waiting: BinaryHeap<Reverse<Held>> = BinaryHeap::new();
    let (mut buffer, mut random) = (vec![0; 1 << 16], 1_u64);
    while !hold.stop.load(Ordering::Relaxed) || !waiting.is_empty() {
        match recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((read, _)) => {
                let now = Instant::now();
                for (queue, id) in packets(buffer.get(..read).unwrap_or_default()) {
                    waiting.push(Reverse((now + next(hold, &mut random), now, queue, id)));
                }
            }
            Err(Errno::AGAIN) => std::hint::spin_loop(),
            Err(error) => return Err(error).context("read from the queues"),
        }
        while let Some(Reverse((due, since, queue, id))) = waiting.peek().copied() {
            let now = Instant::now();
            if due > now {
                break;
            }
            waiting.pop();
            let verdict = [ACCEPT.to_be_bytes(), u32::to_be_bytes(id)].concat();
            let number = QUEUES.get(queue).copied().context("a queue of nobody")?;
            tell(socket, number, VERDICT, VERDICT_HEADER, &verdict)?;
            if let Some(held) = hold.held.lock().map_err(|_| anyhow!("a reader panicked"))?.get_mut(queue) {
                held.push(u64::try_from((now - since).as_nanos())?);
            }
        }
    }
    Ok(())
}

/// How long the next packet is held. The randomness is a xorshift's, enough for a jitter.
fn next(hold: &Hold, random: &mut u64) -> Duration {
    let (mean_ns, jitter_ns) = (hold.mean_ns.load(Ordering::Relaxed), hold.jitter_ns.load(Ordering::Relaxed));
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    Duration::from_nanos(mean_ns - jitter_ns + *random % (2 * jitter_ns + 1))
}

/// A message with one attribute.
fn tell(socket: &OwnedFd, queue: u16, kind: u16, attribute: u16, value: &[u8]) -> Result<()> {
    let attribute_len = u16::try_from(ATTRIBUTE_BYTES + value.len())?;
    let padded = value.len().next_multiple_of(4);
    let len = u32::try_from(HEADER_BYTES + GENERIC_BYTES + ATTRIBUTE_BYTES + padded)?;
    let mut message = Vec::new();
    message.extend(len.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // Sequence number and sender: nobody asks for them.
    message.extend([0; 8]);
    // Any family, version 0, and the queue.
    message.extend([0, 0]);
    message.extend(queue.to_be_bytes());
    message.extend(attribute_len.to_ne_bytes());
    message.extend(attribute.to_ne_bytes());
    message.extend(value);
    message.resize(usize::try_from(len)?, 0);
    sendto(socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))
        .context("write to the queue")?;
    Ok(())
}

/// The packets in what was read: the number of each one's queue in the list of [`QUEUES`], and its id.
fn packets(mut messages: &[u8]) -> Vec<(usize, u32)> {
    let mut packets = Vec::new();
    while let Some((len, rest)) = messages.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_ne_bytes(*len)).unwrap_or_default();
        let kind = rest.first_chunk::<2>().map(|kind| u16::from_ne_bytes(*kind));
        if kind == Some(PACKET) {
            let queue = messages.get(HEADER_BYTES + 2..).and_then(|bytes| bytes.first_chunk());
            let queue = queue.map(|number| u16::from_be_bytes(*number));
            let place = QUEUES.iter().position(|number| Some(*number) == queue);
            packets.extend(place.zip(messages.get(HEADER_BYTES + GENERIC_BYTES..len).and_then(packet_id)));
        }
        let Some(next) = messages.get(len.next_multiple_of(4)..).filter(|_| len > 0) else { break };
        messages = next;
    }
    packets
}

/// The id in a packet's header, among its attributes.
fn packet_id(mut attributes: &[u8]) -> Option<u32> {
    loop {
        let (head, _) = attributes.split_first_chunk::<ATTRIBUTE_BYTES>()?;
        let [a, b, c, d] = *head;
        let (len, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]));
        if kind == PACKET_HEADER {
            return attributes.get(ATTRIBUTE_BYTES..)?.first_chunk().map(|id| u32::from_be_bytes(*id));
        }
        attributes = attributes.get(len.max(ATTRIBUTE_BYTES).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, PACKET, QUEUES, packets};

    #[test]
    fn queues_and_ids_are_found_behind_other_attributes() {
        let message = |kind: u16, queue: u16, id: u32| {
            let mut bytes = Vec::new();
            bytes.extend(40_u32.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.resize(HEADER_BYTES + 2, 0);
            bytes.extend(queue.to_be_bytes());
            bytes.extend([6_u16.to_ne_bytes(), 5_u16.to_ne_bytes()].concat());
            bytes.extend([1, 2, 0, 0]);
            bytes.extend([11_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat());
            bytes.extend(id.to_be_bytes());
            bytes.extend([0; 4]);
            bytes
        };
        let [one, other] = QUEUES;
        let messages = [
            message(PACKET, other, 7),
            message(PACKET + 1, one, 8),
            message(PACKET, one, 9),
            message(PACKET, 77, 10),
        ];
        assert_eq!(packets(&messages.concat()), [(1, 7), (0, 9)]);
        assert!(packets(&messages.concat()[..30]).is_empty());
        assert!(packets(&[0; 64]).is_empty());
    }
}
