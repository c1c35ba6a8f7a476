//! Opens and closes the gate of the programs, and tells them which packets are slow.

use std::{
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::Ebpf;
use hoptrace_common::{
    address::ADDRESSES,
    config::{Control, INACTIVE},
};

use super::{
    CollectError, Maps, addresses,
    mapped::{ACQUIRE, Mapped, atomic_u32, atomic_u64},
};
use crate::model::{Direction, MacAddr, PortId};

/// The page of one port that user space and the programs share.
#[derive(Debug)]
pub(crate) struct Gate {
    pages: Rc<Mapped<Control>>,
    port: PortId,
}

impl Gate {
    pub(crate) fn of(object: &Ebpf, maps: &Maps, port: PortId) -> Result<Self, CollectError> {
        Ok(Self { pages: maps.array(object, "CONTROL")?, port })
    }

    fn page(&self) -> Option<*mut Control> {
        self.pages.at(self.port.0)
    }

    /// Lets packets in: `budget` of them at most, if it is given.
    pub(super) fn open(&self, budget: Option<u64>) {
        if let Some(control) = self.page() {
            // SAFETY: inside the mapping, the field aligned to eight bytes.
            unsafe { atomic_u64(&raw mut (*control).budget) }.store(budget.unwrap_or(0), Ordering::SeqCst);
        }
        self.set(Control::OPEN);
    }

    /// Lets nothing new in; what is in the table is followed to its end.
    pub(super) fn drain(&self) {
        self.set(Control::DRAINING);
    }

    /// Lets everything by unseen.
    pub(super) fn close(&self) {
        self.set(Control::CLOSED);
    }

    /// Whether the programs stopped letting packets in because the budget is used up.
    pub(super) fn used_up(&self) -> bool {
        self.page().is_some_and(|control| {
            // SAFETY: inside the mapping, the field aligned to four bytes.
            unsafe { atomic_u32(&raw mut (*control).gate) }.load(ACQUIRE) == Control::DRAINING
        })
    }

    /// From now on packets of `direction` whose way took longer than so many nanoseconds are sent.
    pub(super) fn set_slower_than(&self, direction: Direction, threshold_ns: u64) {
        if let Some(control) = self.page() {
            // SAFETY: inside the mapping: there are two thresholds, and two directions.
            let threshold = unsafe {
                let first: *mut u64 = (&raw mut (*control).slower_than_ns).cast();
                first.add(usize::from(direction.index()))
            };
            // SAFETY: likewise, and aligned to eight bytes.
            unsafe { atomic_u64(threshold) }.store(threshold_ns, Ordering::SeqCst);
        }
    }

    /// From now on one of so many packets is timed: those with the largest identities, which are random numbers.
    pub(super) fn time_one_of(&self, one_of: u32) {
        let below = match one_of {
            0 | 1 => 0,
            u32::MAX => u64::MAX,
            _ => u64::MAX - u64::MAX / u64::from(one_of),
        };
        if let Some(control) = self.page() {
            // SAFETY: inside the mapping, the field aligned to eight bytes.
            unsafe { atomic_u64(&raw mut (*control).untimed_below) }.store(below, Ordering::SeqCst);
        }
    }

    /// From now on packets to the guest whose identity is below `below` have their checksum looked at.
    pub(crate) fn set_checksum_below(&self, below: u64) {
        if let Some(control) = self.page() {
            // SAFETY: inside the mapping, the field aligned to eight bytes.
            unsafe { atomic_u64(&raw mut (*control).checksum_below) }.store(below, Ordering::SeqCst);
        }
    }

    /// From now on a packet is taken to wait behind its last hook for no longer than this. That of the first port holds for all.
    pub(super) fn set_waiting_ns(&self, waiting_ns: u64) {
        if let Some(control) = self.page() {
            // SAFETY: inside the mapping, the field aligned to eight bytes.
            unsafe { atomic_u64(&raw mut (*control).waiting_ns) }.store(waiting_ns, Ordering::Relaxed);
        }
    }

    /// From now on nothing is seen at interfaces with these indices.
    pub(super) fn set_inactive(&self, indices: [u32; INACTIVE]) {
        let Some(control) = self.page() else { return };
        // SAFETY: inside the mapping.
        let first: *mut u32 = unsafe { (&raw mut (*control).inactive).cast() };
        for (place, index) in indices.into_iter().enumerate() {
            // SAFETY: there are so many places, aligned to four bytes.
            unsafe { atomic_u32(first.add(place)) }.store(index, Ordering::Relaxed);
        }
    }

    /// Makes `mac` one of the port's addresses for good. `false`: there is no room for it.
    #[must_use]
    pub(super) fn give_address(&self, mac: MacAddr) -> bool {
        if let Some(control) = self.page() {
            // SAFETY: inside the mapping, the field aligned to four bytes.
            unsafe { atomic_u32(&raw mut (*control).has_addresses) }.store(1, Ordering::SeqCst);
        }
        self.addresses().is_some_and(|places| addresses::give(&places, mac.as_number()))
    }

    /// Forgets addresses that the guest has not used for long.
    pub(super) fn age_addresses(&self, now_ns: u64) {
        if let Some(places) = self.addresses() {
            addresses::age(&places, now_ns);
        }
    }

    fn addresses(&self) -> Option<[&AtomicU64; ADDRESSES]> {
        let control = self.page()?;
        // SAFETY: inside the mapping.
        let first: *mut u64 = unsafe { (&raw mut (*control).addresses).cast() };
        // SAFETY: there are so many places, aligned to eight bytes, in a mapping that lives as long as this.
        Some(std::array::from_fn(|place| unsafe { atomic_u64(first.add(place)) }))
    }

    fn set(&self, state: u32) {
        if let Some(control) = self.page() {
            // SAFETY: inside the mapping, the field aligned to four bytes.
            unsafe { atomic_u32(&raw mut (*control).gate) }.store(state, Ordering::SeqCst);
        }
    }
}
