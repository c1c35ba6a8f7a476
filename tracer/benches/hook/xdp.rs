//! What the XDP program costs, beside an empty one and one that only reads the clock. It is the first hook of its way, so
//! every packet is a new one here; none goes on, and what is in the table is lost between two slices (or evicted, where a
//! set is full before).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    programs::{ProgramFd, Xdp},
};
use hoptrace::{
    attach::Attached,
    collect::Collector,
    model::{Direction, PortId, TracerCost},
};
use hoptrace_common::filter::Filter;

use crate::{
    course::ns_per_run,
    packets::{Kind, packet},
    part::{Figures, Part, Round},
    support::plan::{load, load_options, xdp_plan},
};

/// The row that others here are divided by.
pub(crate) const XDP_CLOCK: &str = "xdp_clock";
/// The row that is their empty one.
pub(crate) const XDP_EMPTY: &str = "xdp_empty";
const ROWS: [&str; 4] = [XDP_EMPTY, XDP_CLOCK, "xdp_hop_distinct", "xdp_filtered"];

/// So short that a packet is lost as soon as no hook sees it.
const TIMEOUT: Duration = Duration::from_micros(10);

/// The programs, and their figures so far.
pub(crate) struct XdpBench {
    empty: ProgramFd,
    clock: ProgramFd,
    tracer: Tracer,
    for_tcp: Tracer,
    figures: [Figures; ROWS.len()],
}

struct Tracer {
    program: ProgramFd,
    collector: Collector,
    /// Holds the maps.
    _attached: Attached,
    packets: u64,
}

impl Tracer {
    fn load(filter: Filter) -> Result<Self> {
        let plan = xdp_plan()?;
        let (place, ..) = plan.xdp_hooks().next().context("a plan without XDP")?;
        let mut options = load_options(filter, 0);
        options.trace.timeout_ns = TIMEOUT.as_nanos().try_into()?;
        let (attached, mut collector) = load(&plan, &options, TIMEOUT)?;
        let program = attached.xdp_program(place).context("no XDP program")?.fd()?.try_clone()?;
        collector.open(None);
        Ok(Self { program, collector, _attached: attached, packets: 0 })
    }

    /// Whether each packet that went by is in the ledger, as one that never came further.
    fn check(&mut self) -> Result<()> {
        empty_table(&mut self.collector);
        let snapshot = self.collector.snapshot(PortId::FIRST, TracerCost::default()).context("no figures")?;
        let ledger = &snapshot.directions.get(Direction::Ingress).ledger;
        let packets = self.packets;
        let ended = ledger.lost;
        let is_right = ledger.balanced && ledger.entered == packets && ended == packets;
        ensure!(is_right, "{packets} packets came by XDP, but the ledger says {ledger:?}");
        Ok(())
    }
}

fn empty_table(collector: &mut Collector) {
    while collector.sweep().in_flight > 0 {}
}

impl XdpBench {
    pub(crate) fn new(others: &mut Ebpf) -> Result<Self> {
        load_xdp(others, &["empty_xdp", "clock_xdp", "course_xdp"])?;
        let fd = |name| anyhow::Ok(xdp(others, name)?.fd()?.try_clone()?);
        Ok(Self {
            empty: fd("empty_xdp")?,
            clock: fd("clock_xdp")?,
            tracer: Tracer::load(Filter::default())?,
            for_tcp: Tracer::load(Filter { protocol: Filter::PROTOCOL_TCP, ..Filter::default() })?,
            figures: ROWS.map(Figures::of),
        })
    }

    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ROWS.into_iter()
    }
}

impl Part for XdpBench {
    fn round(&mut self, round: &mut Round<'_>) -> Result<()> {
        let Round { others, course, runs, .. } = round;
        let (packet, runs) = (packet(Kind::UdpV4In), *runs);
        let driver = xdp(others, "course_xdp")?;
        let alone = ns_per_run(xdp(others, "empty_xdp")?, &packet, runs, || {})?;
        let base = course.ns_per_xdp_run(driver, &self.empty, &packet, runs, || {})?;
        let clock = course.ns_per_xdp_run(driver, &self.clock, &packet, runs, || {})?;
        let Tracer { program, collector, packets, .. } = &mut self.tracer;
        let hop = course.ns_per_xdp_run(driver, program, &packet, runs, || empty_table(collector))?;
        *packets += u64::from(runs);
        let filtered = course.ns_per_xdp_run(driver, &self.for_tcp.program, &packet, runs, || {})?;
        for (figures, on_course) in self.figures.iter_mut().zip([base, clock, hop, filtered]) {
            figures.ns.push(on_course - base + alone);
        }
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        self.tracer.check()?;
        self.for_tcp.check()
    }

    fn figures(&self) -> &[Figures] {
        &self.figures
    }

    fn figures_mut(&mut self) -> &mut [Figures] {
        &mut self.figures
    }
}

/// An XDP program of the object, loaded.
fn xdp<'e>(ebpf: &'e Ebpf, name: &str) -> Result<&'e Xdp> {
    let program = ebpf.program(name).with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}

/// Loads XDP programs of the object.
fn load_xdp(ebpf: &mut Ebpf, names: &[&str]) -> Result<()> {
    for name in names {
        let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
        let program: &mut Xdp = program.try_into()?;
        program.load().with_context(|| format!("load program {name}"))?;
    }
    Ok(())
}
