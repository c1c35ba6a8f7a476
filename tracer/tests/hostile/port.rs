//! A port whose programs are in the kernel and on no interface.

use std::{rc::Rc, time::Duration};

use anyhow::{Context as _, Result};
use aya::programs::{TestRun as _, TestRunOptions};
use hoptrace::{
    attach::{self, Attached, LoadOptions, PlanOptions, Plans, PortPlan},
    collect::{CollectOptions, Collector, Share},
    kernel::{KERNEL_BTF, kernel_btf, skb_layout},
    model::{
        Direction, Evidence, IfIndex, Ledger, MacAddr, Mechanism, OtherPort, Plan, PortId, Role, Snapshot,
        Tail, Timing, TracerCost, XdpMode,
    },
    path::hybrid_hop,
    probes::{Host, Probes, Trace},
};
use hoptrace_common::{config::TraceConfig, skb::SkbLayout};
use rustix::time::{ClockId, clock_gettime};

/// The hooks by their place in the plan: out of the VM at its tap, to the wire, and to the VM.
pub(crate) const TAP_IN: usize = 0;
pub(crate) const WIRE_OUT: usize = 1;
pub(crate) const TAP_OUT: usize = 3;

const VM_MAC: [u8; 6] = [0xfa, 0x16, 0x3e, 1, 2, 3];
/// Questions are open for so long: longer than the floods take.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Where `BPF_PROG_TEST_RUN` runs programs: the loopback interface.
const HERE: IfIndex = IfIndex(1);
const ELSEWHERE: IfIndex = IfIndex(2);

/// Slices of a measurement, and runs in each.
const SLICES: u32 = 16;
const RUNS: u32 = 4_096;

/// What was told by one counter.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) count: u64,
    pub(crate) asked: Option<u64>,
}

pub(crate) struct Port {
    attached: Attached,
    collector: Collector,
}

/// Hands every program there is to the verifier: gives how many instructions it followed.
pub(crate) fn load_all(mechanism: Mechanism) -> Result<u32> {
    let hops =
        [(Role::Tap, "tap", 11), (Role::Qvb, "qvb", 12), (Role::Qvo, "qvo", 13), (Role::Nic, "nic", 14)]
            .map(|(role, ifname, index)| hybrid_hop(role, ifname, IfIndex(index)));
    let neighbour = OtherPort { ifname: "qvo2".to_owned(), ifindex: IfIndex(15), ..OtherPort::default() };
    let btf = kernel_btf(KERNEL_BTF)?;
    let mut probes =
        Probes::of(&Host { btf: Some(&btf), wire: true, xdp: Some(XdpMode::Native), ..Host::default() });
    let neighbours = [neighbour];
    let wishes = probes.wishes(PlanOptions { neighbours: &neighbours, ..PlanOptions::default() });
    let plan = attach::plan(&hops.each_ref(), wishes)?;
    let options = LoadOptions { skb: skb_layout(&btf)?, mechanism, ..options()? };
    probes.planned(&trace(&plan, &options));
    let plans = Plans::one(planned(&plan, &options));
    Ok(Attached::load(&plans, &options, &mut probes.attachable())?.verified_instructions())
}

const fn trace<'t>(plan: &'t Plan, options: &LoadOptions) -> Trace<'t> {
    let share = Share::whole(plan.segment_count);
    Trace { plan, path: None, share, mechanism: options.mechanism, timeout: TIMEOUT }
}

fn planned(plan: &Plan, options: &LoadOptions) -> PortPlan {
    PortPlan { plan: plan.clone(), mac: options.trace.mac, ipv4: options.trace.ipv4 }
}

fn options() -> Result<LoadOptions> {
    Ok(LoadOptions {
        inflight_slots: 65_536,
        ring_bytes: 0,
        trace: TraceConfig {
            timeout_ns: u64::try_from(TIMEOUT.as_nanos())?,
            mac: MacAddr(VM_MAC).as_number(),
            ipv4: [u32::from_ne_bytes(crate::frames::GUEST_V4), 0, 0, 0],
            ..TraceConfig::default()
        },
        skb: SkbLayout::default(),
        mechanism: Mechanism::Tcx,
        log_level: 0,
    })
}

impl Port {
    /// Both hooks of the tap can be run.
    pub(crate) fn at_tap() -> Result<Self> {
        Self::load(|place| place == TAP_IN || place == TAP_OUT)
    }

    /// Both hooks of the way out can be run.
    pub(crate) fn at_tap_and_wire() -> Result<Self> {
        Self::load(|place| place == TAP_IN || place == WIRE_OUT)
    }

    /// On one interface there is one hook on each side.
    fn load(is_here: fn(usize) -> bool) -> Result<Self> {
        let hops = [(Role::Tap, "tap"), (Role::Nic, "nic")]
            .map(|(role, ifname)| hybrid_hop(role, ifname, ELSEWHERE));
        let mut plan = attach::plan(&hops.each_ref(), PlanOptions::default())?;
        for (place, hook) in plan.hooks.iter_mut().enumerate() {
            for interface in &mut hook.interfaces {
                // Elsewhere each has a place of its own.
                interface.ifindex =
                    if is_here(place) { HERE } else { IfIndex(ELSEWHERE.0 + u32::try_from(place)?) };
            }
        }
        let (options, mut probes) = (options()?, Probes::of(&Host::default()));
        let trace = trace(&plan, &options);
        probes.planned(&trace);
        let (plans, maps) = (Plans::one(planned(&plan, &options)), Rc::default());
        let mut attached = Attached::load(&plans, &options, &mut probes.attachable())?;
        let readings = probes.readings(attached.ebpf(), &maps, &trace)?;
        let settings =
            CollectOptions { room: trace.share.room, timeout: TIMEOUT, seed: 1, timing: Timing::Exact };
        let (mut collector, _) = Collector::new(attached.ebpf_mut(), &maps, settings)?;
        collector.add(PortId::FIRST, plan.clone(), attached.ebpf_mut(), readings, Tail::None)?;
        collector.open(None);
        Ok(Self { attached, collector })
    }

    /// One frame past one hook.
    pub(crate) fn pass(&self, place: usize, frame: &[u8]) -> Result<()> {
        self.run(place, TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() })
    }

    fn run(&self, place: usize, options: TestRunOptions<'_>) -> Result<()> {
        let program = self.attached.program(place).context("no such hook")?;
        program.test_run(options).context("run a program (BPF_PROG_TEST_RUN)").map(drop)
    }

    /// Nanoseconds of this thread's CPU time per frame: the best of some slices.
    pub(crate) fn ns_per_packet(&mut self, place: usize, frame: &[u8]) -> Result<f64> {
        self.fastest(place, RUNS, || TestRunOptions {
            data_in: Some(frame),
            repeat: RUNS,
            ..TestRunOptions::default()
        })
    }

    /// The same of a frame that the kernel takes for one of `parts` parts of `part_bytes` each.
    pub(crate) fn ns_per_part(
        &mut self,
        place: usize,
        frame: &[u8],
        part_bytes: u32,
        parts: u32,
    ) -> Result<f64> {
        // `gso_segs` and `gso_size` of `struct __sk_buff`.
        let mut context = [0_u8; 192];
        context[164..168].copy_from_slice(&parts.to_ne_bytes());
        context[176..180].copy_from_slice(&part_bytes.to_ne_bytes());
        self.fastest(place, 16, || TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            repeat: 16,
            ..TestRunOptions::default()
        })
    }

    fn fastest<'o>(
        &mut self,
        place: usize,
        runs: u32,
        options: impl Fn() -> TestRunOptions<'o>,
    ) -> Result<f64> {
        let mut best = f64::INFINITY;
        for _ in 0..SLICES {
            let before = thread_cpu_ns();
            self.run(place, options())?;
            best = best.min((thread_cpu_ns() - before) / f64::from(runs));
            self.collector.sweep();
        }
        Ok(best)
    }

    fn snapshot(&self) -> Snapshot {
        self.collector.snapshot(PortId::FIRST, TracerCost::default()).expect("it is read")
    }

    fn evidence(&self, counter: &str) -> Vec<Evidence> {
        self.snapshot().evidence.into_iter().filter(|it| it.counter == counter).collect()
    }

    /// What one counter says.
    pub(crate) fn told(&self, counter: &str) -> Told {
        let told = self.evidence(counter);
        told.first().map_or_else(Told::default, |it| Told { count: it.count, asked: it.of })
    }

    /// The sum of all that a counter says.
    pub(crate) fn sum(&self, counter: &str) -> u64 {
        self.evidence(counter).iter().map(|it| it.count).sum()
    }

    /// The ledger of the way out.
    pub(crate) fn ledger(&self) -> Ledger {
        self.snapshot().directions.get(Direction::Egress).ledger
    }

    /// That of the way in.
    pub(crate) fn ledger_to_guest(&self) -> Ledger {
        self.snapshot().directions.get(Direction::Ingress).ledger
    }

    /// Another port of the host has this address.
    pub(crate) fn know_stranger(&mut self, mac: [u8; 6]) -> Result<()> {
        Ok(self.attached.introduce_strangers([MacAddr(mac)].into_iter())?)
    }

    /// The port has this address, too.
    pub(crate) fn give(&self, mac: [u8; 6]) -> bool {
        self.collector.give_address(PortId::FIRST, MacAddr(mac))
    }
}

/// What others take of the CPU meanwhile does not count.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn thread_cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
