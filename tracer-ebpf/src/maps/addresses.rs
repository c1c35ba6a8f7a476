//! MAC addresses beside the port's own: whose they are, and how many of their frames pass the guest's tap.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap},
};
use hoptrace_common::address::{SIGHTED, SIGHTED_PLACES, SIGHTED_PROBES, Sighted, kind_of_group, place_of};

use super::MMAPABLE;
use crate::atomic;

/// Addresses of other ports of this host: those that use them are not the ones whose they are. The loader fills it.
#[map]
static STRANGERS: HashMap<u64, u32> = HashMap::with_max_entries(4096, 0);

/// Of each port so many. The loader sets the size.
#[map]
static SIGHTINGS: Array<Sighted> = Array::with_max_entries(SIGHTED_PLACES, MMAPABLE);

/// How a frame passed the tap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// To the guest, and not followed.
    Passed,
    /// To the guest, followed.
    Followed,
    /// From the guest.
    Sent,
    /// From the guest, and its way is not followed to its end.
    Unlearned,
    /// To the guest among others: the address is a group's.
    ForGroup,
}

impl Passage {
    /// The one with this number.
    #[inline(always)]
    pub(crate) const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Passed,
            1 => Self::Followed,
            2 => Self::Sent,
            3 => Self::Unlearned,
            _ => Self::ForGroup,
        }
    }
}

/// Whether `mac` is that of another port.
#[inline(always)]
pub(crate) fn is_strange(mac: u64) -> bool {
    STRANGERS.get_ptr(&mac).is_some()
}

/// Counts a frame for or from `mac` that passes the tap of `port`.
#[inline(always)]
pub(crate) fn count(mac: u64, passage: Passage, port: u32) {
    let first = port * SIGHTED_PLACES;
    let place = match passage {
        Passage::ForGroup => SIGHTINGS.get_ptr_mut(first + SIGHTED + 1 + kind_of_group(mac)),
        _ => of(mac, first),
    };
    let Some(sighted) = place else { return };
    // SAFETY: a map value, whose fields are aligned to eight bytes.
    unsafe {
        let counter = match passage {
            Passage::Passed | Passage::ForGroup => &raw mut (*sighted).passed,
            Passage::Followed => &raw mut (*sighted).followed,
            Passage::Sent => &raw mut (*sighted).sent,
            Passage::Unlearned => &raw mut (*sighted).unlearned,
        };
        atomic::fetch_add_u64(counter, 1);
    }
}

/// The place for `mac` among those of a port, the first of which is `first`.
#[inline(always)]
fn of(mac: u64, first: u32) -> Option<*mut Sighted> {
    let mut probe = 0;
    while probe < SIGHTED_PROBES {
        let sighted = SIGHTINGS.get_ptr_mut(first + ((place_of(mac) as u32 + probe) & (SIGHTED - 1)))?;
        probe += 1;
        // SAFETY: a map value, whose field is aligned to eight bytes.
        unsafe {
            let address = &raw mut (*sighted).mac;
            let found = atomic::load(address);
            if found == mac || (found == 0 && atomic::compare_exchange(address, 0, mac)) {
                return Some(sighted);
            }
        }
    }
    SIGHTINGS.get_ptr_mut(first + SIGHTED)
}
