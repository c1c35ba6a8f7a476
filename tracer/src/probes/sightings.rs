//! What passed the guest's tap for and from MAC addresses that are not the port's.

use std::{cmp::Reverse, rc::Rc};

use aya::{Ebpf, EbpfLoader};
use hoptrace_common::address::{SIGHTED, Sighted};

use super::{Probe, Trace};
use crate::{
    attach::{Attachable, Sizes},
    collect::{CollectError, Mapped, Maps, Reading},
    model::{Evidence, EvidenceSource, MacAddr, Plan, PortId, Snapshot},
};

const SIGHTINGS: &str = "SIGHTINGS";
/// Addresses that are kept apart of each port, and all others.
const PLACES: u32 = SIGHTED + 1;
/// Addresses that are told one by one, for each kind of count.
const MAX_TOLD: usize = 4;

/// The programs of hooks find them; it needs nothing.
#[derive(Debug)]
pub(super) struct Sightings;

impl Probe for Sightings {
    fn read(
        &self,
        object: &Ebpf,
        maps: &Maps,
        trace: &Trace<'_>,
    ) -> Result<Option<Box<dyn Reading>>, CollectError> {
        let sightings = maps.array(object, SIGHTINGS)?;
        Ok(Some(Box::new(AtTap { sightings, port: trace.share.port, tap: trace.tap() })))
    }
}

impl Attachable for Sightings {
    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, sizes: Sizes) {
        object.map_max_entries(SIGHTINGS, sizes.room.ports() * PLACES);
    }
}

/// What passed the tap, by address.
#[derive(Debug)]
struct AtTap {
    sightings: Rc<Mapped<Sighted>>,
    port: PortId,
    /// The interface.
    tap: String,
}

impl Reading for AtTap {
    fn tell(&self, _plan: &Plan, snapshot: &mut Snapshot) {
        let first = self.port.0 * PLACES;
        let sightings: Vec<_> = (first..first + PLACES).filter_map(|at| self.sightings.read(at)).collect();
        snapshot.evidence.extend(evidence(&sightings, &self.tap));
    }
}

/// A counter's name, and the count.
type Counter = (&'static str, fn(&Sighted) -> u64);

const TOLD: [Counter; 4] = [
    (Evidence::OTHER_ADDRESS_PASSED, |it| it.passed),
    (Evidence::OTHER_ADDRESS_FOLLOWED, |it| it.followed),
    (Evidence::OTHER_ADDRESS_SENT, |it| it.sent),
    (Evidence::OTHER_ADDRESS_UNLEARNED, |it| it.unlearned),
];

fn evidence(sightings: &[Sighted], tap: &str) -> Vec<Evidence> {
    let of = |(counter, count): Counter| {
        let mut counted: Vec<_> =
            sightings.iter().map(|it| (count(it), it.mac)).filter(|it| it.0 > 0).collect();
        counted.sort_unstable_by_key(|(count, mac)| (*mac == 0, Reverse(*count), *mac));
        let rest = counted.split_off(counted.len().min(MAX_TOLD));
        let rest = rest.iter().fold(0, |sum: u64, (count, _)| sum.saturating_add(*count));
        let named = counted.into_iter().chain((rest > 0).then_some((rest, 0)));
        named.map(move |(count, mac)| Evidence {
            source: EvidenceSource::Tap,
            at: tap.to_owned(),
            counter: counter.to_owned(),
            count,
            of: None,
            about: (mac != 0).then(|| MacAddr::from_number(mac).to_string()),
            shared: false,
            meaning: String::new(),
        })
    };
    TOLD.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighted(mac: u64, passed: u64, sent: u64) -> Sighted {
        Sighted { mac, passed, sent, ..Sighted::default() }
    }

    #[test]
    fn the_busiest_addresses_are_named_and_the_others_summed_up() {
        let mut sightings: Vec<_> = (1..=6).map(|n| sighted(n << 1, n, 0)).collect();
        sightings.push(sighted(0, 100, 0));
        sightings.push(sighted(0x3301_005e_0000, 0, 7));
        let told: Vec<_> = evidence(&sightings, "tap0")
            .into_iter()
            .map(|it| (it.counter, it.count, it.about.unwrap_or_default()))
            .collect();
        let is = |counter: &str, count, about: &str| (counter.to_owned(), count, about.to_owned());
        let passed = Evidence::OTHER_ADDRESS_PASSED;
        assert_eq!(
            told,
            [
                is(passed, 6, "0c:00:00:00:00:00"),
                is(passed, 5, "0a:00:00:00:00:00"),
                is(passed, 4, "08:00:00:00:00:00"),
                is(passed, 3, "06:00:00:00:00:00"),
                is(passed, 103, ""),
                is(Evidence::OTHER_ADDRESS_SENT, 7, "00:00:5e:00:01:33"),
            ]
        );
        assert_eq!(evidence(&[], "tap0"), []);
    }
}
