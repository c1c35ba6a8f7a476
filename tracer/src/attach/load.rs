//! Loads the programs, attaches them, and undoes it all on drop.

use std::collections::BTreeSet;

use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, ProgramArray},
    programs::{SchedClassifier, Xdp},
};
use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS, TraceConfig},
    filter::Filter,
    histogram::BUCKETS,
    inflight::WAYS,
    skb::SkbLayout,
};
use zerocopy::IntoBytes as _;

use super::{
    AttachError, Attachable, Filters,
    attacher::Attacher,
    below,
    beside::{self, Unhooked},
    host_wide,
    locked::locked_bytes,
    nic, placed,
    side::TcSide,
    strangers,
    verify::load_programs,
};
use crate::model::{HookPlan, MacAddr, Mechanism, Plan, Side};

/// The eBPF object, aligned as its ELF header wants.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/hoptrace"));

/// The programs that all hooks share, in the order of their places in the map where hooks find them.
const RARE_PROGRAMS: [&str; 5] = ["hop_rarely", "hop_merged", "hop_checksum", "hop_answers", "hop_others"];
const RARE_MAP: &str = "RARE";

/// Sizes and settings of a trace. What the plan decides is filled in by [`Attached::new`].
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Slots of the in-flight table; rounded up to a power of two.
    pub inflight_slots: u32,
    /// Bytes of the record ring; rounded up to a power of two of whole pages. 0: as small as can be.
    pub ring_bytes: u32,
    /// The rest; `slot_shift`, `segments`, `guest_segment`, `entries`, `neighbour_entries`, `spread`, `beside`, `filtering` and
    /// what probes tell are overwritten.
    pub trace: TraceConfig,
    /// Where programs at tracepoints find what they read; needed where the plan has such hooks.
    pub skb: SkbLayout,
    /// Where the programs go.
    pub mechanism: Mechanism,
    /// Level of the programs' own diagnostics, as aya-log numbers them; 0 compiles them away.
    pub log_level: u8,
}

/// The programs on the path. Dropping it takes them off.
pub struct Attached {
    pub(super) ebpf: Ebpf,
    /// The name of each hook's program; hooks share them.
    pub(super) programs: Vec<&'static str>,
    /// Those that are at no hook.
    pub(super) others: Vec<&'static str>,
    /// Those of hooks that run for packets of the whole host.
    pub(super) host_wide: Vec<&'static str>,
    /// Ports beside the path that have no hook, in words.
    unhooked: Vec<Unhooked>,
    /// What else is to be told about where the hooks are.
    told: Vec<String>,
    /// Empties itself when it is closed.
    _rare: ProgramArray<MapData>,
    locked_bytes: u64,
    pub(super) mechanism: Mechanism,
    /// Behind `ebpf`, because it is dropped behind it, too.
    attacher: Option<Attacher>,
}

impl Attached {
    /// Loads the programs of the hooks of `plan` and of the `probes`, and attaches them, the gate still closed.
    ///
    /// # Errors
    /// When the kernel refuses; nothing stays attached then.
    pub fn new(
        plan: &Plan,
        options: &LoadOptions,
        probes: &mut [&mut dyn Attachable],
    ) -> Result<Self, AttachError> {
        let attacher = Attacher::start(options.mechanism)?;
        let mut loaded = Self::load(plan, options, probes)?;
        loaded.attach(plan, attacher)?;
        for probe in probes {
            probe.attach(&mut loaded.ebpf, plan)?;
        }
        Ok(loaded)
    }

    /// The first half of [`Attached::new`]: the programs are in the kernel and on no interface. Benchmarks and tests
    /// run them from there by hand.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn load(
        plan: &Plan,
        options: &LoadOptions,
        probes: &mut [&mut dyn Attachable],
    ) -> Result<Self, AttachError> {
        let cpus = cpus()?;
        let slots = options.inflight_slots.next_power_of_two().clamp(WAYS * 8, 1 << 24);
        let mechanism = options.mechanism;
        let found_at = host_wide::with_lower(plan, mechanism, below::lower);
        let spread = placed::spread(&found_at).ok_or(AttachError::NoPlaces)?;
        let mut trace = TraceConfig {
            spread,
            beside: placed::beside(plan),
            slot_shift: 64 - slots.trailing_zeros(),
            seed: options.trace.seed | 1,
            segments: plan.segment_count,
            guest_segment: u16::from(plan.guest),
            entries: plan.entries,
            neighbour_entries: plan.neighbour_entries,
            filtering: u16::from(options.trace.filter != Filter::default()),
            ..options.trace
        };
        let mut hooks = [HookConfig::default(); MAX_HOOKS];
        for (place, hook) in hooks.iter_mut().zip(&plan.hooks) {
            *place = hook.config;
            // What the first hook sees was merged before the path began.
            if hook.side == Side::Ingress && hook.config.flags & HookConfig::ENTRY == 0 {
                place.flags |= if nic::merges(hook, plan) { HookConfig::MERGES } else { 0 };
            }
        }
        for probe in &*probes {
            probe.tell_hooks(&mut trace, &mut hooks);
        }
        let placed = placed::placed(&found_at, &hooks, spread);
        let near = host_wide::near(&found_at);
        let namespaces = beside::namespaces(&plan.neighbours);
        let mut object = EbpfLoader::new();
        object
            .override_global("TRACE", trace.as_bytes(), true)
            .override_global("HOOKS", hooks.as_bytes(), true)
            .override_global("PLACED", placed.as_bytes(), true)
            .override_global("NEAR", near.as_bytes(), true)
            .override_global("SKB", options.skb.as_bytes(), true)
            .override_global("NAMESPACES", &namespaces, true)
            .override_global(aya_log::LEVEL, &options.log_level, true)
            .map_max_entries("SLOTS", slots)
            .map_max_entries("SPILLED", slots / WAYS)
            .map_max_entries("COUNTERS", cpus * u32::try_from(MAX_HOOKS).unwrap_or(u32::MAX))
            .map_max_entries("SEGMENTS", cpus * plan.segment_count)
            .map_max_entries("LATENCIES", cpus * plan.segment_count * BUCKETS)
            .map_max_entries("RECORDS", options.ring_bytes.next_power_of_two().max(4096));
        for probe in &*probes {
            probe.configure(&mut object, cpus);
        }
        let mut ebpf = object.load(OBJECT).map_err(|source| AttachError::Object(Box::new(source)))?;
        let programs = hook_programs(plan, mechanism, probes)?;
        let others: Vec<_> = shared_programs(mechanism)
            .iter()
            .chain(probes.iter().flat_map(|probe| probe.programs()))
            .copied()
            .collect();
        load_programs(&mut ebpf, programs.iter().chain(&others).copied())?;
        for probe in probes {
            probe.teach(&mut ebpf)?;
        }
        let rare = match mechanism {
            Mechanism::Tcx | Mechanism::Clsact => connect_rare_programs(&mut ebpf)?,
            Mechanism::Tracepoints => host_wide::connect(&mut ebpf)?,
        };
        beside::introduce(&mut ebpf, &plan.neighbours, cpus, options.skb.here_inum)?;
        Ok(Self {
            ebpf,
            host_wide: host_wide_programs(plan, mechanism, &programs),
            programs,
            others,
            unhooked: Vec::new(),
            told: Vec::new(),
            _rare: rare,
            locked_bytes: locked_bytes(),
            attacher: None,
            mechanism,
        })
    }

    fn attach(&mut self, plan: &Plan, attacher: Attacher) -> Result<(), AttachError> {
        let attacher = self.attacher.insert(attacher);
        if self.mechanism == Mechanism::Tracepoints {
            self.told = host_wide::notes(plan);
            host_wide::attach(&mut self.ebpf)?;
        }
        let at_interfaces = self.mechanism != Mechanism::Tracepoints;
        for (name, hook) in self.programs.iter().zip(&plan.hooks).filter(|_| at_interfaces) {
            if hook.is_neighbour() {
                let program = classifier(&mut self.ebpf, name)?;
                beside::attach(program, &plan.neighbours, hook.direction, attacher, &mut self.unhooked)?;
            } else if let Some(side) = TcSide::of(hook.side) {
                attach(classifier(&mut self.ebpf, name)?, hook, side, attacher)?;
            }
        }
        Ok(())
    }

    /// Tells the programs which MAC addresses are other ports'.
    ///
    /// # Errors
    /// When the object has no room for them at all.
    pub fn introduce_strangers(&mut self, macs: impl Iterator<Item = MacAddr>) -> Result<(), AttachError> {
        strangers::introduce(&mut self.ebpf, macs)
    }

    /// What is to know about where the hooks are; a line each.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.unhooked.iter().map(ToString::to_string).chain(self.told.iter().cloned())
    }

    /// Whether there are hooks at the port that is at `place`.
    #[must_use]
    pub fn is_hooked(&self, place: &str) -> bool {
        self.unhooked.iter().all(|port| port.place != place)
    }

    /// The filters that another program may take away; `None`: there are none.
    #[must_use]
    pub fn filters(&self) -> Option<Filters> {
        match &self.attacher {
            Some(Attacher::Clsact(clsact)) => Some(Filters { owner: clsact.owner() }),
            _ => None,
        }
    }

    /// The program of the hook at `place` in the plan, if it is one for TC.
    #[must_use]
    pub fn program(&self, place: usize) -> Option<&SchedClassifier> {
        self.ebpf.program(self.programs.get(place)?)?.try_into().ok()
    }

    /// The program of the hook at `place` in the plan, if it is one for XDP.
    #[must_use]
    pub fn xdp_program(&self, place: usize) -> Option<&Xdp> {
        self.ebpf.program(self.programs.get(place)?)?.try_into().ok()
    }

    /// Kernel memory locked for all maps, in bytes.
    #[must_use]
    pub const fn locked_bytes(&self) -> u64 {
        self.locked_bytes
    }

    /// The object: its maps can be read.
    #[must_use]
    pub const fn ebpf(&self) -> &Ebpf {
        &self.ebpf
    }

    /// The object, from which maps are taken.
    pub const fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}

fn classifier<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut SchedClassifier, AttachError> {
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| AttachError::Missing(format!("program {name}")))
}

/// Puts the programs that all hooks share where their tail calls look for them.
fn connect_rare_programs(ebpf: &mut Ebpf) -> Result<ProgramArray<MapData>, AttachError> {
    let map = ebpf.take_map(RARE_MAP).ok_or_else(|| AttachError::Missing(format!("map {RARE_MAP}")))?;
    let failed = |source| AttachError::Map { map: RARE_MAP, source: Box::new(source) };
    let mut rare = ProgramArray::try_from(map).map_err(failed)?;
    for (place, name) in (0..).zip(RARE_PROGRAMS) {
        let program = classifier(ebpf, name)?.fd();
        let program = program
            .map_err(|source| AttachError::Load { program: name.to_owned(), source: Box::new(source) })?;
        rare.set(place, program, 0).map_err(failed)?;
    }
    Ok(rare)
}

/// The programs that those of hooks go on in.
pub(super) const fn shared_programs(mechanism: Mechanism) -> &'static [&'static str] {
    match mechanism {
        Mechanism::Tcx | Mechanism::Clsact => &RARE_PROGRAMS,
        Mechanism::Tracepoints => &host_wide::SHARED,
    }
}

/// The program of each hook.
fn hook_programs(
    plan: &Plan,
    mechanism: Mechanism,
    probes: &[&mut dyn Attachable],
) -> Result<Vec<&'static str>, AttachError> {
    let at_tracepoints = matches!(mechanism, Mechanism::Tracepoints);
    let of = |hook: &HookPlan| match (hook.side, hook.is_neighbour()) {
        (Side::Ingress, _) if at_tracepoints => Ok(host_wide::RECEIVED),
        (Side::Egress, _) if at_tracepoints => Ok(host_wide::QUEUED),
        (Side::Ingress, false) => Ok("hop_in"),
        (Side::Egress, false) => Ok("hop_out"),
        (Side::Ingress, true) => Ok("hop_in_beside"),
        (Side::Egress, true) => Ok("hop_out_beside"),
        (side, _) => probes
            .iter()
            .find_map(|probe| probe.hook_program(side))
            .ok_or_else(|| AttachError::Missing(format!("program for {}", side.name()))),
    };
    plan.hooks.iter().map(of).collect()
}

/// Those of them that run for packets of the whole host.
fn host_wide_programs(plan: &Plan, mechanism: Mechanism, programs: &[&'static str]) -> Vec<&'static str> {
    let is_one = |hook: &HookPlan| match hook.side {
        Side::Wire => true,
        Side::Ingress | Side::Egress => mechanism == Mechanism::Tracepoints,
        Side::Xdp(_) => false,
    };
    let hooks = plan.hooks.iter().zip(programs).filter(|(hook, _)| is_one(hook));
    hooks.map(|(_, program)| *program).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Attaches a program at all its interfaces.
fn attach(
    program: &mut SchedClassifier,
    hook: &HookPlan,
    side: TcSide,
    attacher: &mut Attacher,
) -> Result<(), AttachError> {
    for interface in &hook.interfaces {
        attacher.attach(program, interface, side)?;
    }
    Ok(())
}

/// Possible CPUs: the per-CPU blocks in our arrays.
fn cpus() -> Result<u32, AttachError> {
    let cpus = aya::util::nr_cpus().map_err(|(path, source)| AttachError::Cpus { path, source })?;
    Ok(u32::try_from(cpus).unwrap_or(u32::MAX))
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached").field("programs", &self.programs).finish_non_exhaustive()
    }
}
