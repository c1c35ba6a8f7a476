//! MAC addresses beside the port's own that are its own, too.

use std::sync::atomic::{AtomicU64, Ordering};

use hoptrace_common::address::{ADDRESSES, Known, other_place, place_of};

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
