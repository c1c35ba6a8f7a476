//! Echo requests from the guest, through an ICMP datagram socket: the kernel fills in id and checksum, and hands over
//! only replies to this socket (icmp(7), `net.ipv4.ping_group_range`).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, connect, ipproto, recv, send, socket};

const REQUEST_V4: u8 = 8;
const REQUEST_V6: u8 = 128;
/// Payload of an ordinary ping.
const PAYLOAD_BYTES: usize = 56;
/// How long to wait for replies after the last request.
const GRACE: Duration = Duration::from_secs(3);

/// Sends `count` requests, one each `interval`, and returns the number of replies.
pub(crate) fn ping(to: IpAddr, count: u64, interval: Duration) -> Result<u64> {
    let (family, protocol, request_type) = match to {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP, REQUEST_V4),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6, REQUEST_V6),
    };
    let socket = socket(family, SocketType::DGRAM, Some(protocol)).context("open a ping socket")?;
    connect(&socket, &SocketAddr::new(to, 0)).context("connect")?;
    let (mut received, mut next) = (0, Instant::now());
    for sequence in 0..count {
        let mut request = vec![request_type, 0, 0, 0, 0, 0];
        request.extend_from_slice(&u16::try_from(sequence & 0xffff).unwrap_or_default().to_be_bytes());
        request.resize(request.len() + PAYLOAD_BYTES, 0x42);
        send(&socket, &request, SendFlags::empty()).context("send")?;
        next += interval;
        received += receive_until(&socket, next, count - received)?;
    }
    Ok(received + receive_until(&socket, Instant::now() + GRACE, count - received)?)
}

/// Counts replies until `deadline`, or until `wanted` have come.
fn receive_until(socket: &OwnedFd, deadline: Instant, wanted: u64) -> Result<u64> {
    let (mut received, mut buffer) = (0, [0_u8; 2048]);
    while received < wanted {
        let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        if poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)).context("poll")? > 0 {
            recv(socket, &mut buffer[..], RecvFlags::empty()).context("receive")?;
            received += 1;
        }
    }
    Ok(received)
}
