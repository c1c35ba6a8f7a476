//! MAC addresses beside the port's own: those that are its own, too, and what passed the guest's tap for and from others.

use std::{
    cmp::Reverse,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::MapData;
use hoptrace_common::address::{ADDRESSES, Known, Sighted, other_place, place_of};

use super::{CollectError, mapped::Mapped};
use crate::model::{Evidence, EvidenceSource, MacAddr};

/// Addresses that are told one by one, for each kind of count.
const MAX_TOLD: usize = 4;

/// What passed the tap, by address.
#[derive(Debug)]
pub(super) struct Sightings {
    sightings: Mapped<Sighted>,
    /// The interface.
    tap: String,
}

impl Sightings {
    pub(super) fn new(map: &MapData, tap: String) -> Result<Self, CollectError> {
        Ok(Self { sightings: Mapped::new(map, "SIGHTINGS")?, tap })
    }

    pub(super) fn evidence(&self) -> Vec<Evidence> {
        let sightings: Vec<_> = (0..self.sightings.len()).filter_map(|at| self.sightings.read(at)).collect();
        evidence(&sightings, &self.tap)
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

/// Puts an address that was given to the port into the set. `false`: there is no room for it.
pub(super) fn give(places: &[&AtomicU64; ADDRESSES], mac: u64) -> bool {
    let place = place_of(mac);
    let tries = [place, other_place(place)].into_iter().filter_map(|place| places.get(place));
    let given = Known::given(mac).0;
    tries.into_iter().any(|place| {
        place.load(Ordering::SeqCst) == given
            || place.compare_exchange(0, given, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    })
}

/// Forgets what the guest has not used for long.
pub(super) fn age(places: &[&AtomicU64; ADDRESSES], now_ns: u64) {
    for place in places {
        let known = Known(place.load(Ordering::SeqCst));
        let aged = known.aged(now_ns);
        if aged != known {
            // Where it fails, it was used just now.
            let _used = place.compare_exchange(known.0, aged.0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
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
    fn given_addresses_stay_and_used_ones_age() {
        let set: [AtomicU64; ADDRESSES] = std::array::from_fn(|_| AtomicU64::new(0));
        let places = set.each_ref();
        let mac = 0x3301_005e_0000;
        assert!(give(&places, mac) && give(&places, mac));
        let other = &set[other_place(place_of(mac))];
        other.store(Known::used(mac + 2, false, 1).0, Ordering::SeqCst);
        // Both places are taken: a third address of the same two has none.
        let third = (2..1_000_000).map(|n| mac + n).find(|it| place_of(*it) == place_of(mac)).unwrap();
        assert!(!give(&places, third));
        age(&places, 60_000_000_000);
        assert_eq!(other.load(Ordering::SeqCst), 0);
        assert!(give(&places, third) && give(&places, mac));
    }
}
