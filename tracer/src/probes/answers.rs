//! Questions of the guest that the switch answers by itself (ARP, neighbour discovery, DHCP).

use std::collections::BTreeMap;

use aya::{Ebpf, EbpfLoader};
use hoptrace_common::{
    answer::{AnswerCounters, REMEMBERED},
    config::{HookConfig, MAX_HOOKS},
    ports::PortConfig,
};

use super::{Probe, Trace};
use crate::{
    attach::{Attachable, Sizes},
    collect::{Account, CollectError, Maps, PerCpu, Reading},
    model::{Direction, PortId},
};

const COUNTS: &str = "ANSWER_COUNTS";
const ASKED: &str = "ASKED";
/// Ports that have room of their own for questions; more share it.
const REMEMBERED_FOR: u32 = 32;

/// The programs of hooks find them; it needs nothing but to know where the switch is.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Of all ports together.
    at_switch: u32,
    of_port: BTreeMap<PortId, u32>,
}

impl Probe for Answers {
    fn planned(&mut self, trace: &Trace<'_>) {
        let at_switch = trace.plan.at_switch();
        self.at_switch |= at_switch;
        self.of_port.insert(trace.share.port, at_switch);
    }

    fn read(
        &self,
        object: &Ebpf,
        maps: &Maps,
        trace: &Trace<'_>,
    ) -> Result<Option<Box<dyn Reading>>, CollectError> {
        Ok(Some(Box::new(Counts(PerCpu::of(object, maps, COUNTS, trace.share)?))))
    }
}

impl Attachable for Answers {
    fn tell_port(&self, port: PortId, _hooks: &mut [HookConfig; MAX_HOOKS], told: &mut PortConfig) {
        told.at_switch = self.of_port.get(&port).copied().unwrap_or_default();
    }

    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, sizes: Sizes) {
        object
            .override_global("AT_SWITCH", &self.at_switch, true)
            .map_max_entries(ASKED, REMEMBERED * sizes.room.ports().min(REMEMBERED_FOR))
            .map_max_entries(COUNTS, sizes.per_cpu());
    }
}

/// Counters of all CPUs.
#[derive(Debug)]
struct Counts(PerCpu<AnswerCounters>);

impl Reading for Counts {
    /// As many answers.
    fn account(&self, _direction: Direction, account: &mut Account) {
        account.by_switch = self.0.iter().map(|counted| counted.by_switch).sum();
    }
}
