//! What a fault meets: the lab, the guest that is traced and the one that is not, and traffic.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::raw::Ends;
use super::{Direction, Hooks, Platform, Toll};
use crate::exec::run;
use crate::kernel_version::kernel_version;
use crate::lab::{Guest, InterfaceCounts, Lab, Pace, Trap};
use crate::payload;

/// Port of packets that are to die.
pub(super) const DOOMED_PORT: u16 = 4444;
/// Packets that are to die, per direction.
pub(super) const DOOMED: u64 = 100;
/// Port on the wire that innocent packets go to.
const WIRE_PORT: u16 = 5009;
/// Payload of a packet, in bytes.
pub(super) const PAYLOAD_BYTES: usize = 64;
/// Between two doomed packets: they shall not overflow a queue by themselves.
pub(super) const PACE: Duration = Duration::from_micros(200);
/// Innocent packets go in so many turns with the doomed ones.
const TURNS: u64 = 4;
/// How long packets may take to where they are waited for, and how often that is looked at.
const WAIT_LIMIT: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long the datapath may take to learn its flows.
const LEARNING_LIMIT: Duration = Duration::from_secs(20);

/// The lab as faults see it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// The guest that is traced.
    pub guest: &'a Guest,
    /// Another one on the same network.
    pub other: &'a Guest,
    /// Who forwards.
    pub platform: Platform,
    /// Which of the path's interfaces get hooks.
    pub hooks: Hooks,
}

impl<'a> Scene<'a> {
    pub(super) fn new(lab: &'a Lab, hooks: Hooks) -> Result<Self> {
        let [guest, other, ..] = lab.guests.as_slice() else { anyhow::bail!("the lab has no two guests") };
        let has_kernel_datapath = lab.datapath == "system";
        let platform = Platform { kernel: kernel_version()?, has_kernel_datapath };
        Ok(Self { lab, guest, other, platform, hooks })
    }

    /// A fault set and taken away by shell commands, in which `$tap`, `$qbr`, `$qvb`, `$qvo`, `$nic` are the guest's
    /// interfaces, `$ip`, `$mac` its addresses, `$id` its port's first ten characters and `$port` the doomed port.
    pub(super) fn trap(&self, set: &str, remove: &str) -> Result<Trap> {
        let prelude = self.prelude();
        let script = |text: &str| format!("{prelude}\n{text}");
        Trap::set("sh", &["-ec", &script(set)], &["-ec", &script(remove)])
    }

    /// What a shell command with the same variables says.
    pub(super) fn shell(&self, command: &str) -> Result<String> {
        run("sh", &["-ec", &format!("{}\n{command}", self.prelude())])
    }

    /// The number that a shell command says.
    pub(super) fn number(&self, command: &str) -> Result<u64> {
        let said = self.shell(command)?;
        said.trim().parse().with_context(|| format!("`{command}` says {said:?}, not a number"))
    }

    /// The same once two answers in a row agree: what was sent has met its fate.
    pub(super) fn settled(&self, command: &str) -> Result<u64> {
        let mut last = self.number(command)?;
        loop {
            let next = self.number(command)?;
            if next == last {
                return Ok(next);
            }
            last = next;
        }
    }

    /// Ends of doomed datagrams of a direction.
    pub(super) fn ends(&self, direction: Direction) -> Ends {
        let (guest, wire) = (self.guest.ipv4, self.lab.wire.ipv4);
        let (from, to) = match direction {
            Direction::Egress => (guest, wire),
            Direction::Ingress => (wire, guest),
        };
        Ends { from, from_port: DOOMED_PORT, to, port: DOOMED_PORT }
    }

    /// The guest's hardware address.
    pub(super) fn guest_mac(&self) -> Result<[u8; 6]> {
        let bytes: Result<Vec<u8>, _> =
            self.guest.mac.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect();
        bytes
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .with_context(|| format!("not a MAC: {}", self.guest.mac))
    }

    fn prelude(&self) -> String {
        let guest = self.guest;
        let id: String = guest.port_id.chars().take(10).collect();
        let pid = guest.nic_pid.map(|pid| pid.to_string()).unwrap_or_default();
        format!(
            "PATH=$PATH:/usr/sbin:/sbin tap={} qbr={} qvb={} qvo={} nic={} ip={} mac={} id={id} port={DOOMED_PORT} \
             guest={} guest_nic={pid} wire={} wire_ip={} other_qvo={}",
            guest.tap,
            guest.qbr,
            guest.qvb,
            guest.qvo,
            self.lab.nic,
            guest.ipv4,
            guest.mac,
            guest.netns.as_deref().unwrap_or_default(),
            self.lab.wire.netns,
            self.lab.wire.ipv4,
            self.other.qvo,
        )
    }

    /// `count` packets of the guest to the doomed port of the wire; returns when they have come out of its tap.
    pub(super) fn send_out(&self, count: u64, size_bytes: usize, pace: Duration) -> Result<()> {
        let tap = self.guest.tap.as_str();
        let before = InterfaceCounts::of(tap)?;
        let sent = self.guest.send_udp((self.lab.wire.ipv4.into(), DOOMED_PORT), count, size_bytes, pace)?;
        ensure!(sent.sent == count, "the guest sent {} of {count}", sent.sent);
        wait_until("all packets of the guest have come out of its tap", || {
            Ok(InterfaceCounts::of(tap)?.since(&before).rx_packets >= count)
        })
    }

    /// `count` packets of the wire to the doomed port of the guest. What the guest answers does not stop the sender.
    pub(super) fn send_in(&self, count: u64, size_bytes: usize, pace: Duration) -> Result<()> {
        let to = (self.guest.ipv4, DOOMED_PORT);
        self.lab.in_wire(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").context("bind on the wire")?;
            let (run_tag, mut pace) = (payload::new_run_tag(), Pace::new(pace));
            for sequence in 0..count {
                pace.wait();
                socket.send_to(&payload::encode(sequence, run_tag, size_bytes), to).context("send")?;
            }
            Ok(())
        })
    }

    /// Innocent packets of a guest, each of which arrives.
    pub(super) fn innocent(&self, guest: &Guest, each: u64) -> Result<()> {
        self.lab.wire_udp_exact(guest, each, PAYLOAD_BYTES).context("an innocent packet died")?;
        let arrived = self.lab.guest_udp_exact(guest, WIRE_PORT, each, PAYLOAD_BYTES)?;
        ensure!(arrived.datagrams == each, "innocent packets died: {arrived:?}");
        Ok(())
    }

    /// Sends [`DOOMED`] packets with so large a payload each way, all of which die.
    pub(super) fn both_ways_of(&self, size_bytes: usize) -> Result<Toll> {
        let sink = self.lab.wire_udp_sink(DOOMED_PORT)?;
        for _ in 0..TURNS {
            self.send_in(DOOMED / TURNS, size_bytes, PACE)?;
            self.send_out(DOOMED / TURNS, size_bytes, PACE)?;
        }
        let through = sink.finish(0, Duration::ZERO)?;
        ensure!(through.datagrams == 0, "the fault let {} packets through", through.datagrams);
        Ok(Toll::all(DOOMED))
    }

    /// Sends until the datapath knows a flow for whatever comes: no packet of a whole turn is a miss.
    pub(super) fn teach_datapath(&self, send: impl Fn(&Self) -> Result<()>) -> Result<()> {
        let began = Instant::now();
        loop {
            let before = self.misses()?;
            send(self)?;
            if self.misses()? == before {
                return Ok(());
            }
            ensure!(began.elapsed() < LEARNING_LIMIT, "the datapath does not learn its flows");
        }
    }

    fn misses(&self) -> Result<u64> {
        // A datapath that is asked twice without a change in between has settled.
        self.shell("ovs-appctl revalidator/wait")?;
        self.number("ovs-appctl dpctl/show | sed -n 's/.*missed:\\([0-9]*\\).*/\\1/p'")
    }
}

/// Sends [`DOOMED`] packets each way, all of which die.
pub(super) fn both_ways(scene: &Scene<'_>) -> Result<Toll> {
    scene.both_ways_of(PAYLOAD_BYTES)
}

/// Looks until it is so.
pub(super) fn wait_until(what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + WAIT_LIMIT;
    while !is_so()? {
        ensure!(Instant::now() < deadline, "it does not come about that {what}");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
