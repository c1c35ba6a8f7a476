//! Packets that Open vSwitch's kernel datapath gives to user space: its slow path.

use std::time::Duration;

use aya::{Ebpf, EbpfLoader};
use btf_rs::Btf;
use hoptrace_common::upcalls::{UpcallConfig, UpcallCounters};
use zerocopy::IntoBytes as _;

use super::{Host, Probe, Trace, devices::kernel_switch_ports};
use crate::{
    attach::{AttachError, Attachable, PlanOptions, attach_at},
    collect::{CollectError, Mapped, Reading},
    kernel::{BtfError, upcall_config},
    model::{self, IfIndex, Path, Plan, Snapshot},
};

/// The program, and the tracepoint it runs at.
const PROGRAM: &str = "hop_upcall";
const TRACEPOINT: &str = "ovs_dp_upcall";
const COUNTS: &str = "UPCALL_COUNTS";

/// Needs a kernel datapath on the path, and its module's structures.
#[derive(Debug, Default)]
pub(super) struct Upcalls {
    config: UpcallConfig,
    /// The path's interfaces that are ports of a kernel datapath; none where that can not be seen.
    ports: Vec<IfIndex>,
    why_not: Option<String>,
}

impl Upcalls {
    pub(super) fn of(host: &Host<'_>) -> Self {
        let Some((btf, path)) = host.btf.zip(host.path) else { return Self::default() };
        Self::at(btf, path).unwrap_or_else(|error| Self {
            why_not: Some(format!(
                "the slow path of Open vSwitch (upcalls) is not told from the fast one: {error}"
            )),
            ..Self::default()
        })
    }

    fn at(btf: &Btf, path: &Path) -> Result<Self, BtfError> {
        let ports = kernel_switch_ports(path);
        let config = if ports.is_empty() { UpcallConfig::default() } else { upcall_config(btf)? };
        Ok(Self { config, ports, why_not: None })
    }
}

impl Probe for Upcalls {
    fn why_not(&self) -> Option<String> {
        self.why_not.clone()
    }

    fn wish<'p>(&'p self, options: &mut PlanOptions<'p>) {
        options.slow_at = &self.ports;
    }

    fn planned(&mut self, trace: &Trace<'_>) {
        if !self.ports.is_empty() {
            self.config.after = trace.plan.upcalled_after.into();
        }
    }

    fn read(&self, object: &Ebpf, _trace: &Trace<'_>) -> Result<Option<Box<dyn Reading>>, CollectError> {
        Ok(Some(Box::new(Counts(Mapped::of(object, COUNTS)?))))
    }
}

impl Attachable for Upcalls {
    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, cpus: u32) {
        object.override_global("UPCALLS", self.config.as_bytes(), true).map_max_entries(COUNTS, cpus);
    }

    fn programs(&self) -> &'static [&'static str] {
        if self.ports.is_empty() { &[] } else { &[PROGRAM] }
    }

    fn attach(&mut self, object: &mut Ebpf, _plan: &Plan) -> Result<(), AttachError> {
        if self.ports.is_empty() { Ok(()) } else { attach_at(object, PROGRAM, TRACEPOINT) }
    }
}

/// Counters of all CPUs.
#[derive(Debug)]
struct Counts(Mapped<UpcallCounters>);

impl Reading for Counts {
    /// All upcalls so far, in the time that packets were admitted.
    fn tell(&self, plan: &Plan, snapshot: &mut Snapshot) {
        let all = (0..self.0.len()).filter_map(|cpu| self.0.read(cpu));
        snapshot.upcalls = (plan.upcalled_after != 0).then(|| sum(all, snapshot.duration));
    }
}

fn sum(all: impl Iterator<Item = UpcallCounters>, admitted: Duration) -> model::Upcalls {
    let mut sum = model::Upcalls::default();
    for more in all {
        sum.misses += more.misses;
        sum.actions += more.actions;
        for (sum, more) in sum.traced.iter_mut().zip(more.traced) {
            *sum += more;
        }
        sum.unmarked += more.missed;
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let misses = sum.misses as f64;
    let seconds = admitted.as_secs_f64();
    model::Upcalls { misses_per_s: if seconds > 0.0 { misses / seconds } else { 0.0 }, ..sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cpus_are_added_up_and_the_rate_is_that_of_the_trace() {
        let cpu = UpcallCounters { misses: 10, actions: 1, traced: [2, 3], missed: 1, ..Default::default() };
        let upcalls = sum([cpu, UpcallCounters::default(), cpu].into_iter(), Duration::from_millis(500));
        assert_eq!((upcalls.misses, upcalls.actions, upcalls.traced), (20, 2, [4, 6]));
        assert_eq!(upcalls.unmarked, 2);
        assert!((upcalls.misses_per_s - 40.0).abs() < 1e-9);
        assert!(sum([cpu].into_iter(), Duration::ZERO).misses_per_s.abs() < 1e-9);
    }
}
