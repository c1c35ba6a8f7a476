//! The hooks of a course.

use std::{rc::Rc, time::Duration};

use anyhow::Result;
use hoptrace::{
    attach::{self, Attached, LoadOptions, PlanOptions, Plans, PortPlan},
    collect::{CollectOptions, Collector, Share},
    model::{Direction, HookPlan, IfIndex, Mechanism, Plan, PortId, Role, Side, Tail, Timing, XdpMode},
    path::hybrid_hop,
    probes::{Host, Probes, Trace},
};
use hoptrace_common::{config::TraceConfig, filter::Filter, skb::SkbLayout};

/// The VM's MAC address.
pub(crate) const VM_MAC: [u8; 6] = [0xfa, 0x16, 0x3e, 0, 0, 1];
/// As `hoptrace trace` sets it when not told otherwise.
pub(crate) const INFLIGHT_SLOTS: u32 = 65_536;
/// Likewise, in nanoseconds.
pub(crate) const TIMEOUT_NS: u64 = 1_000_000_000;

/// Room for packet records, as `hoptrace packets` asks for.
const RING_BYTES: u32 = 16 << 20;

/// Where `BPF_PROG_TEST_RUN` runs programs: the loopback interface, in every network namespace.
pub(crate) const HERE: IfIndex = IfIndex(1);
/// Where it does not.
const ELSEWHERE: IfIndex = IfIndex(2);

/// The first hook of the way out and its last one: hooks are found by their interface, which is the same one for all
/// programs that a run goes through, and on one interface there is one hook on each side.
pub(crate) fn plan() -> Result<Plan> {
    plan_with(PlanOptions::default(), Direction::Egress)
}

/// Likewise, and XDP, the first hook of the way in, is here, too.
pub(crate) fn xdp_plan() -> Result<Plan> {
    plan_with(PlanOptions { xdp: Some(XdpMode::Native), ..PlanOptions::default() }, Direction::Egress)
}

/// The first hook of the way in and its last one.
pub(crate) fn plan_in() -> Result<Plan> {
    plan_with(PlanOptions::default(), Direction::Ingress)
}

/// The hooks of TC that go in `here` are here, those of the other direction elsewhere.
fn plan_with(options: PlanOptions<'_>, here: Direction) -> Result<Plan> {
    let hops = [(Role::Tap, "tap"), (Role::Nic, "nic")].map(|(role, ifname)| hybrid_hop(role, ifname, HERE));
    let mut plan = attach::plan(&hops.each_ref(), options)?;
    let elsewhere =
        |hook: &&mut HookPlan| hook.direction != here && matches!(hook.side, Side::Ingress | Side::Egress);
    for hook in plan.hooks.iter_mut().filter(elsewhere) {
        for interface in &mut hook.interfaces {
            interface.ifindex = ELSEWHERE;
        }
    }
    Ok(plan)
}

/// What `hoptrace` loads its programs with. `sample_below`: identities below it go to the ring.
pub(crate) fn load_options(filter: Filter, sample_below: u64) -> LoadOptions {
    LoadOptions {
        inflight_slots: INFLIGHT_SLOTS,
        ring_bytes: if sample_below > 0 { RING_BYTES } else { 0 },
        trace: TraceConfig {
            timeout_ns: TIMEOUT_NS,
            mac: mac_number(VM_MAC),
            sample_below,
            filter,
            ..TraceConfig::default()
        },
        skb: SkbLayout::default(),
        mechanism: Mechanism::Tcx,
        log_level: 0,
    }
}

/// The same where one packet of 16 is timed.
pub(crate) fn load_options_timed_16(filter: Filter) -> LoadOptions {
    let options = load_options(filter, 0);
    LoadOptions { trace: TraceConfig { sharing: 1, ..options.trace }, ..options }
}

fn timing(options: &LoadOptions) -> Timing {
    if options.trace.sharing == 0 { Timing::Exact } else { Timing::OneOf(16) }
}

/// Loads the programs on no interface, with those probes that need nothing of the host.
pub(crate) fn load(plan: &Plan, options: &LoadOptions, timeout: Duration) -> Result<(Attached, Collector)> {
    load_for(&Host::default(), plan, options, timeout)
}

/// Likewise, with those probes that need no more than is known of `host`.
pub(crate) fn load_for(
    host: &Host<'_>,
    plan: &Plan,
    options: &LoadOptions,
    timeout: Duration,
) -> Result<(Attached, Collector)> {
    let (mut probes, maps) = (Probes::of(host), Rc::default());
    let share = Share::whole(plan.segment_count);
    let trace = Trace { plan, path: None, share, mechanism: options.mechanism, timeout };
    probes.planned(&trace);
    let port = PortPlan { plan: plan.clone(), mac: options.trace.mac, ipv4: options.trace.ipv4 };
    let mut attached = Attached::load(&Plans::one(port), options, &mut probes.attachable())?;
    let readings = probes.readings(attached.ebpf(), &maps, &trace)?;
    let settings = CollectOptions { room: share.room, timeout, seed: 1, timing: timing(options) };
    let (mut collector, _) = Collector::new(attached.ebpf_mut(), &maps, settings)?;
    collector.add(share.port, plan.clone(), attached.ebpf_mut(), readings, Tail::None)?;
    Ok((attached, collector))
}

/// The same as [`load_for`] for two VMs, whose taps are elsewhere and who share the NIC, which is here: its hooks are the second and the third of each plan.
pub(crate) fn load_several(
    host: &Host<'_>,
    options: &LoadOptions,
    timeout: Duration,
) -> Result<(Attached, Collector)> {
    let port = |number: u8| -> Result<PortPlan> {
        let tap = hybrid_hop(Role::Tap, "tap", IfIndex(ELSEWHERE.0 + u32::from(number)));
        let hops = [tap, hybrid_hop(Role::Nic, "nic", HERE)];
        let plan = attach::plan(&hops.each_ref(), PlanOptions::default())?;
        let [shared @ .., _] = VM_MAC;
        let mac = mac_number(shared) | u64::from(number) << 40;
        Ok(PortPlan { plan, mac, ipv4: [0; 4] })
    };
    let ports = vec![port(1)?, port(2)?];
    let plans = Plans::several(ports.clone(), Vec::new(), None);
    let (room, mut probes, maps) = (plans.room(), Probes::of(host), Rc::default());
    let shares = || (0..).map(PortId).map(|port| Share { room, port }).zip(&ports);
    let trace = |share, plan| Trace { plan, path: None, share, mechanism: options.mechanism, timeout };
    for (share, port) in shares() {
        probes.planned(&trace(share, &port.plan));
    }
    let mut attached = Attached::load(&plans, options, &mut probes.attachable())?;
    let (mut collector, _) = Collector::new(
        attached.ebpf_mut(),
        &maps,
        CollectOptions { room, timeout, seed: 1, timing: Timing::Exact },
    )?;
    for (share, port) in shares() {
        let readings = probes.readings(attached.ebpf(), &maps, &trace(share, &port.plan))?;
        collector.add(share.port, port.plan.clone(), attached.ebpf_mut(), readings, Tail::None)?;
    }
    Ok((attached, collector))
}

/// As the programs compare it: its bytes read as a little-endian number.
pub(crate) fn mac_number<const BYTES: usize>(mac: [u8; BYTES]) -> u64 {
    mac.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
