//! One trace, from loading the programs to taking them off.

mod ports;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    rc::Rc,
    time::{Duration, Instant},
};

use aya_log::EbpfLogger;
use hoptrace_common::skb::SkbLayout;
use log::Log;

use super::{
    Note, TraceError, TraceOptions,
    beside::{self, Beside},
    ending::Ending,
    prepare::{Kernel, mechanism, note_other_tracers, note_others_addresses, remove_leftovers},
    traced::{Placing, TracedPort, load_options, plan_all, trace_of},
};
use crate::{
    attach::{self, Attached, Filters, Plans},
    collect::{
        CollectError, CollectOptions, Collector, CostMeter, Found, Maps, Progress, Records, Share, Witness,
    },
    model::{
        IfIndex, Interface, Mechanism, OtherPort, Path, Plan, PortId, Room, Side, Snapshot, Tail, Taken,
        Timing, TraceFigures, TracerCost,
    },
    probes::{Host, Probes},
};

/// Said where a cost was asked for that can not be held.
const COSTS_TOO_MUCH: &str =
    "counting packets alone takes more CPU than --cost allows; --hooks few and a FILTER help";
/// Said where it cannot be measured.
const BLIND: &str =
    "what tracing costs can not be measured (CAP_SYS_ADMIN): --cost has no effect, every packet is timed";
/// How often the table is looked at while the last packets come in.
const DRAIN_EVERY: Duration = Duration::from_millis(20);

/// Programs on the paths, and what reads their maps. Dropping it takes everything off.
pub(super) struct Session {
    room: Room,
    ports: BTreeMap<PortId, TracedPort>,
    /// The next port's.
    next: PortId,
    /// Ports whose last packets are waited for, and until when at most.
    leaving: BTreeMap<PortId, Instant>,
    attached: Attached,
    probes: Probes,
    maps: Rc<Maps>,
    collector: Collector,
    cost: CostMeter,
    /// Whether a cost is to be held that cannot be measured.
    is_blind: bool,
    options: TraceOptions,
    /// Whether the kernel describes its structures.
    described: bool,
    /// Until they are taken.
    records: Option<Records>,
    keeps_slowest: bool,
    /// The programs' own words, at debug level.
    diagnostics: Option<EbpfLogger<&'static dyn Log>>,
    mechanism: Mechanism,
    /// Once packets are admitted.
    witness: Option<Witness>,
    /// What it found at the end.
    found: Found,
    /// Hooks that another program took away: the trace ended there.
    taken: Option<Taken>,
}

impl Session {
    /// Loads and attaches; no packet is admitted yet. `leaves_out`: a port that no hooks can be planned for is noted and left out.
    pub(super) async fn start(
        mut paths: Vec<Path>,
        leaves_out: bool,
        options: &TraceOptions,
    ) -> Result<Self, TraceError> {
        let note = options.note;
        let several = options.is_of_several(paths.len())?;
        let kernel = Kernel::ask(note);
        let described = kernel.is_some();
        let mechanism = mechanism(options, described, &paths)?;
        let beside = Beside::of(&mut paths, several, options.path_only, described).await;
        let mut probes = Probes::of(&Host {
            btf: kernel.as_ref().map(|kernel| &kernel.btf),
            paths: &paths.iter().collect::<Vec<_>>(),
            wire: options.wire,
            xdp: options.xdp,
            explain: options.explain,
        });
        probes.why_not().for_each(|why| note(&Note::Without(why)));
        let placing = Placing { mechanism, several, hooks: options.hooks };
        let ports = plan_all(paths, &beside, placing, &probes, leaves_out, options)?;
        for port in &ports {
            probes.check(&port.plan).await?;
        }
        let hooked: Vec<Plan> = ports.iter().map(|port| port.plan.clone()).collect();
        let neighbours = if several { beside.all() } else { &[] };
        remove_leftovers(&hooked, neighbours, note)?;
        note_other_tracers(&hooked, mechanism, note);
        drop(hooked);
        for port in &ports {
            note_others_addresses(&port.path, &options.macs, note);
        }
        let planned: Vec<_> = ports.iter().map(TracedPort::planned).collect();
        let plans = match <[_; 1]>::try_from(planned) {
            Ok([port]) if !several => Plans::one(port),
            Ok(port) => Plans::several(port.to_vec(), beside.all().to_vec(), options.room),
            Err(ports) => Plans::several(ports, beside.all().to_vec(), options.room),
        };
        let room = plans.room();
        let ports: BTreeMap<PortId, TracedPort> = (0..).map(PortId).zip(ports).collect();
        // Who sends packets must not know their places in the table.
        let seed = RandomState::new().hash_one(0);
        let skb = kernel.map_or_else(SkbLayout::default, |kernel| kernel.skb);
        let load = load_options(options, seed, skb, mechanism);
        let watched = matches!(options.timing, Timing::Cost(_));
        let cost = CostMeter::start(mechanism == Mechanism::Tracepoints, watched);
        let is_blind = watched && !cost.can_measure();
        let loading = Instant::now();
        for (port, traced) in &ports {
            probes.planned(&trace_of(traced, Share { room, port: *port }, mechanism, options.timeout));
        }
        let mut attached = Attached::new(&plans, &load, &mut probes.attachable())
            // The verifier's own words fill pages.
            .inspect_err(|error| log::debug!("{error}"))?;
        log::info!(
            "loading and attaching ({}) took {:.1} ms, the verifier followed {} instructions",
            mechanism.name(),
            loading.elapsed().as_secs_f64() * 1e3,
            attached.verified_instructions()
        );
        let diagnostics = if options.debug { diagnostics(&mut attached) } else { None };
        introduce_strangers(&mut attached, &ports, &beside, options)?;
        let maps = Rc::new(Maps::default());
        let settings = CollectOptions { room, timeout: options.timeout, seed, timing: options.timed() };
        let (collector, records) = Collector::new(attached.ebpf_mut(), &maps, settings)?;
        let next = PortId(u32::try_from(ports.len()).unwrap_or(u32::MAX));
        let mut session = Self {
            room,
            next,
            ports,
            leaving: BTreeMap::new(),
            attached,
            probes,
            maps,
            collector,
            cost: cost.from_now(),
            is_blind,
            options: options.clone(),
            described,
            records: Some(records),
            keeps_slowest: matches!(options.records.tail, Tail::Top(_)),
            diagnostics,
            mechanism,
            witness: None,
            found: Found::default(),
            taken: None,
        };
        for port in session.ports.keys().copied().collect::<Vec<_>>() {
            session.read(port, &beside)?;
        }
        session.watch_members();
        for mac in &options.macs {
            session.give_address(*mac)?;
        }
        Ok(session)
    }

    /// Begins to read a port's figures.
    fn read(&mut self, port: PortId, beside: &Beside) -> Result<(), CollectError> {
        let Some(traced) = self.ports.get(&port) else { return Ok(()) };
        let share = Share { room: self.room, port };
        let trace = trace_of(traced, share, self.mechanism, self.options.timeout);
        let readings = self.probes.readings(self.attached.ebpf(), &self.maps, &trace)?;
        let (plan, tail) = (traced.plan.clone(), self.options.records.tail);
        self.collector.add(port, plan, self.attached.ebpf_mut(), readings, tail)?;
        if beside.switch_knows(&traced.path) {
            self.collector.switch_knows_vm(port);
        }
        Ok(())
    }

    fn watch_members(&mut self) {
        let mut members: BTreeMap<IfIndex, Interface> = BTreeMap::new();
        for port in self.ports.values() {
            let of_port = attach::members(&port.plan, self.mechanism).into_iter();
            members.extend(of_port.map(|member| (member.ifindex, member)));
        }
        self.collector.watch_members(members.into_values().collect());
    }

    /// A further address is given to the only port.
    fn give_address(&self, mac: crate::model::MacAddr) -> Result<(), TraceError> {
        let own = self.ports.values().any(|port| port.path.instance.mac == mac);
        if own || self.collector.give_address(PortId::FIRST, mac) {
            return Ok(());
        }
        Err(TraceError::NoRoom(mac))
    }

    /// The ports that are traced.
    pub(super) const fn ports(&self) -> &BTreeMap<PortId, TracedPort> {
        &self.ports
    }

    /// Whether it can have several.
    pub(super) const fn is_of_several(&self) -> bool {
        !self.room.is_for_one()
    }

    /// What another program may take away meanwhile.
    pub(super) fn filters(&self) -> Option<Filters> {
        self.attached.filters()
    }

    /// The ports whose paths have this interface.
    pub(super) fn ports_at(&self, ifindex: IfIndex) -> BTreeSet<PortId> {
        let is_there = |plan: &Plan| plan.path_interfaces().any(|interface| interface.ifindex == ifindex);
        let there = self.ports.iter().filter(|(_, port)| is_there(&port.plan));
        there.map(|(port, _)| *port).collect()
    }

    /// Admits packets, after a look at the host's own counters.
    pub(super) async fn open(&mut self) {
        let paths: Vec<&Path> = self.ports.values().map(|port| &port.path).collect();
        let mut nics: BTreeMap<IfIndex, Interface> = BTreeMap::new();
        for (_, nic) in self.ports.values().flat_map(|port| port.plan.wire_hooks()) {
            nics.insert(nic.ifindex, nic.clone());
        }
        self.witness = Some(Witness::begin(&paths, nics.into_values().collect()).await);
        self.collector.open(self.options.count);
    }

    /// Settles lost packets; call it often.
    pub(super) fn sweep(&mut self) -> Progress {
        if let Some(diagnostics) = &mut self.diagnostics {
            diagnostics.flush();
        }
        let (of_hooks, host_wide) = (self.attached.run_statistics(), self.attached.host_wide_statistics());
        if let Some(cost) = self.cost.tick((of_hooks.0 + host_wide.0, of_hooks.1 + host_wide.1)) {
            self.collector.cost_was(cost);
        }
        self.keep_slowest();
        self.collector.sweep()
    }

    /// Does nothing where the records are taken, or none are sent.
    fn keep_slowest(&mut self) {
        if let Some(records) = self.records.as_mut().filter(|_| self.keeps_slowest) {
            self.collector.keep_slowest(records);
        }
    }

    /// The packets that are told one by one; can be taken once.
    pub(super) fn take_records(&mut self) -> Option<Records> {
        self.records.take()
    }

    /// The figures of one port so far; what tracing costs is not a port's.
    pub(super) fn snapshot(&self, port: PortId) -> Option<Snapshot> {
        let mut snapshot = self.collector.snapshot(port, TracerCost::default())?;
        for port in &mut snapshot.neighbours {
            port.hooked = self.attached.is_hooked(&port.place);
        }
        snapshot.notes = self.probes.doubts(self.attached.ebpf(), &snapshot).collect();
        Some(snapshot)
    }

    /// Those of the host and of the tracer, whatever port they are about.
    pub(super) fn figures(&self) -> TraceFigures {
        let notes =
            self.probes.changes().chain(self.attached.notes()).chain(self.found.unasked.iter().cloned());
        let costs_too_much = self.collector.costs_too_much().then(|| COSTS_TOO_MUCH.to_owned());
        let is_blind = self.is_blind.then(|| BLIND.to_owned());
        let notes = notes.chain(costs_too_much).chain(is_blind);
        TraceFigures {
            notes: notes.collect(),
            evidence: self.found.evidence.clone(),
            taken: self.taken.clone(),
            tracer: self.tracer_cost(),
            ..TraceFigures::default()
        }
    }

    fn tracer_cost(&self) -> TracerCost {
        let statistics = self.attached.run_statistics();
        let host_wide = self.attached.host_wide_statistics();
        #[allow(clippy::cast_precision_loss, reason = "a mean")]
        let mean = |(runs, time_ns): (u64, u64)| (runs > 0).then(|| time_ns as f64 / runs as f64);
        TracerCost {
            hooks: self.hooks(),
            ns_per_hook: mean(statistics),
            runs_measured: statistics.0,
            ns_per_sent: mean(host_wide),
            sent_measured: host_wide.0,
            hooks_cpu_pct: self.cost.hooks_cpu_pct(),
            missed_runs: self.attached.missed_runs(),
            cpu_pct: self.cost.cpu_pct(),
            map_bytes: self.attached.locked_bytes(),
            mechanism: self.mechanism,
        }
    }

    /// Hooks of all ports; one that several share counts once.
    fn hooks(&self) -> usize {
        let of_port = |port: &TracedPort| -> Vec<(Option<IfIndex>, Side)> {
            let hooks = port.plan.hooks.iter();
            let at = hooks.map(|hook| {
                let interface = hook.interfaces.first().filter(|_| !hook.is_neighbour());
                (interface.map(|interface| interface.ifindex), hook.side)
            });
            at.collect()
        };
        let all: Vec<_> = self.ports.values().flat_map(of_port).collect();
        if self.is_of_several() {
            let each_once = all.iter().map(|(ifindex, side)| (*ifindex, side.name()));
            each_once.collect::<BTreeSet<_>>().len()
        } else {
            all.len()
        }
    }

    /// Admits nothing new and waits for the packets on their way: at most until each has come or timed out. Then looks at
    /// the host's own counters again. What waits ends early when `hurry` does. Where hooks are gone, packets on their way can not come any
    /// more, and none of them is lost because of that.
    pub(super) async fn drain(&mut self, ending: &Ending, hurry: &mut impl AsyncFnMut()) {
        if let Ending::Taken(taken) = ending {
            self.collector.abandon();
            self.taken = Some(taken.clone());
        } else {
            self.drain_table(hurry).await;
        }
        self.look_for_astray().await;
        if let Some(witness) = &self.witness {
            tokio::select! {
                found = witness.end() => self.found = found,
                () = hurry() => {}
            }
        }
    }

    /// Where packets came to wrong ports only, somebody may be behind those after all.
    async fn look_for_astray(&mut self) {
        for (port, traced) in &self.ports {
            if self.collector.has_gone_astray(*port) {
                for (place, mac) in beside::learned_since(&traced.plan.neighbours).await {
                    self.collector.found_behind(*port, place, mac);
                }
            }
        }
    }

    async fn drain_table(&mut self, hurry: &mut impl AsyncFnMut()) {
        self.collector.drain();
        let deadline = Instant::now() + self.options.timeout + 2 * DRAIN_EVERY;
        while self.collector.sweep().in_flight > 0 && Instant::now() < deadline {
            tokio::select! {
                () = tokio::time::sleep(DRAIN_EVERY) => {}
                () = hurry() => return,
            }
        }
    }

    /// Lets everything by unseen again: the figures are final then.
    pub(super) fn finish(&mut self) {
        self.collector.close();
        self.collector.sweep();
        self.keep_slowest();
        if let Some(nic_drops) = self.found.nic_drops {
            self.collector.limit_losses_at_nics(nic_drops);
        }
    }
}

/// Tells the programs which addresses are others'.
fn introduce_strangers(
    attached: &mut Attached,
    ports: &BTreeMap<PortId, TracedPort>,
    beside: &Beside,
    options: &TraceOptions,
) -> Result<(), TraceError> {
    let own = ports.values().next().filter(|_| ports.len() == 1).map(|port| &port.path);
    let of_path = own.into_iter().flat_map(|path| &path.other_ports);
    // What is learned behind the place of a traced port may be its own: of several, that is strange to none.
    let traced: BTreeSet<_> =
        ports.values().flat_map(|port| port.path.hops().map(|hop| hop.ifindex)).collect();
    let of_others = |port: &OtherPort| {
        let is_traced = ports.len() > 1 && port.namespace.is_none() && traced.contains(&port.ifindex);
        port.macs.iter().copied().take(if is_traced { 1 } else { usize::MAX }).collect::<Vec<_>>()
    };
    let others = of_path.chain(beside.all()).flat_map(of_others);
    let is_own = |mac: &crate::model::MacAddr| own.is_some_and(|path| path.instance.mac == *mac);
    let others = others.filter(|mac| !is_own(mac) && !options.macs.contains(mac));
    Ok(attached.introduce_strangers(others.collect::<BTreeSet<_>>().into_iter())?)
}

/// The reader of the programs' own diagnostics; they go to the log.
fn diagnostics(attached: &mut Attached) -> Option<EbpfLogger<&'static dyn Log>> {
    EbpfLogger::init(attached.ebpf_mut())
        .inspect_err(|error| log::warn!("no diagnostics from the eBPF programs: {error}"))
        .ok()
}
