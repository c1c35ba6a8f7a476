//! Packets that Open vSwitch's kernel datapath gives to user space: its slow path.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aya::{Ebpf, EbpfLoader};
use btf_rs::Btf;
use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS},
    ports::PortConfig,
    upcalls::{UpcallConfig, UpcallCounters},
};
use zerocopy::IntoBytes as _;

use super::{Host, Probe, Trace, devices::kernel_switch_ports};
use crate::{
    attach::{AttachError, Attachable, PlanOptions, Sizes, attach_at},
    collect::{CollectError, Maps, PerCpu, Reading},
    kernel::{BtfError, upcall_config},
    model::{self, HookSet, IfIndex, Path, Plan, PortId, Snapshot},
};

/// The program, and the tracepoint it runs at.
const PROGRAM: &str = "hop_upcall";
const TRACEPOINT: &str = "ovs_dp_upcall";
const COUNTS: &str = "UPCALL_COUNTS";

/// Needs a kernel datapath on the path, and its module's structures.
#[derive(Debug, Default)]
pub(super) struct Upcalls {
    config: UpcallConfig,
    /// The paths' interfaces that are ports of a kernel datapath; none where that can not be seen.
    ports: Vec<IfIndex>,
    /// Hooks behind which packets come to it, of each port.
    after: BTreeMap<PortId, HookSet>,
    attached: bool,
    why_not: Option<String>,
}

impl Upcalls {
    pub(super) fn of(host: &Host<'_>) -> Self {
        let Some(btf) = host.btf else { return Self::default() };
        Self::at(btf, host.paths).unwrap_or_else(|error| Self {
            why_not: Some(format!(
                "the slow path of Open vSwitch (upcalls) is not told from the fast one: {error}"
            )),
            ..Self::default()
        })
    }

    fn at(btf: &Btf, paths: &[&Path]) -> Result<Self, BtfError> {
        let ports: Vec<_> = paths.iter().flat_map(|path| kernel_switch_ports(path)).collect();
        let config = if ports.is_empty() { UpcallConfig::default() } else { upcall_config(btf)? };
        Ok(Self { config, ports, ..Self::default() })
    }
}

impl Probe for Upcalls {
    fn why_not(&self) -> Option<String> {
        self.why_not.clone()
    }

    fn wish<'p>(&'p self, options: &mut PlanOptions<'p>) {
        options.slow_at = &self.ports;
    }

    /// Where no path led through a kernel datapath at the start, the program is not there.
    fn meet(&mut self, path: &Path) {
        if !self.ports.is_empty() {
            self.ports.extend(kernel_switch_ports(path));
        }
    }

    fn planned(&mut self, trace: &Trace<'_>) {
        if !self.ports.is_empty() {
            self.config.after |= u32::from(trace.plan.upcalled_after.bits());
            self.after.insert(trace.share.port, trace.plan.upcalled_after);
        }
    }

    fn read(
        &self,
        object: &Ebpf,
        maps: &Maps,
        trace: &Trace<'_>,
    ) -> Result<Option<Box<dyn Reading>>, CollectError> {
        let counters = PerCpu::of(object, maps, COUNTS, trace.share)?;
        Ok(Some(Box::new(Counts::of(counters, trace.share.room.is_for_one()))))
    }
}

impl Attachable for Upcalls {
    fn tell_port(&self, port: PortId, _hooks: &mut [HookConfig; MAX_HOOKS], told: &mut PortConfig) {
        told.upcalled_after = self.after.get(&port).copied().unwrap_or_default().bits().into();
    }

    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, sizes: Sizes) {
        object
            .override_global("UPCALLS", self.config.as_bytes(), true)
            .map_max_entries(COUNTS, sizes.per_cpu());
    }

    fn programs(&self) -> &'static [&'static str] {
        if self.ports.is_empty() { &[] } else { &[PROGRAM] }
    }

    fn attach(&mut self, object: &mut Ebpf, _plan: &Plan) -> Result<(), AttachError> {
        if self.ports.is_empty() || std::mem::replace(&mut self.attached, true) {
            return Ok(());
        }
        attach_at(object, PROGRAM, TRACEPOINT)
    }
}

/// Counters of all CPUs.
#[derive(Debug)]
struct Counts {
    counters: PerCpu<UpcallCounters>,
    /// What they said of the host when the port came.
    before: OfHost,
    /// When that was, if they count all the time; `None`: they do while packets are admitted.
    since: Option<Instant>,
}

impl Counts {
    /// `alone`: it is a trace of one port.
    fn of(counters: PerCpu<UpcallCounters>, alone: bool) -> Self {
        let before = OfHost::of(counters.of_host());
        Self { counters, before, since: (!alone).then(Instant::now) }
    }
}

impl Reading for Counts {
    /// All upcalls while the port was traced.
    fn tell(&self, plan: &Plan, snapshot: &mut Snapshot) {
        snapshot.upcalls = (!plan.upcalled_after.is_empty()).then(|| {
            let host = OfHost::of(self.counters.of_host()).since(self.before);
            let counted_for = self.since.map_or(snapshot.duration, |since| since.elapsed());
            sum(host, self.counters.iter(), counted_for)
        });
    }
}

/// Upcalls of all packets of the host.
#[derive(Debug, Clone, Copy, Default)]
struct OfHost {
    misses: u64,
    actions: u64,
}

impl OfHost {
    /// Those that each CPU has counted.
    fn of(counters: impl Iterator<Item = UpcallCounters>) -> Self {
        counters.fold(Self::default(), |sum, more| Self {
            misses: sum.misses.wrapping_add(more.misses),
            actions: sum.actions.wrapping_add(more.actions),
        })
    }

    const fn since(self, before: Self) -> Self {
        Self {
            misses: self.misses.wrapping_sub(before.misses),
            actions: self.actions.wrapping_sub(before.actions),
        }
    }
}

/// Those of the host, and what each CPU has counted of the port's packets.
fn sum(host: OfHost, port: impl Iterator<Item = UpcallCounters>, counted_for: Duration) -> model::Upcalls {
    let mut sum = model::Upcalls { misses: host.misses, actions: host.actions, ..model::Upcalls::default() };
    for more in port {
        for (sum, more) in sum.traced.iter_mut().zip(more.traced) {
            *sum += more;
        }
        sum.unmarked += more.missed;
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let misses = sum.misses as f64;
    let seconds = counted_for.as_secs_f64();
    model::Upcalls { misses_per_s: if seconds > 0.0 { misses / seconds } else { 0.0 }, ..sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cpus_are_added_up_and_the_rate_is_that_of_the_time_the_port_was_traced() {
        let cpu = UpcallCounters { misses: 10, actions: 1, traced: [2, 3], missed: 1, ..Default::default() };
        let all = || [cpu, UpcallCounters::default(), cpu].into_iter();
        let upcalls = sum(OfHost::of(all()), all(), Duration::from_millis(500));
        assert_eq!((upcalls.misses, upcalls.actions, upcalls.traced), (20, 2, [4, 6]));
        assert_eq!(upcalls.unmarked, 2);
        assert!((upcalls.misses_per_s - 40.0).abs() < 1e-9);
        let later = OfHost::of(all()).since(OfHost::of([cpu].into_iter()));
        assert_eq!((later.misses, later.actions), (10, 1));
        assert!(sum(later, all(), Duration::ZERO).misses_per_s.abs() < 1e-9);
    }
}
