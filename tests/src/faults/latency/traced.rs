//! Packets under delays: when each was where, by hoptrace and by tcpdump.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::super::runner::Traps;
use super::super::scene::PAYLOAD_BYTES;
use super::super::{Direction, Scene};
use super::site::{DELAYS, NONE, REPORTED, Site};
use crate::capture::{Capture, Captures};
use crate::lab::Pace;
use crate::payload;
use crate::report;
use crate::report::Report;
use crate::tracer::Tracer;

/// Rounds of all delays.
const ROUNDS: u64 = 4;
/// Packets in each direction, per delay and round.
const EACH: u64 = 50;
const PACE: Duration = Duration::from_micros(500);
const WAIT: Duration = Duration::from_secs(10);
/// Port of the packets of the first phase; each phase has one of its own. The guest's sink is at another one.
const FIRST_PORT: u16 = 4500;
const GUEST_SINK_PORT: u16 = 9;

/// When a packet was where, in nanoseconds of the clock of whoever says so.
#[derive(Debug, Default)]
pub(super) struct Packet {
    /// By hoptrace, at its hooks.
    pub(super) hooks: Vec<(String, u64)>,
    /// By tcpdump, at the interfaces.
    pub(super) interfaces: HashMap<&'static str, u64>,
}

/// The packets of one delay.
#[derive(Debug, Default)]
pub(super) struct Phase {
    egress: Vec<Packet>,
    ingress: Vec<Packet>,
}

impl Phase {
    pub(super) fn packets(&self, direction: Direction) -> &[Packet] {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }
}

/// What was seen of a row of sites.
#[derive(Debug)]
pub(super) struct Traced {
    /// The packets without a delay, then those of each of [`DELAYS`].
    pub(super) phases: Vec<Phase>,
    /// `trace`'s report on packets with one delay, [`REPORTED`].
    pub(super) report: Report,
    /// When tcpdump saw those, by interface and identity.
    pub(super) seen: Seen,
}

/// When tcpdump saw packets, by interface and identity.
pub(super) type Seen = Vec<(&'static str, HashMap<u64, u64>)>;

/// All delays in turn, at all sites of the row at the same time.
pub(super) fn traced(scene: &Scene<'_>, row: &[Site]) -> Result<Traced> {
    let mut traps = Traps(Vec::new());
    // So that tcpdump's time of a packet that comes in is the one at which it is taken out of the backlog.
    traps.0.push(scene.trap(
        "sysctl -qw net.core.netdev_tstamp_prequeue=0",
        "sysctl -qw net.core.netdev_tstamp_prequeue=1",
    )?);
    for site in row {
        traps.0.push(site.set(scene)?);
    }
    let phases = in_turn(scene, row)?;
    let (report, seen) = reported(scene, row)?;
    traps.take_away()?;
    Ok(Traced { phases, report, seen })
}

/// Single packets under each delay.
fn in_turn(scene: &Scene<'_>, row: &[Site]) -> Result<Vec<Phase>> {
    let tracer = Tracer::start(&["packets", &scene.guest.port_id, "udp", "--wire", "--jsonl"])?;
    let captures = Captures::start(&scene.lab.path_interfaces(scene.guest), &std::env::temp_dir())?;
    let delays: Vec<&str> = std::iter::once(NONE).chain(DELAYS.iter().map(|delay| delay.words)).collect();
    for _ in 0..ROUNDS {
        for (port, delay) in (FIRST_PORT..).zip(&delays) {
            row.iter().try_for_each(|site| site.change(scene, delay))?;
            send(scene, port).with_context(|| format!("with a delay of {delay}"))?;
        }
    }
    let seen = seen(captures)?;
    tracer.signal(Signal::INT)?;
    let ended = tracer.wait()?;
    ensure!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
    pair(&report::Packet::read_all(&ended.stdout)?, &seen, delays.len())
}

/// The report on packets under one delay.
fn reported(scene: &Scene<'_>, row: &[Site]) -> Result<(Report, Seen)> {
    row.iter().try_for_each(|site| site.change(scene, REPORTED))?;
    let tracer = Tracer::start(&["trace", &scene.guest.port_id, "udp", "--wire", "--json"])?;
    let captures = Captures::start(&scene.lab.path_interfaces(scene.guest), &std::env::temp_dir())?;
    (0..ROUNDS).try_for_each(|_| send(scene, FIRST_PORT))?;
    let seen = seen(captures)?;
    Ok((tracer.finish()?, seen))
}

/// Ends tcpdump on the path's interfaces.
fn seen(captures: Captures) -> Result<Seen> {
    let captures = captures.finish()?;
    Ok(["tap", "qvb", "qvo", "nic"].into_iter().zip(captures.iter().map(Capture::by_identity)).collect())
}

/// Packets both ways, all of which arrive.
fn send(scene: &Scene<'_>, port: u16) -> Result<()> {
    let sink = scene.lab.wire_udp_sink(port)?;
    scene.guest.send_udp((scene.lab.wire.ipv4.into(), port), EACH, PAYLOAD_BYTES, PACE)?;
    let at_wire = sink.finish(EACH, WAIT)?.datagrams;
    scene.guest.sink_reset()?;
    let to = (scene.guest.ipv4, GUEST_SINK_PORT);
    scene.lab.in_wire(|| {
        let socket = UdpSocket::bind(("0.0.0.0", port)).context("bind on the wire")?;
        let (run_tag, mut pace) = (payload::new_run_tag(), Pace::new(PACE));
        for sequence in 0..EACH {
            pace.wait();
            socket.send_to(&payload::encode(sequence, run_tag, PAYLOAD_BYTES), to).context("send")?;
        }
        Ok(())
    })?;
    let at_guest = scene.guest.sink_wait(EACH, WAIT)?.datagrams;
    ensure!(
        at_wire == EACH && at_guest == EACH,
        "{at_wire} arrived at the wire, {at_guest} at the guest, of {EACH}"
    );
    Ok(())
}

/// What both say about each packet, by phase.
fn pair(ways: &[report::Packet], seen: &Seen, phases: usize) -> Result<Vec<Phase>> {
    let mut found: Vec<Phase> = (0..phases).map(|_| Phase::default()).collect();
    for way in ways {
        let port = match way.direction {
            Direction::Egress => way.destination_port,
            Direction::Ingress => way.source_port,
        };
        let number = port.and_then(|port| port.checked_sub(FIRST_PORT));
        let Some(phase) = number.and_then(|number| found.get_mut(usize::from(number))) else { continue };
        let times = seen.iter().filter_map(|(name, times)| Some((*name, *times.get(&way.identity)?)));
        let packet = Packet {
            hooks: way.hops.iter().map(|hop| (hop.hook.clone(), hop.at_ns)).collect(),
            interfaces: times.collect(),
        };
        match way.direction {
            Direction::Egress => phase.egress.push(packet),
            Direction::Ingress => phase.ingress.push(packet),
        }
    }
    for (number, phase) in found.iter().enumerate() {
        let (out, into) = (phase.egress.len() as u64, phase.ingress.len() as u64);
        ensure!(
            (out, into) == (ROUNDS * EACH, ROUNDS * EACH),
            "{out} and {into} packets with delay {number}"
        );
    }
    Ok(found)
}
