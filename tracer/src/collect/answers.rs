//! What the switch has answered by itself, added up over all CPUs.

use aya::maps::MapData;
use hoptrace_common::answer::AnswerCounters;

use super::{CollectError, mapped::Mapped};

/// Counters of all CPUs.
#[derive(Debug)]
pub(super) struct AnswerCounts(Mapped<AnswerCounters>);

impl AnswerCounts {
    pub(super) fn new(map: &MapData) -> Result<Self, CollectError> {
        Mapped::new(map, "ANSWER_COUNTS").map(Self)
    }

    /// Questions that it has answered so far; as many answers.
    pub(super) fn by_switch(&self) -> u64 {
        (0..self.0.len()).filter_map(|cpu| self.0.read(cpu)).map(|counted| counted.by_switch).sum()
    }
}
