//! One port of a trace, from its path to what is loaded for it.

use std::{net::IpAddr, time::Duration};

use hoptrace_common::{config::TraceConfig, skb::SkbLayout};

use super::{Note, NoteTo, TraceError, TraceOptions, beside::Beside};
use crate::{
    attach::{self, LoadOptions, PlanOptions, PortPlan},
    collect::Share,
    model::{
        BridgeKind, HookChoice, Hop, Mechanism, OtherPort, Path, PathKind, Plan, Printable, Tail, Timing,
        Traceability,
    },
    probes::{Probes, Trace},
};

/// A port, and where its hooks are.
#[derive(Debug)]
pub(super) struct TracedPort {
    pub(super) path: Path,
    pub(super) plan: Plan,
}

impl TracedPort {
    /// For the loader.
    pub(super) fn planned(&self) -> PortPlan {
        let instance = &self.path.instance;
        PortPlan { plan: self.plan.clone(), mac: instance.mac.as_number(), ipv4: ipv4_numbers(&instance.ips) }
    }
}

/// How hooks are placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placing {
    pub(super) mechanism: Mechanism,
    /// It is a trace of several ports.
    pub(super) several: bool,
    pub(super) hooks: HookChoice,
}

/// Where the hooks of a port are to be. In a trace of several ports (`several`) the ports beside its path are those of all of them, and not
/// part of its plan; that some of its path cannot be hooked is said with its name.
pub(super) fn plan(
    path: &Path,
    neighbours: &[OtherPort],
    Placing { mechanism, several, hooks }: Placing,
    probes: &Probes,
    note: NoteTo,
) -> Result<Plan, TraceError> {
    match &path.traceability {
        Traceability::Fully => {}
        Traceability::Partly { why } if several => {
            note(&Note::Part(format!("{}: {why}", Printable(&path.instance.title()))));
        }
        Traceability::Partly { why } => note(&Note::Part(why.clone())),
        Traceability::No { why } => return Err(TraceError::Untraceable(why.clone())),
    }
    // What goes on from the end of a path before the switch's ports is behind that end, as in a trace of one.
    let neighbours: &[OtherPort] = if several && !path.hops().any(Hop::leads_out) { &[] } else { neighbours };
    let hooked = path.hooked(hooks, |hop| attach::is_merging(&hop.ifname));
    let mut plan = attach::plan(
        &hooked,
        probes.wishes(PlanOptions {
            neighbours,
            // OVN answers in VMs' names at their neighbours' ports.
            taken_at_first: path.kind != PathKind::Ovn
                && path.guests().and_then(|hop| path.bridge_of(hop)).is_some_and(BridgeKind::is_userspace),
            at_tracepoints: mechanism == Mechanism::Tracepoints,
            ..PlanOptions::default()
        }),
    )?;
    let unhooked = path.hops().filter(|hop| !hooked.contains(hop));
    plan.unhooked = unhooked.map(Hop::interface).collect();
    if several {
        plan.neighbours.clear();
        plan.hooks.iter_mut().filter(|hook| hook.is_neighbour()).for_each(|hook| hook.interfaces.clear());
    }
    Ok(plan)
}

/// Plans all ports, in the order of their paths.
pub(super) fn plan_all(
    paths: Vec<Path>,
    beside: &Beside,
    placing: Placing,
    probes: &Probes,
    leaves_out: bool,
    options: &TraceOptions,
) -> Result<Vec<TracedPort>, TraceError> {
    let mut ports = Vec::new();
    for (place, path) in paths.into_iter().enumerate() {
        match plan(&path, &beside.of_path(place), placing, probes, options.note) {
            Ok(plan) => ports.push(TracedPort { path, plan }),
            Err(why) if leaves_out => {
                let (port, why) = (path.instance.title(), why.to_string());
                (options.note)(&Note::Skipped { port, why });
            }
            Err(why) if placing.several => {
                return Err(TraceError::OfPort { port: path.instance.title(), why: Box::new(why) });
            }
            Err(why) => return Err(why),
        }
    }
    if ports.is_empty() { Err(TraceError::NothingToTrace) } else { Ok(ports) }
}

/// For probes.
pub(super) const fn trace_of(
    traced: &TracedPort,
    share: Share,
    mechanism: Mechanism,
    timeout: Duration,
) -> Trace<'_> {
    Trace { plan: &traced.plan, path: Some(&traced.path), share, mechanism, timeout }
}

/// What the programs are loaded with.
pub(super) fn load_options(
    options: &TraceOptions,
    seed: u64,
    skb: SkbLayout,
    mechanism: Mechanism,
) -> LoadOptions {
    LoadOptions {
        inflight_slots: options.inflight,
        ring_bytes: options.records.ring_bytes,
        trace: TraceConfig {
            timeout_ns: u64::try_from(options.timeout.as_nanos()).unwrap_or(u64::MAX),
            sample_below: options.records.sample_below,
            tail: u16::from(options.records.tail != Tail::None),
            sharing: u16::from(options.timed() != Timing::Exact),
            seed,
            budgeted: u32::from(options.count.is_some()),
            filter: options.filter.to_kernel(),
            ..TraceConfig::default()
        },
        skb,
        mechanism,
        log_level: if options.debug { aya_log::Level::Debug as u8 } else { 0 },
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
