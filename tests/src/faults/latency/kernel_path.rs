//! Delays on the path that is all in the kernel, on this machine's own timers.
//!
//! Both bridges ask iptables about what they forward, and its queue in user space holds packets between two hooks: how long,
//! whoever holds them knows. What that takes by itself is in the figures without a delay. The veth pair between the bridges has
//! no such place.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::super::Direction;
use super::super::runner::{Traps, guarded};
use super::held::{Holder, QUEUES};
use super::verdict::{Delayed, TOLERANCE_NS, TOLERANCE_PCT, untold};
use crate::lab::{Guest, Lab, Pace, Trap};
use crate::payload;
use crate::report::Report;
use crate::tracer::Tracer;

/// Packets in each direction, per delay.
const PACKETS: u64 = 400;
const PACE: Duration = Duration::from_micros(500);
const WAIT: Duration = Duration::from_secs(5);
const PORT: u16 = 4500;
const PAYLOAD_BYTES: usize = 64;

/// Direction, segment, and the interfaces of the bridge between.
type Place = (Direction, &'static str, &'static str);

/// Those in a row are delayed at the same time: their directions differ.
const ROWS: [[Place; 2]; 2] = [
    [(Direction::Egress, "tap", "qvb"), (Direction::Ingress, "nic", "qvo")],
    [(Direction::Egress, "qvo", "nic"), (Direction::Ingress, "qvb", "tap")],
];

/// Delays in words, their mean and their jitter in nanoseconds.
const DELAYS: [(&str, u64, u64); 4] = [
    ("100us", 100_000, 0),
    ("1ms", 1_000_000, 0),
    ("10ms", 10_000_000, 0),
    ("10ms 1ms", 10_000_000, 1_000_000),
];

/// A report, and how long packets were held meanwhile, by direction: the medians.
type Told = (Report, [u64; 2]);

/// Delays the segments in turn; `each` hears of each result.
pub(super) fn delay_all(lab: &Lab, each: &mut dyn FnMut(&Delayed)) -> Result<Vec<Delayed>> {
    let guest = lab.guests.first().context("the lab has no guest")?;
    let mut results = Vec::new();
    for row in ROWS {
        let reports = guarded(|| reports(lab, guest, &row));
        for place in row {
            for (number, (words, mean_ns, _)) in DELAYS.into_iter().enumerate() {
                let result = match &reports {
                    Ok((without, with)) => compare(place, words, mean_ns, without, with.get(number)),
                    Err(error) => untold(place, words, mean_ns, format!("{error:#}")),
                };
                each(&result);
                results.push(result);
            }
        }
    }
    Ok(results)
}

/// The report without a delay, and those with each.
fn reports(lab: &Lab, guest: &Guest, row: &[Place]) -> Result<(Told, Vec<Told>)> {
    let holder = Holder::start()?;
    let mut traps = Traps(row.iter().map(|place| queued(lab, guest, *place)).collect::<Result<_>>()?);
    let told = |mean_ns, jitter_ns| {
        holder.set(mean_ns, jitter_ns);
        Ok::<_, anyhow::Error>((report(lab, guest)?, holder.medians_ns()?))
    };
    let without = told(0, 0)?;
    let with =
        DELAYS.iter().map(|(_, mean_ns, jitter_ns)| told(*mean_ns, *jitter_ns)).collect::<Result<_>>()?;
    traps.take_away()?;
    holder.finish()?;
    Ok((without, with))
}

/// That of the direction.
fn of<T>(direction: Direction, [egress, ingress]: [T; 2]) -> T {
    match direction {
        Direction::Egress => egress,
        Direction::Ingress => ingress,
    }
}

/// What the bridge forwards from one interface to the other goes to the holder.
fn queued(lab: &Lab, guest: &Guest, (direction, from, to): Place) -> Result<Trap> {
    let interface = |hook: &str| match hook {
        "tap" => guest.tap.clone(),
        "qvb" => guest.qvb.clone(),
        "qvo" => guest.qvo.clone(),
        _ => lab.nic.clone(),
    };
    let rule = format!(
        "FORWARD -p udp -m physdev --physdev-in {} --physdev-out {} --physdev-is-bridged -j NFQUEUE --queue-num {}",
        interface(from),
        interface(to),
        of(direction, QUEUES)
    );
    let words = |action: &'static str| std::iter::once(action).chain(rule.split(' ')).collect::<Vec<_>>();
    Trap::set("iptables", &words("-A"), &words("-D"))
}

/// The report on packets both ways, all of which arrive.
fn report(lab: &Lab, guest: &Guest) -> Result<Report> {
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "--json"])?;
    let at_wire = lab.in_wire(sink)?;
    let at_guest = guest.in_netns(sink)?;
    guest.in_netns(|| send((lab.wire.ipv4, PORT).into()))?;
    lab.in_wire(|| send((guest.ipv4, PORT).into()))?;
    arrived(&at_wire)?;
    arrived(&at_guest)?;
    tracer.finish()
}

fn sink() -> Result<UdpSocket> {
    let socket = UdpSocket::bind(("0.0.0.0", PORT)).context("bind")?;
    socket.set_read_timeout(Some(WAIT))?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 8 << 20)?;
    Ok(socket)
}

fn send(to: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("bind")?;
    let (run_tag, mut pace) = (payload::new_run_tag(), Pace::new(PACE));
    for sequence in 0..PACKETS {
        pace.wait();
        socket.send_to(&payload::encode(sequence, run_tag, PAYLOAD_BYTES), to).context("send")?;
    }
    Ok(())
}

fn arrived(socket: &UdpSocket) -> Result<()> {
    for received in 0..PACKETS {
        match socket.recv(&mut [0; 128]) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                anyhow::bail!("{received} of {PACKETS} packets arrived")
            }
            Err(error) => return Err(error).context("receive"),
        }
    }
    Ok(())
}

fn compare(place: Place, words: &str, mean_ns: u64, without: &Told, with: Option<&Told>) -> Delayed {
    let (direction, from, to) = place;
    let found = || -> Result<Delayed> {
        let (with, held_with) = with.context("no report")?;
        let (without, held_without) = without;
        let (before, after) = (medians(without, direction)?, medians(with, direction)?);
        let mut result = untold(place, words, mean_ns, String::new());
        let mut here = None;
        for ((name, before_ns), (_, after_ns)) in before.iter().zip(&after) {
            if *name == (from.to_owned(), to.to_owned()) {
                here = Some((*before_ns, *after_ns));
            } else {
                result.elsewhere_ns = result.elsewhere_ns.max(after_ns.saturating_sub(*before_ns));
            }
        }
        (result.p50_without_ns, result.p50_with_ns) =
            here.with_context(|| format!("no segment {from} → {to}"))?;
        result.witnessed_ns = of(direction, *held_with).saturating_sub(of(direction, *held_without));
        let added_ns = result.p50_with_ns.saturating_sub(result.p50_without_ns);
        result.apart_ns = added_ns.abs_diff(result.witnessed_ns);
        let tolerance_ns = result.witnessed_ns * TOLERANCE_PCT / 100 + TOLERANCE_NS;
        result.correct = result.apart_ns <= tolerance_ns
            && result.elsewhere_ns <= tolerance_ns
            && result.witnessed_ns + tolerance_ns >= mean_ns;
        result.wrong = (!result.correct).then(|| "the delay is not where it belongs".to_owned());
        Ok(result)
    };
    found().unwrap_or_else(|error| untold(place, words, mean_ns, format!("{error:#}")))
}

/// The segments of a direction with their medians, in the path's order.
fn medians(report: &Report, direction: Direction) -> Result<Vec<((String, String), u64)>> {
    let found = report.direction(direction);
    let completed = found.ledger.completed;
    ensure!(completed == PACKETS, "{completed} of {PACKETS} packets completed");
    let figures = found.on_path().map(|segment| {
        let name = (segment.from.clone(), segment.to.clone());
        Ok((name, segment.ns()?.p50))
    });
    figures.collect()
}
