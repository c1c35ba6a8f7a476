//! What is measured.

use std::path::Path;

use anyhow::{Result, ensure};
use aya::{Ebpf, programs::ProgramFd};
use hoptrace_common::filter::Filter;

use crate::{
    against::Against,
    course::{Course, DISTINCT, HOT, STATIONS, Traffic, ns_per_run, programs},
    frees::Frees,
    packets::{Kind, Packet, packet},
    part::{Bases, Part, Round},
    rejected::Rejected,
    support::{
        object::{self, classifier},
        plan::{VM_MAC, mac_number},
    },
    tracer::Tracer,
    xdp::XdpBench,
};

/// The row that others are divided by.
pub(crate) const CLOCK: &str = "clock";
/// The row that is the floor of all.
pub(crate) const EMPTY: &str = "empty";

const DISTINCT_ONE: Traffic = Traffic { window_bits: 0, fresh: true };
const DISTINCT_MANY: Traffic = Traffic { window_bits: 10, fresh: true };
/// So many that about one of 16 is one of them.
const HOT_MANY: Traffic = Traffic { window_bits: 7, fresh: false };
const TRAFFIC: [Traffic; 5] = [HOT, HOT_MANY, DISTINCT, DISTINCT_ONE, DISTINCT_MANY];

/// Whose programs stand at the stations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contender {
    Clock,
    /// The hooks of the way out.
    Hops,
    /// Likewise where one packet of 16 is timed.
    HopsTimed16,
    /// The first hook only: from the second time on the packet is ambiguous.
    FirstHopOnly,
    /// With a filter that lets TCP by and nothing else.
    HopsForTcp,
    /// With one that lets UDP by.
    HopsForUdp,
    Lru,
    /// Clock, headers, and a slot taken by compare-exchange; nothing else.
    Floor,
    /// That, and the figures that a report needs.
    Told,
    /// Headers, a slot taken, the coarse clock, and counts: what a packet takes that is not timed.
    Counted,
}

struct Row {
    name: &'static str,
    contender: Contender,
    kind: Kind,
    traffic: Traffic,
    figures: Vec<f64>,
}

const ROWS: &[(&str, Contender, Kind, Traffic)] = &[
    (CLOCK, Contender::Clock, Kind::UdpV4, HOT),
    ("floor_hot", Contender::Floor, Kind::UdpV4, HOT),
    ("floor_distinct", Contender::Floor, Kind::UdpV4, DISTINCT),
    ("told_hot", Contender::Told, Kind::UdpV4, HOT),
    ("told_distinct", Contender::Told, Kind::UdpV4, DISTINCT),
    ("counted_hot", Contender::Counted, Kind::UdpV4, HOT),
    ("counted_distinct", Contender::Counted, Kind::UdpV4, DISTINCT),
    ("hop_hot", Contender::Hops, Kind::UdpV4, HOT),
    ("hop_distinct", Contender::Hops, Kind::UdpV4, DISTINCT),
    ("hop_hot_many", Contender::Hops, Kind::UdpV4, HOT_MANY),
    ("hop_hot_timed_16", Contender::HopsTimed16, Kind::UdpV4, HOT_MANY),
    ("hop_distinct_timed_16", Contender::HopsTimed16, Kind::UdpV4, DISTINCT),
    ("filtered", Contender::HopsForTcp, Kind::UdpV4, HOT),
    ("lru_hot", Contender::Lru, Kind::UdpV4, HOT),
    ("lru_distinct", Contender::Lru, Kind::UdpV4, DISTINCT),
    ("hop_hot_tcp_v4", Contender::Hops, Kind::TcpV4, HOT),
    ("hop_distinct_tcp_v4", Contender::Hops, Kind::TcpV4, DISTINCT),
    ("hop_hot_tcp_v4_large", Contender::Hops, Kind::TcpV4Large, HOT),
    ("hop_hot_filter_udp", Contender::HopsForUdp, Kind::UdpV4, HOT),
    ("hop_distinct_filter_udp", Contender::HopsForUdp, Kind::UdpV4, DISTINCT),
    ("hop_hot_udp_v6", Contender::Hops, Kind::UdpV6, HOT),
    ("hop_distinct_udp_v6", Contender::Hops, Kind::UdpV6, DISTINCT),
    ("hop_hot_tcp_v6", Contender::Hops, Kind::TcpV6, HOT),
    ("hop_hot_vlan", Contender::Hops, Kind::UdpV4Vlan, HOT),
    ("hop_distinct_vlan", Contender::Hops, Kind::UdpV4Vlan, DISTINCT),
    ("hop_hot_qinq", Contender::Hops, Kind::UdpV4QinQ, HOT),
    ("filtered_udp_v6", Contender::HopsForTcp, Kind::UdpV6, HOT),
    ("hop_distinct_window_1", Contender::Hops, Kind::UdpV4, DISTINCT_ONE),
    ("lru_distinct_window_1", Contender::Lru, Kind::UdpV4, DISTINCT_ONE),
    ("hop_distinct_window_1024", Contender::Hops, Kind::UdpV4, DISTINCT_MANY),
    ("lru_distinct_window_1024", Contender::Lru, Kind::UdpV4, DISTINCT_MANY),
    ("hop_ambiguous", Contender::FirstHopOnly, Kind::UdpV4, HOT),
];

/// Everything loaded, and the figures so far.
pub(crate) struct Bench {
    others: Ebpf,
    course: Course,
    plain: Vec<ProgramFd>,
    clock: Vec<ProgramFd>,
    lru: Vec<ProgramFd>,
    floor: Vec<ProgramFd>,
    told: Vec<ProgramFd>,
    counted: Vec<ProgramFd>,
    tracer: Tracer,
    timed_16: Tracer,
    for_tcp: Tracer,
    for_udp: Tracer,
    /// For what would spoil the ledger.
    spoilt: Tracer,
    empty: Vec<f64>,
    rows: Vec<Row>,
    /// What is set up otherwise.
    parts: Vec<Box<dyn Part>>,
}

impl Bench {
    pub(crate) fn new(only: Option<&str>, against: Option<&Path>) -> Result<Self> {
        let lru = ["lru_first", "lru_last"];
        let told = ["told_first", "told_last"];
        let counted = ["counted_first", "counted_last"];
        let names = [&["empty", "clock", "course", "floor"][..], &lru, &told, &counted].concat();
        let mut others = object::load(mac_number(VM_MAC), &names)?;
        let wanted = |name: &str| name == CLOCK || only.is_none_or(|part| name.contains(part));
        let rows = ROWS.iter().filter(|(name, ..)| wanted(name)).map(|(name, contender, kind, traffic)| {
            Row { name, contender: *contender, kind: *kind, traffic: *traffic, figures: Vec::new() }
        });
        let mut parts: Vec<Box<dyn Part>> = Vec::new();
        if let Some(benchmark) = against
            && Against::names().any(wanted)
        {
            parts.push(Box::new(Against::of(benchmark)?));
        }
        if Rejected::names().any(wanted) {
            parts.push(Box::new(Rejected::load()?));
        }
        if Frees::names().any(wanted) {
            parts.push(Box::new(Frees::load(&mut others)?));
        }
        if XdpBench::names().any(wanted) {
            parts.push(Box::new(XdpBench::new(&mut others)?));
        }
        Ok(Self {
            parts,
            course: Course::new(&mut others)?,
            plain: programs(&others, &["empty"; 2])?,
            clock: programs(&others, &["clock"; 2])?,
            lru: programs(&others, &lru)?,
            floor: programs(&others, &["floor"; 2])?,
            told: programs(&others, &told)?,
            counted: programs(&others, &counted)?,
            others,
            tracer: Tracer::load(Filter::default())?,
            timed_16: Tracer::load_timed_16(Filter::default())?,
            for_tcp: Tracer::load(Filter { protocol: Filter::PROTOCOL_TCP, ..Filter::default() })?,
            for_udp: Tracer::load(Filter { protocol: Filter::PROTOCOL_UDP, ..Filter::default() })?,
            spoilt: Tracer::load(Filter::default())?,
            empty: Vec::new(),
            rows: rows.collect(),
        })
    }

    /// Measures every row once.
    pub(crate) fn round(&mut self, runs: u32) -> Result<()> {
        let driver = classifier(&self.others, "course")?;
        let plain = packet(Kind::UdpV4);
        let alone = ns_per_run(classifier(&self.others, "empty")?, &plain, runs, || {})?;
        self.empty.push(alone);
        let mut bases = Bases { empty_ns: alone, on_course: Vec::new() };
        for traffic in TRAFFIC {
            let ns = self.course.ns_per_run(driver, &self.plain, &plain, traffic, runs)?;
            bases.on_course.push((traffic, ns));
        }
        // A sweep goes through the whole table, and what the row needs may have to leave the caches for it: one that no row uses is left out.
        let is_sampled = self.rows.iter().any(|row| matches!(row.contender, Contender::HopsTimed16));
        for row in &mut self.rows {
            if is_sampled {
                self.timed_16.sweep();
            }
            for tracer in [&mut self.tracer, &mut self.for_udp] {
                tracer.sweep();
            }
            let stations = match row.contender {
                Contender::Clock => &self.clock,
                Contender::Lru => &self.lru,
                Contender::Floor => &self.floor,
                Contender::Told => &self.told,
                Contender::Counted => &self.counted,
                Contender::Hops => &self.tracer.programs([0, 1])?,
                Contender::HopsTimed16 => &self.timed_16.programs([0, 1])?,
                Contender::FirstHopOnly => &self.spoilt.programs([0, 0])?,
                Contender::HopsForTcp => &self.for_tcp.programs([0, 1])?,
                Contender::HopsForUdp => &self.for_udp.programs([0, 1])?,
            };
            let packet: Packet = packet(row.kind);
            let ns = self.course.ns_per_run(driver, stations, &packet, row.traffic, runs)?;
            let packets = u64::from(runs) / STATIONS;
            match row.contender {
                Contender::Hops => self.tracer.expect(packets),
                Contender::HopsTimed16 => self.timed_16.expect(packets),
                Contender::HopsForUdp => self.for_udp.expect(packets),
                _ => {}
            }
            row.figures.push(bases.alone_ns(row.traffic, ns)?);
        }
        let Self { others, course, parts, .. } = self;
        let mut round = Round { others, course, runs, bases: &bases };
        parts.iter_mut().try_for_each(|part| part.round(&mut round))
    }

    /// Forgets the figures so far.
    pub(crate) fn forget(&mut self) {
        self.empty.clear();
        for row in &mut self.rows {
            row.figures.clear();
        }
        self.parts.iter_mut().for_each(|part| part.forget());
    }

    /// Whether the programs did what was measured. Gives how many packets went all the way.
    pub(crate) fn check(&mut self) -> Result<u64> {
        // Nobody but the kernel's BPF statistics counts runs, and they read the clock twice per run.
        let counted_runs = classifier(&self.others, EMPTY)?.info()?.run_count();
        ensure!(
            counted_runs == 0,
            "BPF statistics were on (another tracer, or kernel.bpf_stats_enabled): the figures are those of the \
             statistics, too; end what switched them on and measure again"
        );
        self.for_tcp.check()?;
        self.parts.iter_mut().try_for_each(|part| part.check())?;
        Ok(self.tracer.check()? + self.timed_16.check()? + self.for_udp.check()?)
    }

    /// The figures of every row, in the order of the table.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (&str, &[f64])> {
        let rows = self.rows.iter().map(|row| (row.name, row.figures.as_slice()));
        let parts = self.parts.iter().flat_map(|part| part.figures());
        let parts = parts.map(|figures| (figures.name, figures.ns.as_slice()));
        std::iter::once((EMPTY, self.empty.as_slice())).chain(rows).chain(parts)
    }

    pub(crate) fn figures_of(&self, name: &str) -> Option<&[f64]> {
        self.figures().find(|(row, _)| *row == name).map(|(_, figures)| figures)
    }

    pub(crate) fn code_bytes(&self) -> Result<u32> {
        self.tracer.code_bytes()
    }
}
