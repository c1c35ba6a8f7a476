//! MAC addresses that are the traced port's beside its own: those it was told of, and those the guest was seen to use.
//!
//! A small set, in the page that programs and user space share: a frame with another address costs a look at two words. Which
//! addresses come in is up to the guest, so the set is bounded, and an address that is not used any more leaves it.

/// Addresses that are known at a time.
pub const ADDRESSES: usize = 64;
/// Which is the number of bits to find one of them.
const PLACE_BITS: u32 = 6;

const MAC: u64 = (1 << 48) - 1;
/// So many nanoseconds, as a power of two, are a tick of the stamps: 33.6 ms. They come round in nine minutes.
const TICK_BITS: u32 = 25;
const STAMP_SHIFT: u32 = 50;
const STAMPS: u64 = 1 << 14;

/// Packets from an address are looked for at shared interfaces for so long after the guest has used it, in ticks: about five
/// seconds, longer than a packet is on its way.
const SENT_TICKS: u64 = 149;
/// Packets to an address are the port's for so long: about five minutes, as long as bridges remember.
const OWN_TICKS: u64 = 8_940;

/// Who else sends from an address has it only if the guest has not used it for so many ticks: 67 ms at least, longer than
/// frames of the guest itself need to come back from where they were flooded to.
const MOVED_TICKS: u64 = 3;

/// A place of the set: 0, or an address with what is known about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known(pub u64);

impl Known {
    /// Packets to it are the port's own.
    const OWN: u64 = 1 << 48;
    /// The guest has used it lately.
    const SENT: u64 = 1 << 49;
    /// A stamp that does not age.
    const FOR_EVER: u64 = STAMPS - 1;

    /// An address that the guest used at `now_ns`. `own`: packets to it are the port's.
    #[inline(always)]
    #[must_use]
    pub const fn used(mac: u64, own: bool, now_ns: u64) -> Self {
        let own = if own { Self::OWN } else { 0 };
        Self(mac & MAC | own | Self::SENT | stamp(now_ns) << STAMP_SHIFT)
    }

    /// An address that was given to the port from outside.
    #[must_use]
    pub const fn given(mac: u64) -> Self {
        Self(mac & MAC | Self::OWN | Self::SENT | Self::FOR_EVER << STAMP_SHIFT)
    }

    /// Whether it is about `mac`, which is not 0.
    #[inline(always)]
    #[must_use]
    pub const fn is_of(self, mac: u64) -> bool {
        self.0 & MAC == mac
    }

    /// Whether packets to it are the port's.
    #[inline(always)]
    #[must_use]
    pub const fn is_own(self) -> bool {
        self.0 & Self::OWN != 0
    }

    /// Whether packets from it may be the port's.
    #[inline(always)]
    #[must_use]
    pub const fn is_sent(self) -> bool {
        self.0 & Self::SENT != 0
    }

    /// Whether it was given.
    #[inline(always)]
    #[must_use]
    pub const fn is_given(self) -> bool {
        self.0 >> STAMP_SHIFT == Self::FOR_EVER
    }

    /// The same, used at `now_ns` again.
    #[inline(always)]
    #[must_use]
    pub const fn used_again(self, now_ns: u64) -> Self {
        if self.is_given() {
            return self;
        }
        Self(self.0 & (MAC | Self::OWN) | Self::SENT | stamp(now_ns) << STAMP_SHIFT)
    }

    /// What is left of it when another host sends from it at `now_ns`: nothing, unless it was given, or the guest has used it just now.
    #[inline(always)]
    #[must_use]
    pub const fn seen_elsewhere(self, now_ns: u64) -> Self {
        let is_idle = self.ticks_until(now_ns) >= MOVED_TICKS;
        if is_idle && !self.is_given() { Self(0) } else { self }
    }

    /// Ticks since the guest has used it.
    #[inline(always)]
    const fn ticks_until(self, now_ns: u64) -> u64 {
        stamp(now_ns).wrapping_sub(self.0 >> STAMP_SHIFT) & (STAMPS - 1)
    }

    /// What is left of it at `now_ns`.
    #[must_use]
    pub const fn aged(self, now_ns: u64) -> Self {
        if self.0 == 0 || self.is_given() {
            return self;
        }
        let ticks = self.ticks_until(now_ns);
        match (ticks > SENT_TICKS, self.is_own() && ticks <= OWN_TICKS) {
            (false, _) => self,
            (true, true) => Self(self.0 & !Self::SENT),
            (true, false) => Self(0),
        }
    }
}

/// Never that of what is given.
#[inline(always)]
const fn stamp(now_ns: u64) -> u64 {
    let stamp = now_ns >> TICK_BITS & (STAMPS - 1);
    if stamp == Known::FOR_EVER { 0 } else { stamp }
}

/// The first of the two places where an address can be; the other one is its neighbour, in the same cache line.
#[inline(always)]
#[must_use]
pub const fn place_of(mac: u64) -> usize {
    (mac.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACE_BITS)) as usize
}

/// The other place.
#[inline(always)]
#[must_use]
pub const fn other_place(place: usize) -> usize {
    place ^ 1
}

/// Whether frames to this address go to a group.
#[inline(always)]
#[must_use]
pub const fn is_group(mac: u64) -> bool {
    mac & 1 != 0
}

/// Kinds of groups that frames can be for.
pub const GROUP_KINDS: u32 = 4;

/// The kind of the group with this address: 0 are frames to all, 1 IPv4's groups (01:00:5e:…, RFC 1112), 2 IPv6's (33:33:…, RFC 2464), 3 others, such as
/// spanning tree.
#[inline(always)]
#[must_use]
pub const fn kind_of_group(mac: u64) -> u32 {
    if mac == MAC {
        0
    } else if mac & 0x80ff_ffff == 0x5e_0001 {
        1
    } else if mac & 0xffff == 0x3333 {
        2
    } else {
        3
    }
}

/// Addresses whose frames are counted at the guest's tap, and one place more for all others.
pub const SIGHTED: u32 = 32;
/// Places for what is counted at one guest's tap: these, and behind them one for each kind of group.
pub const SIGHTED_PLACES: u32 = SIGHTED + 1 + GROUP_KINDS;
/// Places that are looked at for one address.
pub const SIGHTED_PROBES: u32 = 4;

/// Frames for or from one address beside the port's own, at the guest's tap.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(C)]
pub struct Sighted {
    /// The address, its six bytes read as a little-endian number; 0: none, all others, or a kind of group.
    pub mac: u64,
    /// Frames to the guest for it, or the kind of group, not followed.
    pub passed: u64,
    /// Frames to the guest for it, followed as the port's own.
    pub followed: u64,
    /// Frames of the guest from it.
    pub sent: u64,
    /// Frames of the guest from it that were not followed beyond the port's own interfaces, because too many addresses were.
    pub unlearned: u64,
    /// Zero.
    pub reserved: [u64; 3],
}

const _: () = assert!(size_of::<Sighted>() == 64 && 1 << PLACE_BITS == ADDRESSES);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const VRRP: u64 = 0x3301_005e_0000;

    #[test]
    fn an_address_is_sent_from_for_seconds_and_sent_to_for_minutes() {
        let then = 1_000 * SECOND;
        let own = Known::used(VRRP, true, then);
        assert!(own.is_of(VRRP) && !own.is_of(VRRP + 1) && own.is_own() && own.is_sent() && !own.is_given());
        assert_eq!(own.aged(then + 5 * SECOND), own);
        let quiet = own.aged(then + 7 * SECOND);
        assert!(quiet.is_of(VRRP) && quiet.is_own() && !quiet.is_sent());
        assert_eq!(quiet.aged(then + 299 * SECOND), quiet);
        assert_eq!(quiet.aged(then + 310 * SECOND), Known(0));
        assert!(quiet.used_again(then + 290 * SECOND).aged(then + 294 * SECOND).is_sent());
        // Another port's address is forgotten as soon as it is not used any more.
        let stolen = Known::used(VRRP, false, then);
        assert!(!stolen.is_own() && stolen.is_sent());
        assert_eq!(stolen.aged(then + 7 * SECOND), Known(0));
        assert_eq!(Known(0).aged(then), Known(0));
    }

    #[test]
    fn what_is_given_stays() {
        let given = Known::given(VRRP);
        assert!(given.is_of(VRRP) && given.is_own() && given.is_sent());
        for now_ns in [0, SECOND, u64::MAX] {
            assert_eq!((given.aged(now_ns), given.used_again(now_ns)), (given, given));
            assert!(!Known::used(VRRP, true, now_ns).is_given());
        }
    }

    #[test]
    fn an_address_moves_when_somebody_else_sends_from_it() {
        let then = 1_000 * SECOND;
        let own = Known::used(VRRP, true, then);
        // A frame of the guest's that comes back.
        assert_eq!(own.seen_elsewhere(then + SECOND / 20), own);
        assert_eq!(own.seen_elsewhere(then + SECOND / 9), Known(0));
        assert_eq!(Known::given(VRRP).seen_elsewhere(then), Known::given(VRRP));
    }

    #[test]
    fn groups_are_of_four_kinds() {
        let kinds = [
            (MAC, 0),
            (0x1200_005e_0001, 1),
            (0x1200_805e_0001, 3),
            (0x0200_0000_3333, 2),
            (0x0e00_00c2_8001, 3),
        ];
        for (mac, kind) in kinds {
            assert!(kind_of_group(mac) == kind && kind < GROUP_KINDS && is_group(mac), "{mac:x}");
        }
    }

    #[test]
    fn every_address_has_two_places_in_one_cache_line() {
        for mac in (0..10_000).map(|n: u64| n.wrapping_mul(0x1_0001_0001) & MAC) {
            let place = place_of(mac);
            assert!(place < ADDRESSES && other_place(place) < ADDRESSES);
            assert_eq!(place / 8, other_place(place) / 8);
        }
    }
}
