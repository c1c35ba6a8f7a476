//! Questions of the guest that the switch answers by itself (ARP, neighbour discovery, DHCP).

use aya::{Ebpf, EbpfLoader};
use hoptrace_common::answer::AnswerCounters;

use super::{Probe, Trace};
use crate::{
    attach::Attachable,
    collect::{Account, CollectError, Mapped, Reading},
    model::Direction,
};

const COUNTS: &str = "ANSWER_COUNTS";

/// The programs of hooks find them; it needs nothing but to know where the switch is.
#[derive(Debug, Default)]
pub(super) struct Answers {
    at_switch: u32,
}

impl Probe for Answers {
    fn planned(&mut self, trace: &Trace<'_>) {
        self.at_switch = trace.plan.at_switch();
    }

    fn read(&self, object: &Ebpf, _trace: &Trace<'_>) -> Result<Option<Box<dyn Reading>>, CollectError> {
        Ok(Some(Box::new(Counts(Mapped::of(object, COUNTS)?))))
    }
}

impl Attachable for Answers {
    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, cpus: u32) {
        object.override_global("AT_SWITCH", &self.at_switch, true).map_max_entries(COUNTS, cpus);
    }
}

/// Counters of all CPUs.
#[derive(Debug)]
struct Counts(Mapped<AnswerCounters>);

impl Reading for Counts {
    /// As many answers.
    fn account(&self, _direction: Direction, account: &mut Account) {
        let all = (0..self.0.len()).filter_map(|cpu| self.0.read(cpu));
        account.by_switch = all.map(|counted| counted.by_switch).sum();
    }
}
