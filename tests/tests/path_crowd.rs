//! Every port of a large host in one trace: 500 of them, of which ten have traffic.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

use aya::programs::{SchedClassifier, TcAttachType};
use hoptrace_tests::lab::{Crowd, UdpSink};
use hoptrace_tests::payload;
use hoptrace_tests::prelude::*;
use hoptrace_tests::soak::own_peak_bytes;

/// Ports in all, those of the lab's own guests among them.
const PORTS: usize = 500;
const TALKERS: usize = 10;
/// From starting the program to the first packet admitted.
const START_LIMIT: Duration = Duration::from_secs(5);
/// The kernel's maps and the process together.
const MEMORY_LIMIT_BYTES: u64 = 300 << 20;
/// In each of them every flow sends less than any queue on its way holds.
const ROUNDS: u64 = 10;
const ARRIVE_WITHIN: Duration = Duration::from_secs(10);
/// Where the first flow goes to; each has a port of its own.
const FIRST_PORT: u16 = 5100;
const SIZE_BYTES: usize = 64;
/// The exit code where nothing was seen.
const NO_TRAFFIC: i32 = 5;

/// Who sends or receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Wire,
    Talker(usize),
}

/// The lab with its crowd.
struct Scene<'a> {
    lab: &'a Lab,
    crowd: &'a Crowd,
}

impl Scene<'_> {
    fn talker(&self, number: usize) -> Result<&Guest> {
        self.crowd.talkers.get(number).context("no such guest")
    }

    fn address(&self, end: End) -> Result<Ipv4Addr> {
        Ok(match end {
            End::Wire => self.lab.wire.ipv4,
            End::Talker(number) => self.talker(number)?.ipv4,
        })
    }

    fn sink(&self, end: End, port: u16) -> Result<UdpSink> {
        match end {
            End::Wire => self.lab.wire_udp_sink(port),
            End::Talker(number) => self.talker(number)?.udp_sink(port),
        }
    }

    fn socket(&self, end: End, to: (Ipv4Addr, u16)) -> Result<UdpSocket> {
        let open = || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(to)?;
            Ok(socket)
        };
        match end {
            End::Wire => self.lab.in_wire(open),
            End::Talker(number) => self.talker(number)?.in_netns(open),
        }
    }

    /// Flows from one end to the other, no two of which send alike many.
    fn flows(&self, ends: impl Iterator<Item = (End, End)>) -> Result<Vec<Flow>> {
        let flow = |((from, to), port): ((End, End), u16)| {
            let socket = self.socket(from, (self.address(to)?, port))?;
            let (each, sink) = (u64::from(port - FIRST_PORT + 1), self.sink(to, port)?);
            Ok(Flow { from, to, each, socket, sink, run_tag: payload::new_run_tag() })
        };
        ends.zip(FIRST_PORT..).map(flow).collect()
    }
}

/// Datagrams from one end to another.
struct Flow {
    from: End,
    to: End,
    /// How many in each round.
    each: u64,
    socket: UdpSocket,
    sink: UdpSink,
    run_tag: u64,
}

impl Flow {
    fn round(&self, number: u64) -> Result<()> {
        let (sent, all) = (number * self.each, (number + 1) * self.each);
        for sequence in sent..all {
            self.socket.send(&payload::encode(sequence, self.run_tag, SIZE_BYTES))?;
        }
        let arrived = self.sink.wait(all, ARRIVE_WITHIN)?;
        ensure!(arrived == all, "{:?} → {:?}: {arrived} of {all} arrived", self.from, self.to);
        Ok(())
    }

    /// What it is in the ledger of a port, by direction; `None`: the port is at neither end.
    fn counts_at(&self, port: End) -> Option<(Direction, Ledger)> {
        let sent = ROUNDS * self.each;
        let beside = self.from != End::Wire && self.to != End::Wire;
        let all = Ledger { entered: sent, completed: sent, ..Ledger::default() };
        if self.from == port {
            return Some((Egress, Ledger { elsewhere: if beside { sent } else { 0 }, ..all }));
        }
        (self.to == port).then_some((Ingress, all))
    }
}

/// Each talker sends to the wire and receives from it, the first two from each other, too.
fn all_ways() -> impl Iterator<Item = (End, End)> {
    let out = (0..TALKERS).map(|number| (End::Talker(number), End::Wire));
    let into = (0..TALKERS).map(|number| (End::Wire, End::Talker(number)));
    let between = [(0, 1), (1, 0)].map(|(from, to)| (End::Talker(from), End::Talker(to)));
    out.chain(into).chain(between)
}

/// What the ledger of a port must be.
fn expected(flows: &[Flow], port: End, direction: Direction) -> Ledger {
    let counts = flows.iter().filter_map(|flow| flow.counts_at(port));
    counts.filter(|(way, _)| *way == direction).fold(Ledger::default(), |sum, (_, flow)| Ledger {
        entered: sum.entered + flow.entered,
        completed: sum.completed + flow.completed,
        elsewhere: sum.elsewhere + flow.elsewhere,
        ..sum
    })
}

/// Programs at the interfaces of these guests and the NIC, whoever attached them.
fn attached(lab: &Lab, crowd: &Crowd) -> Result<usize> {
    let own = crowd.guests().flat_map(|guest| [&guest.tap, &guest.qvb, &guest.qvo]);
    let mut count = 0;
    for ifname in own.chain([&lab.nic]) {
        for side in [TcAttachType::Ingress, TcAttachType::Egress] {
            count += SchedClassifier::query_tcx(ifname, side)?.1.len();
        }
    }
    Ok(count)
}

/// How long the faster one of two starts takes: whatever else the machine does just then makes a start slower, and none faster.
fn fastest_start(words: &[&str]) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..2 {
        let tracer = Tracer::start(words)?;
        fastest = fastest.min(tracer.started_in);
        tracer.signal(Signal::INT)?;
        let ended = tracer.wait()?;
        ensure!(ended.status.code() == Some(NO_TRAFFIC), "{}: {}", ended.status, ended.stderr);
    }
    Ok(fastest)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn five_hundred_ports_are_traced_at_once_and_each_has_its_own_ledger() -> Result<()> {
    let lab = Lab::from_env()?;
    let crowd = Crowd::join(&lab, PORTS - lab.guests.len(), TALKERS)?;
    let flows = Scene { lab: &lab, crowd: &crowd }.flows(all_ways())?;
    ensure!(attached(&lab, &crowd)? == 0, "something is attached before");

    let words = ["trace", "--all", "udp", "--json"];
    let before = fastest_start(&words)?;
    let tracer = Tracer::start(&words)?;
    let started_in = tracer.started_in.min(before);
    for number in 0..ROUNDS {
        flows.iter().try_for_each(|flow| flow.round(number))?;
    }
    let process_bytes = own_peak_bytes(tracer.pid())?;
    let each = tracer.finish_each()?;

    ensure!(attached(&lab, &crowd)? == 0, "{} programs are left", attached(&lab, &crowd)?);
    let talkers = crowd.talkers.iter().enumerate().map(|(number, guest)| (&*guest.mac, End::Talker(number)));
    let talkers: HashMap<_, _> = talkers.collect();
    let mut talked = 0;
    for (name, report) in &each {
        let end = talkers.get(&*report.path.instance.mac);
        talked += usize::from(end.is_some());
        for (direction, found) in report.directions.both() {
            let wanted = end.map_or_else(Ledger::default, |port| expected(&flows, *port, direction));
            found.ledger.expect(&wanted).with_context(|| format!("{direction} of {name}"))?;
        }
    }
    ensure!((each.len(), talked) == (PORTS, TALKERS), "{talked} that talk, of {} ports", each.len());
    let (_, report) = each.first().context("no port")?;
    let memory_bytes = report.tracer.map_bytes + process_bytes;
    ensure!(
        memory_bytes <= MEMORY_LIMIT_BYTES,
        "{memory_bytes} bytes, of them {process_bytes} the process's"
    );
    ensure!(started_in <= START_LIMIT, "it took {started_in:?}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn one_of_five_hundred_ports_is_traced_as_soon_as_all() -> Result<()> {
    let lab = Lab::from_env()?;
    let crowd = Crowd::join(&lab, PORTS - lab.guests.len(), 2)?;
    let scene = Scene { lab: &lab, crowd: &crowd };
    let talker = &*scene.talker(0)?.mac;
    let began = Instant::now();
    let started_in = fastest_start(&["trace", talker, "udp", "--json"])?;
    ensure!(began.elapsed() <= 4 * START_LIMIT && started_in <= START_LIMIT, "it took {started_in:?}");

    let flows =
        [(End::Talker(0), End::Wire), (End::Talker(0), End::Talker(1)), (End::Talker(1), End::Talker(0))];
    let flows = scene.flows(flows.into_iter())?;
    let tracer = Tracer::start(&["trace", talker, "udp", "--json"])?;
    for number in 0..ROUNDS {
        flows.iter().try_for_each(|flow| flow.round(number))?;
    }
    for (direction, found) in tracer.finish()?.directions.both() {
        found.ledger.expect(&expected(&flows, End::Talker(0), direction)).context(direction)?;
    }
    Ok(())
}
