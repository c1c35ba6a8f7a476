//! Loads the programs, attaches them, and undoes it all on drop.

use std::collections::BTreeSet;

use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
    programs::{SchedClassifier, Xdp},
};
use hoptrace_common::{
    config::TraceConfig,
    histogram::BUCKETS,
    inflight::{WAYS, spills::SETS_PER_WORD},
    ports::PortConfig,
    skb::SkbLayout,
};
use zerocopy::IntoBytes as _;

use super::{
    AttachError, Attachable, Filters, Plans, PortPlan, Sizes,
    attacher::Attacher,
    below,
    beside::{self, Beside},
    constants::{Constants, own_hooks},
    held::Held,
    hooks::Hooks,
    host_wide,
    loader::loader,
    locked::locked_bytes,
    programs::{connect_rare_programs, hook_programs, host_wide_programs, shared_programs},
    stand_in::{HookPlaces, STAND_INS},
    strangers,
    told::{self, Told},
    verify::{load_programs, named},
    whose::Ports,
};
use crate::model::{MacAddr, Mechanism, OtherPort, Plan, PortId};

/// The eBPF object, aligned as its ELF header wants.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/hoptrace"));

/// Sizes and settings of a trace. What the plan decides is filled in by [`Attached::new`].
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Slots of the in-flight table; rounded up to a power of two.
    pub inflight_slots: u32,
    /// Bytes of the record ring; rounded up to a power of two of whole pages. 0: as small as can be.
    pub ring_bytes: u32,
    /// The rest; what plans decide, `slot_shift`, `filtering` and what probes tell are overwritten.
    pub trace: TraceConfig,
    /// Where programs at tracepoints find what they read; needed where the plan has such hooks.
    pub skb: SkbLayout,
    /// Where the programs go.
    pub mechanism: Mechanism,
    /// Level of the programs' own diagnostics, as aya-log numbers them; 0 compiles them away.
    pub log_level: u8,
}

/// The programs on the paths. Dropping it takes them off.
pub struct Attached {
    pub(super) ebpf: Ebpf,
    /// The name of the program of each hook of the first port; hooks share them.
    pub(super) programs: Vec<&'static str>,
    /// Those of all hooks, each once.
    pub(super) of_hooks: BTreeSet<&'static str>,
    /// Those that are at no hook.
    pub(super) others: Vec<&'static str>,
    /// Those of hooks that run for packets of the whole host.
    pub(super) host_wide: Vec<&'static str>,
    /// Where programs are.
    pub(super) held: Held,
    /// Ports beside the paths.
    pub(super) beside: Beside,
    /// What else is to be told about where the hooks are.
    told: Vec<String>,
    /// What the programs know of several ports; `None`: they were loaded for one.
    several: Option<Several>,
    /// Empties itself when it is closed.
    _rare: ProgramArray<MapData>,
    locked_bytes: u64,
    pub(super) mechanism: Mechanism,
    /// Behind `ebpf`, because it is dropped behind it, too.
    attacher: Option<Attacher>,
}

/// What the programs know of several ports.
#[derive(Debug, Default)]
struct Several {
    ports: Ports,
    told: Told,
}

impl Attached {
    /// Loads the programs of the hooks of `plans` and of the `probes`, and attaches them, the gates still closed.
    ///
    /// # Errors
    /// When the kernel refuses; nothing stays attached then.
    pub fn new(
        plans: &Plans,
        options: &LoadOptions,
        probes: &mut [&mut dyn Attachable],
    ) -> Result<Self, AttachError> {
        let attacher = Attacher::start(options.mechanism)?;
        let mut loaded = Self::load_with(plans, options, probes, Some(attacher))?;
        if loaded.mechanism == Mechanism::Tracepoints {
            loaded.told = host_wide::notes(plans.plans());
            host_wide::attach(&mut loaded.ebpf, plans.room())?;
        }
        for (_, plan) in plans.iter() {
            for probe in &mut *probes {
                probe.attach(&mut loaded.ebpf, plan)?;
            }
        }
        Ok(loaded)
    }

    /// The first half of [`Attached::new`]: the programs are in the kernel and on no interface. Benchmarks and tests
    /// run them from there by hand.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn load(
        plans: &Plans,
        options: &LoadOptions,
        probes: &mut [&mut dyn Attachable],
    ) -> Result<Self, AttachError> {
        Self::load_with(plans, options, probes, None)
    }

    /// As [`Attached::load`]; where there is an `attacher`, programs of hooks are at their interfaces then.
    fn load_with(
        plans: &Plans,
        options: &LoadOptions,
        probes: &mut [&mut dyn Attachable],
        mut attacher: Option<Attacher>,
    ) -> Result<Self, AttachError> {
        let sizes = Sizes { cpus: cpus()?, room: plans.room() };
        let slots = options.inflight_slots.next_power_of_two().clamp(WAYS * 8, 1 << 24);
        let mut constants = Constants::of(plans, options, probes)?;
        constants.trace.slot_shift = 64 - slots.trailing_zeros();
        let namespaces = beside::namespaces(plans.beside.iter());
        let mut object = loader();
        object
            .override_global("TRACE", constants.trace.as_bytes(), true)
            .override_global("HOOKS", constants.hooks.as_bytes(), true)
            .override_global("PLACED", constants.placed.as_bytes(), true)
            .override_global("NEAR", constants.near.as_bytes(), true)
            .override_global("SKB", options.skb.as_bytes(), true)
            .override_global("NAMESPACES", &namespaces, true)
            .override_global(aya_log::LEVEL, &options.log_level, true)
            .map_max_entries("SLOTS", slots)
            .map_max_entries("SPILLED", slots / WAYS / SETS_PER_WORD)
            .map_max_entries("RECORDS", options.ring_bytes.next_power_of_two().max(4096));
        for (name, entries) in figures(sizes).into_iter().chain(told::entries(sizes.room)) {
            object.map_max_entries(name, entries);
        }
        for probe in &*probes {
            probe.configure(&mut object, sizes);
        }
        let mut ebpf = object.load(OBJECT).map_err(|source| AttachError::Object(Box::new(source)))?;
        let mechanism = options.mechanism;
        let several = !sizes.room.is_for_one();
        let of_ports = plans.plans().map(|plan| hook_programs(plan, (mechanism, several), probes));
        let of_ports: Vec<Vec<&'static str>> = of_ports.collect::<Result<_, _>>()?;
        let host_wide = plans.plans().zip(&of_ports);
        let mut host_wide: BTreeSet<_> =
            host_wide.flat_map(|(plan, programs)| host_wide_programs(plan, mechanism, programs)).collect();
        let mut of_hooks: BTreeSet<_> = of_ports.iter().flatten().copied().collect();
        for program in host_wide::programs(mechanism, sizes.room) {
            host_wide.insert(program);
            of_hooks.insert(program);
        }
        if several && mechanism != Mechanism::Tracepoints {
            // A port that comes later may need what those at the start do not.
            of_hooks.extend(["several_in", "several_out", "several_in_beside", "several_out_beside"]);
        }
        let others: Vec<_> = shared_programs(mechanism)
            .iter()
            .chain(probes.iter().flat_map(|probe| probe.programs()))
            .copied()
            .collect();
        let here = if namespaces == 0 { 0 } else { options.skb.here_inum };
        let (mut held, mut beside) = (Held::default(), Beside::of(sizes.cpus, here));
        beside.introduce(&mut ebpf, &plans.beside)?;
        let at_interfaces = attacher.is_some() && mechanism != Mechanism::Tracepoints;
        let hooks = || {
            let of_port = plans.iter().zip(&of_ports);
            of_port.map(|((port, plan), names)| Hooks { port, plan, names, beside: &plans.beside })
        };
        let mut wanted: BTreeSet<_> = of_hooks.iter().chain(&others).copied().collect();
        let mut places = HookPlaces::default();
        if let Some(Attacher::Tcx(_)) = &attacher {
            hooks().for_each(|hooks| places.extend(hooks.places(&beside)));
        }
        if !places.is_empty() {
            wanted.extend(STAND_INS);
        }
        let stand_ins = load_programs(named(&mut ebpf, &wanted)?, &places)?;
        if let Some(Attacher::Tcx(empty)) = &mut attacher {
            *empty = stand_ins;
        }
        if let Some(attacher) = attacher.as_mut().filter(|_| at_interfaces) {
            for hooks in hooks() {
                hooks.attach(&mut ebpf, (&mut held, &mut beside), attacher)?;
            }
            attacher.have_attached();
        }
        for probe in probes.iter_mut() {
            probe.teach(&mut ebpf)?;
        }
        let rare = match mechanism {
            Mechanism::Tcx | Mechanism::Clsact => connect_rare_programs(&mut ebpf)?,
            Mechanism::Tracepoints => host_wide::connect(&mut ebpf)?,
        };
        let mut loaded = Self {
            ebpf,
            programs: of_ports.into_iter().next().unwrap_or_default(),
            of_hooks,
            others,
            host_wide: host_wide.into_iter().collect(),
            held,
            beside,
            told: Vec::new(),
            several: several.then(Several::default),
            _rare: rare,
            locked_bytes: locked_bytes(),
            attacher,
            mechanism,
        };
        for (port, planned) in &plans.ports {
            loaded.admit(*port, planned, probes)?;
        }
        loaded.tell()?;
        Ok(loaded)
    }

    /// Traces a port, too, while the programs run: they know all of it before they are at its interfaces. Its gate is still closed.
    ///
    /// # Errors
    /// When they were loaded for one port only, or the kernel refuses: then it is as if it had not been tried.
    pub fn add(
        &mut self,
        port: PortId,
        planned: &PortPlan,
        probes: &mut [&mut dyn Attachable],
    ) -> Result<(), AttachError> {
        if self.several.is_none() {
            return Err(AttachError::Missing("room for another port".to_owned()));
        }
        let beside = &planned.plan.neighbours;
        let added = self.admit(port, planned, probes);
        let introduced = added.and_then(|()| self.beside.introduce(&mut self.ebpf, beside));
        let told = introduced.and_then(|()| self.tell());
        let attached = told.and_then(|()| self.attach(port, &planned.plan, beside, probes));
        attached.inspect_err(|_| self.remove(port, probes))
    }

    /// Traces a port no more. Nothing of it should be on its way. Programs stay where other ports need them, and at ports beside the path.
    pub fn remove(&mut self, port: PortId, probes: &mut [&mut dyn Attachable]) {
        if let Some(several) = &mut self.several {
            several.ports.remove(port);
            // By nothing is a packet its any more; what holds for it stays, for programs that are looking at it.
            if let Err(error) = several.told.owners(&mut self.ebpf, &several.ports) {
                log::warn!("a port is no longer traced, and not forgotten: {error}");
            }
            let forgotten = Told::forget_learned(&mut self.ebpf, port);
            forgotten.unwrap_or_else(|error| log::warn!("further addresses of a port: {error}"));
        }
        for probe in probes {
            probe.forget(&mut self.ebpf, port);
        }
        self.held.release(&mut self.ebpf, port);
    }

    /// Makes known what is only a port's.
    fn admit(
        &mut self,
        port: PortId,
        planned: &PortPlan,
        probes: &mut [&mut dyn Attachable],
    ) -> Result<(), AttachError> {
        if let Some(several) = &mut self.several {
            let mut told = (own_hooks(&planned.plan), PortConfig::default());
            for probe in &*probes {
                probe.tell_port(port, &mut told.0, &mut told.1);
            }
            let further: Vec<_> = probes.iter().flat_map(|probe| probe.further_interfaces(port)).collect();
            let found_at = host_wide::with_lower(&planned.plan, self.mechanism, below::lower);
            several.ports.add(port, planned, &found_at, &further, told)?;
        }
        for probe in probes {
            probe.introduce(&mut self.ebpf, port)?;
        }
        Ok(())
    }

    /// Tells the programs what there is to know of several ports.
    fn tell(&mut self) -> Result<(), AttachError> {
        let Some(several) = &mut self.several else { return Ok(()) };
        several.told.facts(&mut self.ebpf, &several.ports)?;
        several.told.owners(&mut self.ebpf, &several.ports)
    }

    /// Puts the programs at the interfaces of a port's hooks and at those `beside` its path, where they are not yet.
    fn attach(
        &mut self,
        port: PortId,
        plan: &Plan,
        beside: &[OtherPort],
        probes: &mut [&mut dyn Attachable],
    ) -> Result<(), AttachError> {
        let names = hook_programs(plan, (self.mechanism, self.several.is_some()), probes)?;
        let Some(attacher) = &mut self.attacher else { return Ok(()) };
        if self.mechanism != Mechanism::Tracepoints {
            let hooks = Hooks { port, plan, names: &names, beside };
            hooks.attach(&mut self.ebpf, (&mut self.held, &mut self.beside), attacher)?;
        }
        for probe in probes {
            probe.attach(&mut self.ebpf, plan)?;
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
        let common = self.several.iter().flat_map(|several| several.ports.common_addresses());
        let common = common.map(|address| {
            format!(
                "{address} is the address of several of the ports: what asks for it is not followed where they share \
                 interfaces"
            )
        });
        let unhooked = self.beside.unhooked().map(ToString::to_string).chain(self.beside.left_out());
        unhooked.chain(self.told.iter().cloned()).chain(common)
    }

    /// Whether there are hooks at the port that is at `place`.
    #[must_use]
    pub fn is_hooked(&self, place: &str) -> bool {
        self.beside.is_hooked(place)
    }

    /// The filters that another program may take away; `None`: there are none.
    #[must_use]
    pub fn filters(&self) -> Option<Filters> {
        match &self.attacher {
            Some(Attacher::Clsact(clsact)) => Some(Filters { owner: clsact.owner() }),
            _ => None,
        }
    }

    /// The program of the hook at `place` in the first port's plan, if it is one for TC.
    #[must_use]
    pub fn program(&self, place: usize) -> Option<&SchedClassifier> {
        self.ebpf.program(self.programs.get(place)?)?.try_into().ok()
    }

    /// The program of the hook at `place` in the first port's plan, if it is one for XDP.
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

/// Sizes of the maps that hooks count in.
fn figures(sizes: Sizes) -> [(&'static str, u32); 4] {
    let (cpus, room) = (sizes.cpus, sizes.room);
    // Of several ports all CPUs share one histogram.
    let histograms = if room.is_for_one() { cpus * room.segments() } else { room.segments() };
    [
        ("COUNTERS", cpus * room.hooks()),
        ("SEGMENTS", cpus * room.segments()),
        ("LATENCIES", histograms * BUCKETS),
        ("CONTROL", room.ports()),
    ]
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
