//! One trace, from loading the programs to taking them off.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    time::{Duration, Instant},
};

use aya_log::EbpfLogger;
use hoptrace_common::{config::TraceConfig, filter::Filter, skb::SkbLayout};
use log::Log;

use super::{
    beside,
    ending::{Ending, Endings},
    prepare::{Kernel, mechanism, note_other_tracers, note_others_addresses, remove_leftovers},
};
use crate::{
    attach::{self, Attached, Extras, Filters, LoadOptions},
    cli::{CliError, output},
    collect::{Collector, CostMeter, Found, Progress, Records, Witness},
    model::{
        Direction, MacAddr, Mechanism, Path, Plan, Printable, Snapshot, Tail, Taken, Traceability,
        TracerCost, XdpMode,
    },
};

/// How often the table is looked at while the last packets come in.
const DRAIN_EVERY: Duration = Duration::from_millis(20);

/// What the command line says about a trace.
#[derive(Debug, Clone)]
pub(in crate::cli) struct SessionOptions {
    pub(in crate::cli) timeout: Duration,
    pub(in crate::cli) inflight: u32,
    pub(in crate::cli) filter: Filter,
    pub(in crate::cli) budget: Option<u64>,
    /// Whether to leave the neighbours' ports alone.
    pub(in crate::cli) path_only: bool,
    /// Further MAC addresses of the port.
    pub(in crate::cli) macs: Vec<MacAddr>,
    /// Whether to follow packets to the NIC's driver.
    pub(in crate::cli) wire: bool,
    /// Whether XDP is hooked, too.
    pub(in crate::cli) xdp: Option<XdpMode>,
    /// Where the hooks are to be, if somebody says.
    pub(in crate::cli) mechanism: Option<Mechanism>,
    pub(in crate::cli) emission: Emission,
    /// Whether the programs shall tell what they do.
    pub(in crate::cli) debug: bool,
}

/// Which packets are told one by one; by default none.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Emission {
    /// Room for their records.
    pub(in crate::cli) ring_bytes: u32,
    /// Those whose identity is below this.
    pub(in crate::cli) sample_below: u64,
    /// And those that are slow.
    pub(in crate::cli) tail: Tail,
    /// Whether the switch is asked about some others.
    pub(in crate::cli) explain: bool,
}

/// Programs on the path, and what reads their maps. Dropping it takes everything off.
pub(in crate::cli) struct Session {
    plan: Plan,
    attached: Attached,
    collector: Collector,
    cost: CostMeter,
    budget: Option<u64>,
    timeout: Duration,
    /// Until somebody takes them.
    records: Option<Records>,
    keeps_slowest: bool,
    /// The programs' own words, at debug level.
    diagnostics: Option<EbpfLogger<&'static dyn Log>>,
    mechanism: Mechanism,
    /// Once packets are admitted.
    witness: Option<Witness>,
    /// What it found at the end.
    found: Found,
    /// Hooks that somebody took away: the trace ended there.
    taken: Option<Taken>,
}

impl Session {
    /// Loads and attaches; no packet is admitted yet.
    pub(in crate::cli) async fn start(path: &Path, options: &SessionOptions) -> Result<Self, CliError> {
        match &path.traceability {
            Traceability::Fully => {}
            Traceability::Partly { why } => output::note(&format!("tracing a part of the path only: {why}")),
            Traceability::No { why } => return Err(CliError::new(format!("cannot trace: {why}"))),
        }
        let kernel = Kernel::ask();
        let mechanism = mechanism(options.mechanism, kernel.is_some(), path)?;
        let (neighbours, switch_knows_vm) = beside::ports(path, options.path_only, kernel.is_some()).await;
        let upcalls = kernel.as_ref().and_then(|kernel| kernel.upcalls(path));
        let slow_at = upcalls.as_ref().map_or(&[][..], |upcalls| &upcalls.ports);
        let plan = attach::plan(
            &path.hops().collect::<Vec<_>>(),
            Extras {
                neighbours: &neighbours,
                xdp: options.xdp,
                wire: options.wire && kernel.is_some(),
                slow_at,
                at_tracepoints: mechanism == Mechanism::Tracepoints,
            },
        )
        .map_err(|error| CliError::new(format!("cannot trace: {error}")))?;
        attach::check_xdp(&plan)
            .await
            .map_err(|error| CliError::new(Printable(&error.to_string()).to_string()))?;
        remove_leftovers(&plan)?;
        note_other_tracers(&plan, mechanism);
        note_others_addresses(path, &options.macs);
        let drops = kernel.as_ref().and_then(|kernel| {
            attach::drop_options(&kernel.btf, &plan, path, mechanism)
                .inspect_err(|error| output::note(&format!("losses will have no reason: {error}")))
                .ok()
        });
        // Nobody who sends packets shall know where they come to lie.
        let seed = RandomState::new().hash_one(0);
        let load = LoadOptions {
            drops,
            upcalls,
            heads_at: if options.emission.explain { attach::before_switch(&plan, path) } else { 0 },
            inflight_slots: options.inflight,
            ring_bytes: options.emission.ring_bytes,
            trace: TraceConfig {
                timeout_ns: u64::try_from(options.timeout.as_nanos()).unwrap_or(u64::MAX),
                mac: path.mac.as_number(),
                sample_below: options.emission.sample_below,
                tail: u32::from(options.emission.tail != Tail::None),
                seed,
                budgeted: u32::from(options.budget.is_some()),
                filter: options.filter,
                ipv4: ipv4_numbers(&path.instance.ips),
                ..TraceConfig::default()
            },
            skb: kernel.map_or_else(SkbLayout::default, |kernel| kernel.skb),
            mechanism,
            log_level: if options.debug { aya_log::Level::Debug as u8 } else { 0 },
        };
        let cost = CostMeter::start(mechanism == Mechanism::Tracepoints);
        let loading = Instant::now();
        let mut attached = Attached::new(&plan, &load)
            // The verifier's own words fill pages.
            .inspect_err(|error| log::debug!("{error}"))
            .map_err(|error| CliError::new(Printable(&error.to_string()).to_string()))?;
        log::info!(
            "loading and attaching ({}) took {:.1} ms, the verifier followed {} instructions",
            mechanism.name(),
            loading.elapsed().as_secs_f64() * 1e3,
            attached.verified_instructions()
        );
        let diagnostics = if options.debug { diagnostics(&mut attached) } else { None };
        let others = path.other_ports.iter().flat_map(|port| port.macs.iter().copied());
        let others = others.filter(|mac| *mac != path.mac && !options.macs.contains(mac));
        attached.introduce_strangers(others).map_err(|error| CliError::new(error.to_string()))?;
        let maps = attached.take_maps().map_err(|error| CliError::new(error.to_string()))?;
        let (mut collector, records) =
            Collector::new(plan.clone(), maps, options.timeout, options.emission.tail, seed)
                .map_err(|error| CliError::new(error.to_string()))?;
        collector.watch_members(attach::members(&plan, mechanism));
        if switch_knows_vm {
            collector.switch_knows_vm();
        }
        for mac in options.macs.iter().filter(|mac| **mac != path.mac) {
            if !collector.give_address(*mac) {
                return Err(CliError::new(format!("there is no room for --mac {mac} beside the others")));
            }
        }
        Ok(Self {
            plan,
            attached,
            collector,
            cost: cost.from_now(),
            budget: options.budget,
            timeout: options.timeout,
            records: Some(records),
            keeps_slowest: matches!(options.emission.tail, Tail::Top(_)),
            diagnostics,
            mechanism,
            witness: None,
            found: Found::default(),
            taken: None,
        })
    }

    pub(in crate::cli) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What somebody may take away meanwhile.
    pub(in crate::cli) fn filters(&self) -> Option<Filters> {
        self.attached.filters()
    }

    /// Admits packets, after a look at the host's own counters.
    pub(in crate::cli) async fn open(&mut self, path: &Path) {
        let nics = self.plan.wire_hooks().map(|(_, nic)| nic.clone()).collect();
        self.witness = Some(Witness::begin(path, nics).await);
        self.collector.open(self.budget);
    }

    /// What a user wants to know once packets are admitted.
    pub(in crate::cli) fn greeting(&self, path: &Path, filter: &str, ready: Duration) -> String {
        let name = path.instance.title();
        let what = if filter.is_empty() { "all packets".to_owned() } else { Printable(filter).to_string() };
        let ifnames: Vec<_> = path.hops().map(|hop| Printable(&hop.ifname).to_string()).collect();
        let neighbours = match self.plan.neighbours.len() {
            0 => String::new(),
            1 => " and at 1 port beside the path".to_owned(),
            count => format!(" and at {count} ports beside the path"),
        };
        format!(
            "tracing {what} of {} ({}) with {} hooks at {}{neighbours}, ready after {} ms; Ctrl-C ends it",
            Printable(&name),
            path.mac,
            self.plan.hooks.len(),
            ifnames.join(", "),
            ready.as_millis()
        )
    }

    /// Settles lost packets; call it often.
    pub(in crate::cli) fn sweep(&mut self) -> Progress {
        if let Some(diagnostics) = &mut self.diagnostics {
            diagnostics.flush();
        }
        self.cost.tick(self.attached.run_statistics().0 + self.attached.host_wide_statistics().0);
        self.keep_slowest();
        self.collector.sweep()
    }

    /// Does nothing where somebody took the records, or none are sent.
    fn keep_slowest(&mut self) {
        if let Some(records) = self.records.as_mut().filter(|_| self.keeps_slowest) {
            self.collector.keep_slowest(records);
        }
    }

    /// The packets that are told one by one; can be taken once.
    pub(in crate::cli) fn take_records(&mut self) -> Option<Records> {
        self.records.take()
    }

    /// The figures so far.
    pub(in crate::cli) fn snapshot(&self) -> Snapshot {
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
        let unseen = self.attached.missed_frees();
        let mut notes = self.attached.notes();
        notes.extend(self.found.unasked.iter().cloned());
        if unseen > 0 && Direction::ALL.iter().any(|way| snapshot.directions.get(*way).ledger.lost > 0) {
            notes.push(format!(
                "{unseen} frees of packets, the VM's or others', were not looked at, because they interrupted the look at \
                 another one: so many of the lost packets may have had a reason"
            ));
        }
        let evidence = [snapshot.evidence.as_slice(), self.found.evidence.as_slice()].concat();
        Snapshot { notes, evidence, taken: self.taken.clone(), ..snapshot }
    }

    /// Admits nothing new and waits for the packets on their way: at most until each has come or timed out. Then looks at
    /// the host's own counters again. One more signal ends both. Where hooks are gone, packets on their way can not come any
    /// more, and none of them is lost because of that.
    pub(in crate::cli) async fn drain(&mut self, ending: &Ending, endings: &mut Endings) {
        if let Ending::Taken(taken) = ending {
            self.collector.abandon();
            self.taken = Some(taken.clone());
        } else {
            self.drain_table(endings).await;
        }
        if self.collector.has_gone_astray() {
            for (place, mac) in beside::learned_since(&self.plan.neighbours).await {
                self.collector.found_behind(place, mac);
            }
        }
        if let Some(witness) = &self.witness {
            tokio::select! {
                found = witness.end() => self.found = found,
                () = endings.signal() => {}
            }
        }
    }

    async fn drain_table(&mut self, endings: &mut Endings) {
        self.collector.drain();
        let deadline = Instant::now() + self.timeout + 2 * DRAIN_EVERY;
        while self.collector.sweep().in_flight > 0 && Instant::now() < deadline {
            tokio::select! {
                () = tokio::time::sleep(DRAIN_EVERY) => {}
                () = endings.signal() => return,
            }
        }
    }

    /// Lets everything by unseen again, and gives the final figures.
    pub(in crate::cli) fn finish(&mut self) -> Snapshot {
        self.collector.close();
        self.collector.sweep();
        self.keep_slowest();
        if let Some(nic_drops) = self.found.nic_drops {
            self.collector.acquit(nic_drops);
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
