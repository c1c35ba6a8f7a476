//! What passed the guest's tap for and from MAC addresses that are not the port's.

use std::{cmp::Reverse, rc::Rc};

use aya::{Ebpf, EbpfLoader};
use hoptrace_common::address::{SIGHTED_PLACES, Sighted};

use super::{Probe, Trace};
use crate::{
    attach::{Attachable, Sizes},
    collect::{CollectError, Mapped, Maps, Reading},
    model::{Evidence, EvidenceSource, MacAddr, Plan, PortId, Snapshot},
};

const SIGHTINGS: &str = "SIGHTINGS";
/// The kinds of groups, in the order of their places.
const GROUPS: [&str; 4] = ["broadcast", "IPv4 multicast", "IPv6 multicast", "other multicast"];
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
        object.map_max_entries(SIGHTINGS, sizes.room.ports() * SIGHTED_PLACES);
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
        let first = self.port.0 * SIGHTED_PLACES;
        let places = first..first + SIGHTED_PLACES;
        let mut sightings: Vec<_> = places.filter_map(|at| self.sightings.read(at)).collect();
        let groups = sightings.split_off(sightings.len().saturating_sub(GROUPS.len()));
        snapshot.evidence.extend(for_groups(&groups, &self.tap));
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

/// Of the places of the kinds of groups.
fn for_groups(groups: &[Sighted], tap: &str) -> Vec<Evidence> {
    let counted = GROUPS.iter().zip(groups).filter(|(_, group)| group.passed > 0);
    counted
        .map(|(kind, group)| told(tap, Evidence::GROUP_PASSED, group.passed, Some((*kind).to_owned())))
        .collect()
}

fn told(tap: &str, counter: &str, count: u64, about: Option<String>) -> Evidence {
    Evidence {
        source: EvidenceSource::Tap,
        at: tap.to_owned(),
        counter: counter.to_owned(),
        count,
        of: None,
        about,
        shared: false,
        meaning: String::new(),
    }
}

fn evidence(sightings: &[Sighted], tap: &str) -> Vec<Evidence> {
    let of = |(counter, count): Counter| {
        let mut counted: Vec<_> =
            sightings.iter().map(|it| (count(it), it.mac)).filter(|it| it.0 > 0).collect();
        counted.sort_unstable_by_key(|(count, mac)| (*mac == 0, Reverse(*count), *mac));
        let rest = counted.split_off(counted.len().min(MAX_TOLD));
        let rest = rest.iter().fold(0, |sum: u64, (count, _)| sum.saturating_add(*count));
        let named = counted.into_iter().chain((rest > 0).then_some((rest, 0)));
        named.map(move |(count, mac)| {
            told(tap, counter, count, (mac != 0).then(|| MacAddr::from_number(mac).to_string()))
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

    #[test]
    fn groups_are_told_by_their_kinds() {
        let groups = [7, 0, 9, 0].map(|count| sighted(0, count, 0));
        let told = for_groups(&groups, "tap0");
        let counts: Vec<_> = told.iter().map(|it| (it.about.as_deref(), it.count)).collect();
        assert_eq!(counts, [(Some("broadcast"), 7), (Some("IPv6 multicast"), 9)]);
        assert!(told.iter().all(|it| it.is_of_group() && !it.is_of_other_address()));
    }
}
