//! The gate, the budget and the thresholds.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::{
    address::{ADDRESSES, Known, other_place, place_of},
    config::{Control, INACTIVE},
};

use super::MMAPABLE;
use crate::atomic;

/// One per port; the loader sets the size.
#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, MMAPABLE);

/// The page of a port.
#[derive(Clone, Copy)]
pub(crate) struct Gate(*mut Control);

/// That of `port`; `None` never happens, but the verifier wants it asked.
#[inline(always)]
pub(crate) fn gate(port: u32) -> Option<Gate> {
    CONTROL.get_ptr_mut(port).map(Gate)
}

/// The state of the gate of `port`.
#[inline(always)]
pub(crate) fn state_of(port: u32) -> u32 {
    gate(port).map_or(Control::CLOSED, Gate::state)
}

impl Gate {
    /// One of the constants of [`Control`].
    #[inline(always)]
    pub(crate) fn state(self) -> u32 {
        // SAFETY: a map value.
        unsafe { atomic::load(&raw const (*self.0).gate) }
    }

    /// Takes one packet off the budget. `false`: it is used up, and nothing new is admitted from now on.
    #[inline(always)]
    pub(crate) fn take(self) -> bool {
        // SAFETY: a map value, the field aligned to eight bytes.
        let left = unsafe { atomic::fetch_add_u64(&raw mut (*self.0).budget, u64::MAX) };
        if left <= 1 || left > u64::MAX / 2 {
            // SAFETY: a map value.
            unsafe { atomic::store(&raw mut (*self.0).gate, Control::DRAINING) };
        }
        left != 0 && left <= u64::MAX / 2
    }

    /// What the way of a packet must take to be sent to user space, in nanoseconds.
    #[inline(always)]
    pub(crate) fn slower_than_ns(self, direction: u8) -> u64 {
        // SAFETY: a map value, of which only the address is taken.
        let thresholds: *const u64 = unsafe { (&raw const (*self.0).slower_than_ns).cast() };
        // SAFETY: a map value; the direction is 0 or 1.
        unsafe { atomic::load(thresholds.add(usize::from(direction & 1))) }
    }

    /// Packets whose identity is below this are not timed.
    #[inline(always)]
    pub(crate) fn untimed_below(self) -> u64 {
        // SAFETY: a map value.
        unsafe { atomic::load(&raw const (*self.0).untimed_below) }
    }

    /// Packets to the guest whose identity is below this have their checksum looked at.
    #[inline(always)]
    pub(crate) fn checksum_below(self) -> u64 {
        // SAFETY: a map value.
        unsafe { atomic::load(&raw const (*self.0).checksum_below) }
    }

    /// A packet that ended no longer ago than this may wait in a queue behind its last hook.
    #[inline(always)]
    pub(crate) fn waiting_ns(self) -> u64 {
        // SAFETY: a map value.
        unsafe { atomic::load(&raw const (*self.0).waiting_ns) }
    }

    /// Whether a bond throws away what it receives by this interface.
    #[inline(always)]
    pub(crate) fn is_inactive(self, ifindex: u32) -> bool {
        // SAFETY: a map value, of which only the address is taken.
        let first: *const u32 = unsafe { (&raw const (*self.0).inactive).cast() };
        let mut place = 0;
        while place < INACTIVE {
            // SAFETY: in the map value.
            if unsafe { first.add(place).read_volatile() } == ifindex {
                return true;
            }
            place += 1;
        }
        false
    }

    /// What is known about `mac`, as one of the port's addresses; 0: nothing.
    #[inline(always)]
    pub(crate) fn known(self, mac: u64) -> Known {
        let place = place_of(mac);
        let first = self.address(place);
        // SAFETY: both places are in the map value.
        let (first, second) =
            unsafe { (Known(atomic::load(first)), Known(atomic::load(self.address(other_place(place))))) };
        if first.is_of(mac) {
            first
        } else if second.is_of(mac) {
            second
        } else {
            Known(0)
        }
    }

    /// Whether anything is known about `mac`: in few steps, for of most addresses nothing is.
    #[inline(always)]
    pub(crate) fn knows(self, mac: u64) -> bool {
        // SAFETY: a map value.
        if unsafe { atomic::load(&raw const (*self.0).has_addresses) } == 0 {
            return false;
        }
        let place = place_of(mac);
        // SAFETY: both places are in the map value.
        let (first, second) = unsafe {
            (Known(atomic::load(self.address(place))), Known(atomic::load(self.address(other_place(place)))))
        };
        // Without a branch for each, both of which the verifier would follow.
        first.is_of(mac) | second.is_of(mac)
    }

    /// Whether `mac` is known, or could be.
    #[inline(always)]
    pub(crate) fn has_room(self, mac: u64) -> bool {
        let place = place_of(mac);
        // SAFETY: both places are in the map value.
        let (first, second) = unsafe {
            (Known(atomic::load(self.address(place))), Known(atomic::load(self.address(other_place(place)))))
        };
        first.0 == 0 || second.0 == 0 || first.is_of(mac) || second.is_of(mac)
    }

    /// Remembers that the guest has used `mac` at `now_ns`. If it is not known yet, `own` says whether packets to it are the
    /// port's.
    #[inline(always)]
    pub(crate) fn learn(self, mac: u64, own: bool, now_ns: u64) {
        let place = place_of(mac);
        let mut at = place;
        let mut tried = 0;
        // The place where it is, else the first that is free.
        let mut free = ADDRESSES;
        while tried < 2 {
            tried += 1;
            let address = self.address(at);
            // SAFETY: in the map value.
            let known = Known(unsafe { atomic::load(address) });
            if known.is_of(mac) {
                let again = known.used_again(now_ns);
                if again != known {
                    // SAFETY: likewise. Another CPU that changes it at the same time knows as much.
                    unsafe { atomic::compare_exchange(address, known.0, again.0) };
                }
                return;
            }
            if known.0 == 0 && free == ADDRESSES {
                free = at;
            }
            at = other_place(at);
        }
        if free < ADDRESSES {
            // SAFETY: a map value. Before the address, so that who sees that one sees this.
            unsafe { atomic::store(&raw mut (*self.0).has_addresses, 1) };
            // SAFETY: likewise. If another CPU was faster, the next frame finds another place.
            unsafe { atomic::compare_exchange(self.address(free), 0, Known::used(mac, own, now_ns).0) };
        }
    }

    /// Forgets `mac`, which another host sends from at `now_ns`, unless the guest uses it, too.
    #[inline(always)]
    pub(crate) fn forget(self, mac: u64, now_ns: u64) {
        let place = place_of(mac);
        let mut at = place;
        let mut tried = 0;
        while tried < 2 {
            tried += 1;
            let address = self.address(at);
            // SAFETY: in the map value.
            let known = Known(unsafe { atomic::load(address) });
            if known.is_of(mac) {
                let left = known.seen_elsewhere(now_ns);
                // SAFETY: likewise. Who changes it at the same time has seen the guest use it.
                unsafe { atomic::compare_exchange(address, known.0, left.0) };
            }
            at = other_place(at);
        }
    }

    #[inline(always)]
    fn address(self, place: usize) -> *mut u64 {
        // SAFETY: in the map value, because there are so many places.
        unsafe { (&raw mut (*self.0).addresses).cast::<u64>().add(place & (ADDRESSES - 1)) }
    }
}
