//! Loads the programs, attaches them, and undoes it all on drop.

use std::{
    collections::BTreeSet,
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, ProgramArray},
    programs::{Program, ProgramError, SchedClassifier, Xdp},
};
use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS, MAX_XDP, TraceConfig, XdpPlace},
    filter::Filter,
    heads::HEADS,
    histogram::BUCKETS,
    inflight::WAYS,
    skb::SkbLayout,
};
use zerocopy::IntoBytes as _;

use super::{
    AttachError, DropOptions, Filters, UpcallOptions,
    attacher::Attacher,
    below,
    beside::{self, Unhooked},
    drops, host_wide,
    locked::locked_bytes,
    nic::{self, Nic},
    placed,
    side::TcSide,
    strangers, upcalls,
    wire::{self, WIRE_PROGRAM},
    xdp,
};
use crate::model::{HookPlan, Interface, KernelMaps, MacAddr, Mechanism, Plan, Side};

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
    /// `keeping_heads` are overwritten.
    pub trace: TraceConfig,
    /// For the program that tells where packets are dropped; without it they are lost.
    pub drops: Option<DropOptions>,
    /// For the program that tells the switch's slow path from its fast one.
    pub upcalls: Option<UpcallOptions>,
    /// Hooks that keep the heads of packets, a bit each.
    pub heads_at: u16,
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
    pub(super) programs: Vec<String>,
    /// The NICs with XDP, as they were before.
    nics: Vec<Nic>,
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
    /// Loads the programs of the hooks of `plan` and attaches them, the gate still closed.
    ///
    /// # Errors
    /// When the kernel refuses; nothing stays attached then.
    pub fn new(plan: &Plan, options: &LoadOptions) -> Result<Self, AttachError> {
        let attacher = Attacher::start(options.mechanism)?;
        let mut loaded = Self::load(plan, options)?;
        if options.drops.is_some() {
            drops::attach(&mut loaded.ebpf)?;
        }
        if options.upcalls.is_some() {
            upcalls::attach(&mut loaded.ebpf)?;
        }
        loaded.attach(plan, attacher)?;
        Ok(loaded)
    }

    /// The first half of [`Attached::new`]: the programs are in the kernel and on no interface. Benchmarks and tests
    /// run them from there by hand.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn load(plan: &Plan, options: &LoadOptions) -> Result<Self, AttachError> {
        let cpus = cpus()?;
        let reading = options.drops.as_ref().map(|_| drops::Reading::start());
        let slots = options.inflight_slots.next_power_of_two().clamp(WAYS * 8, 1 << 24);
        let mechanism = options.mechanism;
        let found_at = host_wide::with_lower(plan, mechanism, below::lower);
        let spread = placed::spread(&found_at).ok_or(AttachError::NoPlaces)?;
        let trace = TraceConfig {
            spread,
            beside: placed::beside(plan),
            slot_shift: 64 - slots.trailing_zeros(),
            seed: options.trace.seed | 1,
            segments: plan.segment_count,
            guest_segment: u16::from(plan.guest),
            entries: plan.entries,
            neighbour_entries: plan.neighbour_entries,
            keeping_heads: u16::from(options.heads_at != 0),
            filtering: u16::from(options.trace.filter != Filter::default()),
            ..options.trace
        };
        let mut hooks = [HookConfig::default(); MAX_HOOKS];
        for ((number, place), hook) in hooks.iter_mut().enumerate().zip(&plan.hooks) {
            *place = hook.config;
            place.flags |= if options.heads_at & 1 << number != 0 { HookConfig::KEEPS_HEADS } else { 0 };
            // What the first hook sees was merged before the path began.
            if hook.side == Side::Ingress && hook.config.flags & HookConfig::ENTRY == 0 {
                place.flags |= if nic::merges(hook, plan) { HookConfig::MERGES } else { 0 };
            }
        }
        let placed = placed::placed(&found_at, &hooks, spread);
        let near = host_wide::near(&found_at);
        let xdp = places(plan.xdp_hooks().map(|(number, _, interface)| (number, interface)));
        let wire = places(plan.wire_hooks());
        let ring_bytes = options.ring_bytes.next_power_of_two().max(4096);
        let drops = options.drops.as_ref();
        let drop_config = drops.map_or_else(Default::default, |drops| drops.config);
        let upcall_config = options.upcalls.as_ref().map_or_else(Default::default, |it| it.config(plan));
        let mut ebpf = EbpfLoader::new()
            .override_global("TRACE", trace.as_bytes(), true)
            .override_global("HOOKS", hooks.as_bytes(), true)
            .override_global("PLACED", placed.as_bytes(), true)
            .override_global("XDP", xdp.as_bytes(), true)
            .override_global("NEAR", near.as_bytes(), true)
            .override_global("WIRE", wire.as_bytes(), true)
            .override_global("DROPS", drop_config.as_bytes(), true)
            .override_global("UPCALLS", upcall_config.as_bytes(), true)
            .override_global("SKB", options.skb.as_bytes(), true)
            .override_global("AT_SWITCH", &plan.at_switch(), true)
            .override_global("NAMESPACES", &beside::namespaces(&plan.neighbours), true)
            .override_global(aya_log::LEVEL, &options.log_level, true)
            .map_max_entries("SLOTS", slots)
            .map_max_entries("SPILLED", slots / WAYS)
            .map_max_entries("COUNTERS", cpus * u32::try_from(MAX_HOOKS).unwrap_or(u32::MAX))
            .map_max_entries("FREES", cpus)
            .map_max_entries("EXCHANGES", cpus)
            .map_max_entries("UPCALL_COUNTS", cpus)
            .map_max_entries("ANSWER_COUNTS", cpus)
            .map_max_entries("CHECKSUMS", cpus)
            .map_max_entries("HEADS", if options.heads_at == 0 { 1 } else { HEADS })
            .map_max_entries("SEGMENTS", cpus * plan.segment_count)
            .map_max_entries("LATENCIES", cpus * plan.segment_count * BUCKETS)
            .map_max_entries("RECORDS", ring_bytes)
            .load(OBJECT)
            .map_err(|source| AttachError::Object(Box::new(source)))?;
        let programs: Vec<String> =
            plan.hooks.iter().map(|hook| program(hook, mechanism).to_owned()).collect();
        if let Some(drops) = drops {
            drops::introduce(&mut ebpf, drops)?;
        }
        let at_tracepoints =
            [drops.map(|_| drops::PROGRAM), options.upcalls.as_ref().map(|_| upcalls::PROGRAM)];
        let shared = shared_programs(mechanism);
        let more = at_tracepoints.into_iter().flatten().chain(shared.iter().copied());
        load_programs(&mut ebpf, &programs, more)?;
        if let Some(reading) = reading {
            drops::teach(&mut ebpf, reading)?;
        }
        let rare = match mechanism {
            Mechanism::Tcx | Mechanism::Clsact => connect_rare_programs(&mut ebpf)?,
            Mechanism::Tracepoints => host_wide::connect(&mut ebpf)?,
        };
        beside::introduce(&mut ebpf, &plan.neighbours, cpus, options.skb.here_inum)?;
        Ok(Self {
            ebpf,
            programs,
            nics: Vec::new(),
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
        self.nics = plan.xdp_hooks().map(|(_, mode, interface)| Nic::look(&interface.ifname, mode)).collect();
        xdp::attach(&mut self.ebpf, plan)?;
        wire::attach(&mut self.ebpf, plan)
    }

    /// Tells the programs which MAC addresses are other ports'.
    ///
    /// # Errors
    /// When the object has no room for them at all.
    pub fn introduce_strangers(&mut self, macs: impl Iterator<Item = MacAddr>) -> Result<(), AttachError> {
        strangers::introduce(&mut self.ebpf, macs)
    }

    /// What attaching changed on the host so far, and what else is to know about it; a line each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let unhooked = self.unhooked.iter().map(ToString::to_string);
        self.nics.iter().map(Nic::changes).chain(unhooked).chain(self.told.iter().cloned()).collect()
    }

    /// Whether there are hooks at the port that is at `place`.
    #[must_use]
    pub fn is_hooked(&self, place: &str) -> bool {
        self.unhooked.iter().all(|port| port.place != place)
    }

    /// What somebody may take away; `None` where nobody can.
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

    /// The maps user space reads; can be taken once.
    ///
    /// # Errors
    /// When the object has no such maps.
    pub fn take_maps(&mut self) -> Result<KernelMaps, AttachError> {
        let mut take = |name: &'static str| {
            let map = self.ebpf.take_map(name).ok_or_else(|| AttachError::Missing(format!("map {name}")))?;
            map_data(map).ok_or_else(|| AttachError::Missing(format!("array map {name}")))
        };
        Ok(KernelMaps {
            slots: take("SLOTS")?,
            spilled: take("SPILLED")?,
            control: take("CONTROL")?,
            counters: take("COUNTERS")?,
            sites: take("SITES")?,
            frees: take("FREES")?,
            sightings: take("SIGHTINGS")?,
            questions: take("QUESTIONS")?,
            exchanges: take("EXCHANGES")?,
            upcalls: take("UPCALL_COUNTS")?,
            answers: take("ANSWER_COUNTS")?,
            checksums: take("CHECKSUMS")?,
            heads: take("HEADS")?,
            segments: take("SEGMENTS")?,
            latencies: take("LATENCIES")?,
            neighbours: any(&mut self.ebpf, beside::NEIGHBOURS)?,
            macs_behind: any(&mut self.ebpf, beside::MACS_BEHIND)?,
            records: any(&mut self.ebpf, "RECORDS")?,
        })
    }

    /// Kernel memory locked for all maps, in bytes.
    #[must_use]
    pub const fn locked_bytes(&self) -> u64 {
        self.locked_bytes
    }

    /// The object, for the logger of the programs' own diagnostics.
    pub const fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}

/// A map that is no array.
fn any(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::Map, AttachError> {
    ebpf.take_map(name).ok_or_else(|| AttachError::Missing(format!("map {name}")))
}

fn map_data(map: aya::maps::Map) -> Option<MapData> {
    match map {
        aya::maps::Map::Array(data) => Some(data),
        _ => None,
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

/// The program at a hook.
const fn program(hook: &HookPlan, mechanism: Mechanism) -> &'static str {
    match (hook.side, hook.is_neighbour()) {
        (Side::Ingress, _) if matches!(mechanism, Mechanism::Tracepoints) => host_wide::RECEIVED,
        (Side::Egress, _) if matches!(mechanism, Mechanism::Tracepoints) => host_wide::QUEUED,
        (Side::Ingress, false) => "hop_in",
        (Side::Egress, false) => "hop_out",
        (Side::Ingress, true) => "hop_in_beside",
        (Side::Egress, true) => "hop_out_beside",
        (Side::Xdp(mode), _) => xdp::program(mode),
        (Side::Wire, _) => WIRE_PROGRAM,
    }
}

/// The hooks of a program that serves several interfaces, as it finds them.
fn places<'a>(hooks: impl Iterator<Item = (usize, &'a Interface)>) -> [XdpPlace; MAX_XDP] {
    let mut places = [XdpPlace::default(); MAX_XDP];
    for (place, (number, interface)) in places.iter_mut().zip(hooks) {
        *place = XdpPlace { ifindex: interface.ifindex.0, hook: u32::try_from(number).unwrap_or(u32::MAX) };
    }
    places
}

/// Hands one program to the verifier.
fn load(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::SchedClassifier(program) => program.load(),
        Program::Xdp(program) => program.load(),
        Program::RawTracePoint(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// The programs that take the verifier longest, the longest first.
const LONGEST: [&str; 4] = [drops::PROGRAM, "hop_in", "hop_out", "hop_rarely"];

/// Hands the programs to the verifier, on all CPUs at a time: it is most of what starting takes.
fn load_programs<'n>(
    ebpf: &mut Ebpf,
    names: &'n [String],
    more: impl Iterator<Item = &'n str>,
) -> Result<(), AttachError> {
    let names: BTreeSet<&str> = names.iter().map(String::as_str).chain(more).collect();
    let mut wanted: Vec<(&str, &mut Program)> =
        ebpf.programs_mut().filter(|(name, _)| names.contains(name)).collect();
    // Taken from the end: what takes longest first, so that no CPU has it left over.
    wanted.sort_by_key(|(name, _)| {
        LONGEST.iter().rev().position(|long| long == name).map_or(0, |place| place + 1)
    });
    if wanted.len() != names.len() {
        return Err(AttachError::Missing(format!("programs {}", Vec::from_iter(names).join(", "))));
    }
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(wanted.len());
    let queue = Mutex::new(wanted);
    let load_some = || loop {
        // A poisoned lock still holds the queue.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((name, program)) = next else { return Ok(()) };
        load(program)
            .map_err(|source| AttachError::Load { program: name.to_owned(), source: Box::new(source) })?;
    };
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..workers).map(|_| scope.spawn(load_some)).collect();
        let mut outcome = load_some();
        for helper in helpers {
            let joined =
                helper.join().unwrap_or_else(|_| Err(AttachError::Missing("loader thread".to_owned())));
            outcome = outcome.and(joined);
        }
        outcome
    })
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
