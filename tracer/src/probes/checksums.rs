//! What was found of the checksums of packets to the guest, and of how many packets they are looked at.

use std::time::{Duration, Instant};

use aya::{Ebpf, EbpfLoader};
use hoptrace_common::checksum::{ChecksumCounters, PROTOCOLS};

use super::{Probe, Trace};
use crate::{
    attach::{Attachable, Sizes},
    collect::{CollectError, Gate, Maps, PerCpu, Reading, Sight},
    model::{Evidence, EvidenceSource, Plan, Snapshot},
};

const COUNTS: &str = "CHECKSUMS";

/// Packets a second of which the checksum is looked at, about: all of them where there are no more.
const WANTED_PER_SECOND: f64 = 1_000.0;
/// Less says nothing about how many packets come.
const SHORTEST_LOOK: Duration = Duration::from_millis(50);

/// The programs of hooks look; it needs nothing.
#[derive(Debug)]
pub(super) struct Checksums;

impl Probe for Checksums {
    fn read(
        &self,
        object: &Ebpf,
        maps: &Maps,
        trace: &Trace<'_>,
    ) -> Result<Option<Box<dyn Reading>>, CollectError> {
        let gate = Gate::of(object, maps, trace.share.port)?;
        gate.set_checksum_below(u64::MAX);
        Ok(Some(Box::new(Sample {
            counters: PerCpu::of(object, maps, COUNTS, trace.share)?,
            gate,
            tap: trace.tap(),
            last: (Instant::now(), 0),
        })))
    }
}

impl Attachable for Checksums {
    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, sizes: Sizes) {
        object.map_max_entries(COUNTS, sizes.per_cpu());
    }
}

/// The counters, and how the sample follows the traffic.
#[derive(Debug)]
struct Sample {
    counters: PerCpu<ChecksumCounters>,
    gate: Gate,
    /// The interface they pass.
    tap: String,
    /// When the traffic was looked at last, and how many packets had come by then.
    last: (Instant, u64),
}

impl Reading for Sample {
    /// Sets the share of packets to look at by how many come.
    fn follow(&mut self, sight: &Sight<'_>) {
        let (then, before) = self.last;
        let now = Instant::now();
        if now - then < SHORTEST_LOOK {
            return;
        }
        let passed = sight.passed_to_guest();
        self.last = (now, passed);
        self.gate.set_checksum_below(below(passed.saturating_sub(before), (now - then).as_secs_f64()));
    }

    /// That some were wrong, if they were.
    fn tell(&self, _plan: &Plan, snapshot: &mut Snapshot) {
        let counters: Vec<_> = self.counters.iter().collect();
        snapshot.evidence.extend(evidence(&counters, &self.tap));
    }
}

/// Identities are spread evenly over all numbers: those below this are so many packets a second as are wanted.
fn below(packets: u64, seconds: f64) -> u64 {
    #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    let share = WANTED_PER_SECOND * seconds / packets as f64;
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let below = (u64::MAX as f64 * share) as u64;
    if share < 1.0 { below } else { u64::MAX }
}

fn evidence(counters: &[ChecksumCounters], tap: &str) -> Option<Evidence> {
    let sum = |of: fn(&ChecksumCounters) -> u64| counters.iter().map(of).fold(0, u64::wrapping_add);
    let count = sum(|cpu| cpu.wrong.iter().sum());
    let wrong =
        |place: usize| counters.iter().any(|cpu| cpu.wrong.get(place).is_some_and(|count| *count > 0));
    let named = PROTOCOLS.iter().enumerate().filter(|(place, _)| wrong(*place)).map(|(_, name)| *name);
    (count > 0).then(|| Evidence {
        source: EvidenceSource::Tap,
        at: tap.to_owned(),
        counter: "checksum_wrong".to_owned(),
        count,
        of: Some(sum(|cpu| cpu.checked.iter().sum())),
        about: Some(named.collect::<Vec<_>>().join(", ")),
        shared: false,
        meaning: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_packets_are_sampled_and_few_are_all_looked_at() {
        assert_eq!((below(0, 0.1), below(100, 0.1)), (u64::MAX, u64::MAX));
        let tenth = below(1_000, 0.1);
        assert!((u64::MAX / 10 - 1_000_000..u64::MAX / 10 + 1_000_000).contains(&tenth), "{tenth}");
        assert_eq!(below(u64::MAX, 0.0), 0);
    }

    #[test]
    fn wrong_ones_are_told_with_their_protocols() {
        assert_eq!(evidence(&[ChecksumCounters { checked: [9; 4], wrong: [0; 4] }], "tap0"), None);
        let counters = [
            ChecksumCounters { checked: [5, 5, 0, 0], wrong: [0, 2, 0, 0] },
            ChecksumCounters { checked: [5, 5, 0, 1], wrong: [0, 1, 0, 1] },
        ];
        let found = evidence(&counters, "tap0").unwrap();
        assert_eq!((found.count, found.of, found.about.as_deref()), (4, Some(21), Some("UDP, ICMPv6")));
    }
}
