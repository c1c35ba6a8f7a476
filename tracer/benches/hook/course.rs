//! Runs programs on packets by `BPF_PROG_TEST_RUN`, alone or as the stations of a course.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, Pod,
    maps::{Array, MapData, ProgramArray},
    programs::{ProgramFd, SchedClassifier, TestRun, TestRunOptions, TestRunResult, Xdp},
};
use rustix::time::{ClockId, clock_gettime};

use crate::{packets::Packet, support::object};

/// Hooks of a course: the first of a way and the last.
pub(crate) const STATIONS: u64 = 2;
/// Parts that the runs of one measurement come in.
pub(crate) const SLICES: u32 = 16;

/// As `Course` in `tracer-ebpf/src/bench/course.rs`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Settings {
    run: u64,
    template: u64,
    shift: u32,
    offset: u32,
    window_bits: u32,
    fresh: u32,
}

// SAFETY: numbers without padding between them.
unsafe impl Pod for Settings {}

/// Which packets go round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// `1 << window_bits` packets pass a hook before the first of them comes to the next.
    pub(crate) window_bits: u32,
    /// Every round has packets that were never seen before; else the same ones go round.
    pub(crate) fresh: bool,
}

/// Eight packets go round: what they need is in the first-level cache.
pub(crate) const HOT: Traffic = Traffic { window_bits: 3, fresh: false };
/// No packet comes twice; as many pass a hook, before the first of them comes to the next one, as the kernel handles at a time.
pub(crate) const DISTINCT: Traffic = Traffic { window_bits: 6, fresh: true };

/// The course, whose stations can be changed.
pub(crate) struct Course {
    settings: Array<MapData, Settings>,
    stations: ProgramArray<MapData>,
    xdp_station: ProgramArray<MapData>,
    /// Where the numbers of fresh packets go on.
    next_run: u64,
}

impl Course {
    pub(crate) fn new(ebpf: &mut Ebpf) -> Result<Self> {
        let mut take = |name: &str| ebpf.take_map(name).with_context(|| format!("no map {name}"));
        Ok(Self {
            settings: Array::try_from(take("COURSE")?)?,
            stations: ProgramArray::try_from(take("STATIONS")?)?,
            xdp_station: ProgramArray::try_from(take("XDP_STATION")?)?,
            next_run: 0,
        })
    }

    /// Nanoseconds per run over `runs` runs (each slice a multiple of the stations times the window) of `packet` going round
    /// `programs`; `driver` is the object's program.
    pub(crate) fn ns_per_run(
        &mut self,
        driver: &SchedClassifier,
        programs: &[ProgramFd],
        packet: &Packet,
        traffic: Traffic,
        runs: u32,
    ) -> Result<f64> {
        for (station, program) in (0..).zip(programs) {
            self.stations.set(station, program, 0)?;
        }
        self.set(packet, traffic, runs)?;
        ns_per_run(driver, packet, runs, || {})
    }

    /// The same of an XDP program, to which every packet is a new one; `between` is called after each slice.
    pub(crate) fn ns_per_xdp_run(
        &mut self,
        driver: &Xdp,
        program: &ProgramFd,
        packet: &Packet,
        runs: u32,
        between: impl FnMut(),
    ) -> Result<f64> {
        self.xdp_station.set(0, program, 0)?;
        self.set(packet, Traffic { window_bits: 0, fresh: true }, runs)?;
        ns_per_run(driver, packet, runs, between)
    }

    fn set(&mut self, packet: &Packet, traffic: Traffic, runs: u32) -> Result<()> {
        let settings = Settings {
            run: if traffic.fresh { self.next_run } else { 0 },
            template: packet.template(),
            shift: packet.shift,
            offset: packet.offset,
            window_bits: traffic.window_bits,
            fresh: u32::from(traffic.fresh),
        };
        self.settings.set(0, settings, 0)?;
        if traffic.fresh {
            // On a boundary of the largest window in use.
            self.next_run += u64::from(runs).next_multiple_of(STATIONS << 12);
        }
        Ok(())
    }
}

/// Nanoseconds per run: the best of [`SLICES`] slices, because whatever comes between makes a slice slower only.
pub(crate) fn ns_per_run<P>(program: &P, packet: &Packet, runs: u32, mut between: impl FnMut()) -> Result<f64>
where
    P: for<'o> TestRun<Opts<'o> = TestRunOptions<'o>, Result = TestRunResult>,
{
    let mut best = f64::INFINITY;
    for _ in 0..SLICES {
        let repeat = runs / SLICES;
        let before = thread_cpu_ns();
        let options = TestRunOptions { data_in: Some(&packet.bytes), repeat, ..TestRunOptions::default() };
        program.test_run(options).context("run a program (BPF_PROG_TEST_RUN)")?;
        best = best.min((thread_cpu_ns() - before) / f64::from(repeat));
        between();
    }
    Ok(best)
}

/// Of this thread: what others take of the CPU meanwhile does not count.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn thread_cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// File descriptors of programs of the object.
pub(crate) fn programs(ebpf: &Ebpf, names: &[&str]) -> Result<Vec<ProgramFd>> {
    names.iter().map(|name| Ok(object::classifier(ebpf, name)?.fd()?.try_clone()?)).collect()
}
