//! Datagrams that interfaces merge or cut on their way, as several test files send them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use hoptrace_tests::prelude::*;
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

const PORT: u16 = 5012;
const ARRIVE_WITHIN: Duration = Duration::from_secs(10);

/// What is handed to the kernel in one piece (`UDP_SEGMENT`), so many times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bursts {
    pub(crate) count: u64,
    pub(crate) bytes: usize,
    pub(crate) datagram_bytes: u16,
}

impl Bursts {
    /// Datagrams in one of them.
    pub(crate) const fn each(self) -> u64 {
        self.bytes.div_ceil(self.datagram_bytes as usize) as u64
    }

    pub(crate) const fn datagrams(self) -> u64 {
        self.count * self.each()
    }

    fn socket(self, to: (IpAddr, u16)) -> Result<UdpSocket> {
        let to = SocketAddr::from(to);
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(to)?;
        setsockopt(&socket, UdpGsoSegment, &i32::from(self.datagram_bytes))
            .context("leave cutting to the kernel")?;
        Ok(socket)
    }

    /// Sends burst `number`. No two datagrams are alike, as in most protocols.
    fn send(self, socket: &UdpSocket, number: u64) -> Result<()> {
        let mut payload = vec![0x5a; self.bytes];
        for (datagram, number) in payload.chunks_mut(self.datagram_bytes.into()).zip(number * self.each()..) {
            let number = number.to_be_bytes();
            let len = datagram.len().min(number.len());
            if let (Some(head), Some(number)) = (datagram.get_mut(..len), number.get(number.len() - len..)) {
                head.copy_from_slice(number);
            }
        }
        ensure!(socket.send(&payload)? == self.bytes, "sent a part only");
        Ok(())
    }
}

/// The ledger of `direction` of a trace with `args` meanwhile. Each datagram arrives: the next burst waits for it, so that no
/// queue overflows.
pub(crate) fn ledger_of(
    lab: &Lab,
    guest: &Guest,
    args: &[&str],
    direction: Direction,
    bursts: Bursts,
    v6: bool,
) -> Result<Ledger> {
    let either =
        |v4: Ipv4Addr, six: Ipv6Addr| -> (IpAddr, u16) { (if v6 { six.into() } else { v4.into() }, PORT) };
    let (sink, socket) = if direction == Egress {
        let to = either(lab.wire.ipv4, lab.wire.ipv6);
        (lab.wire_udp_sink(PORT)?, guest.in_netns(|| bursts.socket(to))?)
    } else {
        let to = either(guest.ipv4, guest.ipv6);
        (guest.udp_sink(PORT)?, lab.in_wire(|| bursts.socket(to))?)
    };
    let burst = |number: u64, sent_before: u64| {
        bursts.send(&socket, number)?;
        let sent = sent_before + bursts.each();
        let arrived = sink.wait(sent, ARRIVE_WITHIN)?;
        ensure!(arrived == sent, "{arrived} of {sent} arrived");
        Ok(sent)
    };
    // The switch learns the flow before, and the neighbours know each other.
    let mut sent = burst(bursts.count, 0)?;
    let tracer = Tracer::start(&[&["trace", &guest.port_id, "udp", "--json"], args].concat())?;
    for number in 0..bursts.count {
        sent = burst(number, sent)?;
    }
    let report = tracer.finish()?;
    let ledger = report.direction(direction).ledger;
    let none = Ledger { lost: 0, dropped: 0, in_flight: 0, evicted: 0, ..ledger };
    ledger.expect(&Ledger { ambiguous: 0, untracked: 0, ..none })?;
    Ok(ledger)
}

/// Has what is sent to an interface cut before its peer sees it.
pub(crate) fn cutting(ifname: &str) -> Result<Trap> {
    let set = |state| ["-K", ifname, "tx-udp-segmentation", state, "tx-gso-list", state];
    Trap::set("ethtool", &set("off"), &set("on"))
}
