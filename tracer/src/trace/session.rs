//! One trace, from loading the programs to taking them off.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    time::{Duration, Instant},
};

use aya_log::EbpfLogger;
use hoptrace_common::{config::TraceConfig, skb::SkbLayout};
use log::Log;

use super::{
    Note, TraceError, TraceOptions, beside,
    ending::Ending,
    prepare::{Kernel, mechanism, note_other_tracers, note_others_addresses, remove_leftovers},
};
use crate::{
    attach::{self, Attached, Filters, LoadOptions, PlanOptions},
    collect::{Collector, CostMeter, Found, Progress, Records, Witness},
    model::{Mechanism, Path, Plan, Snapshot, Tail, Taken, Traceability, TracerCost},
    probes::{Host, Probes, Trace},
};

/// How often the table is looked at while the last packets come in.
const DRAIN_EVERY: Duration = Duration::from_millis(20);

/// Programs on the path, and what reads their maps. Dropping it takes everything off.
pub(super) struct Session {
    plan: Plan,
    attached: Attached,
    probes: Probes,
    collector: Collector,
    cost: CostMeter,
    budget: Option<u64>,
    timeout: Duration,
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
    /// Loads and attaches; no packet is admitted yet.
    pub(super) async fn start(path: &Path, options: &TraceOptions) -> Result<Self, TraceError> {
        let note = options.note;
        match &path.traceability {
            Traceability::Fully => {}
            Traceability::Partly { why } => note(&Note::Part(why.clone())),
            Traceability::No { why } => return Err(TraceError::Untraceable(why.clone())),
        }
        let kernel = Kernel::ask(note);
        let mechanism = mechanism(options.mechanism, kernel.is_some(), path, note)?;
        let (neighbours, switch_knows_vm) = beside::ports(path, options.path_only, kernel.is_some()).await;
        let mut probes = Probes::of(&Host {
            btf: kernel.as_ref().map(|kernel| &kernel.btf),
            path: Some(path),
            wire: options.wire,
            xdp: options.xdp,
            explain: options.explain,
        });
        probes.why_not().for_each(|why| note(&Note::Without(why)));
        let plan = attach::plan(
            &path.hops().collect::<Vec<_>>(),
            probes.wishes(PlanOptions {
                neighbours: &neighbours,
                at_tracepoints: mechanism == Mechanism::Tracepoints,
                ..PlanOptions::default()
            }),
        )?;
        probes.check(&plan).await?;
        remove_leftovers(&plan, note)?;
        note_other_tracers(&plan, mechanism, note);
        note_others_addresses(path, &options.macs, note);
        // Who sends packets must not know their places in the table.
        let seed = RandomState::new().hash_one(0);
        let load = LoadOptions {
            inflight_slots: options.inflight,
            ring_bytes: options.records.ring_bytes,
            trace: TraceConfig {
                timeout_ns: u64::try_from(options.timeout.as_nanos()).unwrap_or(u64::MAX),
                mac: path.instance.mac.as_number(),
                sample_below: options.records.sample_below,
                tail: u32::from(options.records.tail != Tail::None),
                seed,
                budgeted: u32::from(options.count.is_some()),
                filter: options.filter.to_kernel(),
                ipv4: ipv4_numbers(&path.instance.ips),
                ..TraceConfig::default()
            },
            skb: kernel.map_or_else(SkbLayout::default, |kernel| kernel.skb),
            mechanism,
            log_level: if options.debug { aya_log::Level::Debug as u8 } else { 0 },
        };
        let cost = CostMeter::start(mechanism == Mechanism::Tracepoints);
        let loading = Instant::now();
        let trace = Trace { plan: &plan, path: Some(path), mechanism, timeout: options.timeout };
        probes.planned(&trace);
        let mut attached = Attached::new(&plan, &load, &mut probes.attachable())
            // The verifier's own words fill pages.
            .inspect_err(|error| log::debug!("{error}"))?;
        log::info!(
            "loading and attaching ({}) took {:.1} ms, the verifier followed {} instructions",
            mechanism.name(),
            loading.elapsed().as_secs_f64() * 1e3,
            attached.verified_instructions()
        );
        let diagnostics = if options.debug { diagnostics(&mut attached) } else { None };
        let others = path.other_ports.iter().flat_map(|port| port.macs.iter().copied());
        let others = others.filter(|mac| *mac != path.instance.mac && !options.macs.contains(mac));
        attached.introduce_strangers(others)?;
        let readings = probes.readings(attached.ebpf(), &trace)?;
        let (mut collector, records) = Collector::new(
            plan.clone(),
            attached.ebpf_mut(),
            readings,
            options.timeout,
            options.records.tail,
            seed,
        )?;
        collector.watch_members(attach::members(&plan, mechanism));
        if switch_knows_vm {
            collector.switch_knows_vm();
        }
        for mac in options.macs.iter().filter(|mac| **mac != path.instance.mac) {
            if !collector.give_address(*mac) {
                return Err(TraceError::NoRoom(*mac));
            }
        }
        Ok(Self {
            plan,
            attached,
            probes,
            collector,
            cost: cost.from_now(),
            budget: options.count,
            timeout: options.timeout,
            records: Some(records),
            keeps_slowest: matches!(options.records.tail, Tail::Top(_)),
            diagnostics,
            mechanism,
            witness: None,
            found: Found::default(),
            taken: None,
        })
    }

    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What another program may take away meanwhile.
    pub(super) fn filters(&self) -> Option<Filters> {
        self.attached.filters()
    }

    /// Admits packets, after a look at the host's own counters.
    pub(super) async fn open(&mut self, path: &Path) {
        let nics = self.plan.wire_hooks().map(|(_, nic)| nic.clone()).collect();
        self.witness = Some(Witness::begin(path, nics).await);
        self.collector.open(self.budget);
    }

    /// Settles lost packets; call it often.
    pub(super) fn sweep(&mut self) -> Progress {
        if let Some(diagnostics) = &mut self.diagnostics {
            diagnostics.flush();
        }
        self.cost.tick(self.attached.run_statistics().0 + self.attached.host_wide_statistics().0);
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

    /// The figures so far.
    pub(super) fn snapshot(&self) -> Snapshot {
        let statistics = self.attached.run_statistics();
        let host_wide = self.attached.host_wide_statistics();
        #[allow(clippy::cast_precision_loss, reason = "a mean")]
        let mean = |(runs, time_ns): (u64, u64)| (runs > 0).then(|| time_ns as f64 / runs as f64);
        let cost = TracerCost {
            ns_per_hook: mean(statistics),
            runs_measured: statistics.0,
            ns_per_sent: mean(host_wide),
            sent_measured: host_wide.0,
            missed_runs: self.attached.missed_runs(),
            cpu_pct: self.cost.cpu_pct(),
            map_bytes: self.attached.locked_bytes(),
            mechanism: self.mechanism,
            ..TracerCost::default()
        };
        let mut snapshot = self.collector.snapshot(cost);
        for port in &mut snapshot.neighbours {
            port.hooked = self.attached.is_hooked(&port.place);
        }
        let notes = self
            .probes
            .changes()
            .chain(self.attached.notes())
            .chain(self.found.unasked.iter().cloned())
            .chain(self.probes.doubts(self.attached.ebpf(), &snapshot))
            .collect();
        let evidence = [snapshot.evidence.as_slice(), self.found.evidence.as_slice()].concat();
        Snapshot { notes, evidence, taken: self.taken.clone(), ..snapshot }
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
        if self.collector.has_gone_astray() {
            for (place, mac) in beside::learned_since(&self.plan.neighbours).await {
                self.collector.found_behind(place, mac);
            }
        }
        if let Some(witness) = &self.witness {
            tokio::select! {
                found = witness.end() => self.found = found,
                () = hurry() => {}
            }
        }
    }

    async fn drain_table(&mut self, hurry: &mut impl AsyncFnMut()) {
        self.collector.drain();
        let deadline = Instant::now() + self.timeout + 2 * DRAIN_EVERY;
        while self.collector.sweep().in_flight > 0 && Instant::now() < deadline {
            tokio::select! {
                () = tokio::time::sleep(DRAIN_EVERY) => {}
                () = hurry() => return,
            }
        }
    }

    /// Lets everything by unseen again, and gives the final figures.
    pub(super) fn finish(&mut self) -> Snapshot {
        self.collector.close();
        self.collector.sweep();
        self.keep_slowest();
        if let Some(nic_drops) = self.found.nic_drops {
            self.collector.limit_losses_at_nics(nic_drops);
        }
        self.snapshot()
    }
}

/// The first four IPv4 addresses as the programs compare them: their bytes read as little-endian numbers.
fn ipv4_numbers(ips: &[IpAddr]) -> [u32; 4] {
    let mut numbers = [0; 4];
    let addresses = ips.iter().filter_map(|ip| match ip {
        IpAddr::V4(ip) => Some(u32::from_le_bytes(ip.octets())),
        IpAddr::V6(_) => None,
    });
    for (number, address) in numbers.iter_mut().zip(addresses) {
        *number = address;
    }
    numbers
}

/// The reader of the programs' own diagnostics; they go to the log.
fn diagnostics(attached: &mut Attached) -> Option<EbpfLogger<&'static dyn Log>> {
    EbpfLogger::init(attached.ebpf_mut())
        .inspect_err(|error| log::warn!("no diagnostics from the eBPF programs: {error}"))
        .ok()
}
