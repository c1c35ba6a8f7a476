//! The gate, the budget and the thresholds.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::config::Control;

use super::MMAPABLE;
use crate::atomic;

#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, MMAPABLE);

/// The shared page.
#[derive(Clone, Copy)]
pub(crate) struct Gate(*mut Control);

/// The gate; `None` never happens, but the verifier wants it asked.
#[inline(always)]
pub(crate) fn gate() -> Option<Gate> {
    CONTROL.get_ptr_mut(0).map(Gate)
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
        let thresholds: *const u64 = unsafe { (&raw const (*self.0).slower_than_ns).cast() };
        // SAFETY: a map value; the direction is 0 or 1.
        unsafe { atomic::load(thresholds.add(usize::from(direction & 1))) }
    }

    /// Packets to the guest whose identity is below this have their checksum looked at.
    #[inline(always)]
    pub(crate) fn checksum_below(self) -> u64 {
        // SAFETY: a map value.
        unsafe { atomic::load(&raw const (*self.0).checksum_below) }
    }

    /// Whether the VM has sent frames from a MAC address that is not its own.
    #[inline(always)]
    pub(crate) fn foreign_source(self) -> bool {
        // SAFETY: a map value.
        unsafe { atomic::load(&raw const (*self.0).foreign_source) != 0 }
    }

    /// Says that it has.
    #[inline(always)]
    pub(crate) fn set_foreign_source(self) {
        // SAFETY: a map value.
        unsafe { atomic::store(&raw mut (*self.0).foreign_source, 1) };
    }
}
