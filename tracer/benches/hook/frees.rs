//! What the program at the tracepoint `kfree_skb` costs for a packet that the kernel frees, which is mostly none of the VM's.
//!
//! Programs at tracepoints can not be repeated by `BPF_PROG_TEST_RUN`; but the packet of such a run is freed at its end, at the
//! interface where programs run. So one run of the empty program after the other frees packets, on each of which
//! `course_freed` (`tracer-ebpf/src/bench/frees.rs`) has the program under measure run several times.

use std::process;

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, LpmTrie, MapData, ProgramArray, lpm_trie::Key},
    programs::{ProgramFd, RawTracePoint, SchedClassifier, TestRun as _, TestRunOptions},
};
use hoptrace::{
    kernel::{KERNEL_BTF, kernel_btf, skb_layout},
    probes::Host,
};
use hoptrace_common::{
    drops::{Device, Meaning},
    filter::Filter,
    ports::device_key,
};
use rustix::thread::gettid;

use crate::{
    course::SLICES,
    packets::{Kind, Packet, packet},
    part::{Figures, Part, Round},
    support::{
        object::classifier,
        plan::{HERE, load_for, load_options, load_several, plan},
    },
    tracer::{TIMEOUT, Tracer},
};

const TRACEPOINT: &str = "kfree_skb";
/// Runs for each packet, as in `tracer-ebpf/src/bench/frees.rs`.
const RUNS: u32 = 32;
/// A NIC in the plan of the way out: what comes to it behind the tap's hook or its own may die there, what has passed its own has been
/// sent, and what it receives is on its way in.
const NIC: Device = Device { live_after: 0b111, done_after: 0b10, flags: 0, entry: 3, direction: 1 };

/// Where the kernel's code is: the highest bit is set. Wherever a packet is freed there without a reason, at the NIC it may be one that the
/// NIC has received and that no hook has seen: the most that there can be to ask about it.
const KERNEL: u64 = 1 << 63;

/// As `Frees` in `tracer-ebpf/src/bench/frees.rs`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Settings {
    thread: u64,
    packets: u64,
    ns: u64,
}

// SAFETY: numbers without padding between them.
unsafe impl Pod for Settings {}

/// What is known of the interface where packets are freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// That no packet of the VM's can be there.
    Elsewhere,
    /// That it is the NIC which the VM shares with others.
    Nic,
    /// The same, in a trace of two ports.
    NicOfSeveral,
}

const ROWS: [(&str, At, Kind); 4] = [
    ("freed_elsewhere", At::Elsewhere, Kind::Foreign),
    ("freed_of_others", At::Nic, Kind::Foreign),
    ("freed_of_others_of_several", At::NicOfSeveral, Kind::Foreign),
    ("freed_own", At::Nic, Kind::UdpV4In),
];

/// The programs, and their figures so far.
pub(crate) struct Frees {
    settings: Array<MapData, Settings>,
    station: ProgramArray<MapData>,
    empty: ProgramFd,
    elsewhere: Tracer,
    at_nic: Tracer,
    at_nic_of_several: Tracer,
    figures: [Figures; ROWS.len()],
}

impl Frees {
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ROWS.into_iter().map(|(name, ..)| name)
    }

    /// Attaches its program to the tracepoint, where it stays as long as `others` lives.
    pub(crate) fn load(others: &mut Ebpf) -> Result<Self> {
        let mut at_nic = tracer(At::Nic)?;
        let map = at_nic.attached().ebpf_mut().map_mut("DEVICES").context("no map DEVICES")?;
        let mut devices: HashMap<_, u64, [u32; 2]> = map.try_into()?;
        let nic: [u32; 2] = zerocopy::transmute!(NIC);
        devices.insert(device_key(HERE.0, 0), nic, 0)?;
        let map = at_nic.attached().ebpf_mut().map_mut("CODE").context("no map CODE")?;
        let mut code: LpmTrie<_, [u8; 8], u32> = map.try_into()?;
        code.insert(&Key::new(1, KERNEL.to_be_bytes()), u32::from(Meaning::RECEIVING), 0)?;
        let empty = raw(others, "empty_freed")?.fd()?.try_clone()?;
        let mut take = |name: &str| others.take_map(name).with_context(|| format!("no map {name}"));
        let (settings, station) = (take("FREES")?, take("FREES_STATION")?);
        raw(others, "course_freed")?.attach(TRACEPOINT).context("attach course_freed")?;
        Ok(Self {
            settings: settings.try_into()?,
            station: station.try_into()?,
            empty,
            elsewhere: tracer(At::Elsewhere)?,
            at_nic,
            at_nic_of_several: tracer(At::NicOfSeveral)?,
            figures: ROWS.map(|(name, ..)| Figures::of(name)),
        })
    }

    /// Nanoseconds per run over about `runs` runs of `program` on such packets: the best of [`SLICES`] slices.
    fn ns_per_run(
        &mut self,
        trigger: &SchedClassifier,
        program: &ProgramFd,
        packet: &Packet,
        runs: u32,
    ) -> Result<f64> {
        self.station.set(0, program, 0)?;
        let (mut best, packets) = (f64::INFINITY, (runs / SLICES / RUNS).max(1));
        for _ in 0..SLICES {
            self.settings.set(0, Settings { thread: thread(), packets: 0, ns: 0 }, 0)?;
            for _ in 0..packets {
                let options = TestRunOptions { data_in: Some(&packet.bytes), ..TestRunOptions::default() };
                trigger.test_run(options).context("run a program (BPF_PROG_TEST_RUN)")?;
            }
            let measured = self.settings.get(&0, 0)?;
            ensure!(
                measured.packets >= u64::from(packets),
                "{packets} packets were freed, and the program at {TRACEPOINT} saw {}",
                measured.packets
            );
            best = best.min(per_run(&measured));
        }
        Ok(best)
    }
}

impl Part for Frees {
    fn round(&mut self, round: &mut Round<'_>) -> Result<()> {
        let trigger = classifier(round.others, "empty")?;
        let empty = self.empty.try_clone()?;
        let base = self.ns_per_run(trigger, &empty, &packet(Kind::Foreign), round.runs)?;
        for (place, (_, at, kind)) in ROWS.into_iter().enumerate() {
            let tracer = match at {
                At::Elsewhere => &mut self.elsewhere,
                At::Nic => &mut self.at_nic,
                At::NicOfSeveral => &mut self.at_nic_of_several,
            };
            let program = raw(tracer.attached().ebpf_mut(), "hop_freed")?.fd()?.try_clone()?;
            let on_course = self.ns_per_run(trigger, &program, &packet(kind), round.runs)?;
            let figures = self.figures.get_mut(place).context("no such row")?;
            figures.ns.push(on_course - base + round.bases.empty_ns);
        }
        // Nothing may run on what is freed while others are measured.
        self.settings.set(0, Settings { thread: 0, packets: 0, ns: 0 }, 0)?;
        Ok(())
    }

    /// Its own packets were seen to die, others' were not.
    fn check(&mut self) -> Result<()> {
        let (own, others) = (self.at_nic.died()?, self.elsewhere.died()?);
        ensure!(own > 0 && others == 0, "{own} packets of the VM died, and {others} where none can be");
        Ok(())
    }

    fn figures(&self) -> &[Figures] {
        &self.figures
    }

    fn figures_mut(&mut self) -> &mut [Figures] {
        &mut self.figures
    }
}

/// A tracer that is told of what the kernel frees. Its program is at no tracepoint.
fn tracer(at: At) -> Result<Tracer> {
    let btf = kernel_btf(KERNEL_BTF)?;
    let mut options = load_options(Filter::default(), 0);
    options.skb = skb_layout(&btf)?;
    let host = Host { btf: Some(&btf), ..Host::default() };
    Ok(Tracer::of(match at {
        At::NicOfSeveral => load_several(&host, &options, TIMEOUT)?,
        At::Elsewhere | At::Nic => load_for(&host, &plan()?, &options, TIMEOUT)?,
    }))
}

fn raw<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut RawTracePoint> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
    let program: &mut RawTracePoint = program.try_into()?;
    if program.fd().is_err() {
        program.load().with_context(|| format!("load program {name}"))?;
    }
    Ok(program)
}

/// This thread, as the kernel numbers it for programs.
fn thread() -> u64 {
    let thread = u32::try_from(gettid().as_raw_nonzero().get()).unwrap_or_default();
    u64::from(process::id()) << 32 | u64::from(thread)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_run(measured: &Settings) -> f64 {
    measured.ns as f64 / (measured.packets * u64::from(RUNS)) as f64
}
