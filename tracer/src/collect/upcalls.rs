//! What a switch gave to user space, added up over all CPUs.

use std::time::Duration;

use aya::maps::MapData;
use hoptrace_common::upcalls::UpcallCounters;

use super::{CollectError, mapped::Mapped};
use crate::model::Upcalls;

/// Counters of all CPUs.
#[derive(Debug)]
pub(super) struct UpcallCounts(Mapped<UpcallCounters>);

impl UpcallCounts {
    pub(super) fn new(map: &MapData) -> Result<Self, CollectError> {
        Mapped::new(map, "UPCALL_COUNTS").map(Self)
    }

    /// All upcalls so far, in the time that packets were admitted.
    pub(super) fn so_far(&self, admitted: Duration) -> Upcalls {
        let all = (0..self.0.len()).filter_map(|cpu| self.0.read(cpu));
        sum(all, admitted)
    }
}

fn sum(all: impl Iterator<Item = UpcallCounters>, admitted: Duration) -> Upcalls {
    let mut sum = Upcalls::default();
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
    Upcalls { misses_per_s: if seconds > 0.0 { misses / seconds } else { 0.0 }, ..sum }
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
