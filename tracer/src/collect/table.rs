//! The in-flight table from user space: sweeps it in place.

use std::{collections::BTreeSet, rc::Rc, sync::atomic::Ordering};

use aya::Ebpf;
use hoptrace_common::inflight::{Control, Mark, Slot, SlotCell, Table, home_of, settle, spills};

use super::{
    CollectError, Maps,
    late::GivenUp,
    mapped::{ACQUIRE, Mapped, atomic_u32, atomic_u64},
    sweep::Sweeps,
};
use crate::model::{PortId, Room};

/// The table's memory.
#[derive(Debug)]
pub(super) struct SharedTable {
    slots: Rc<Mapped<Slot>>,
    spilled: Rc<Mapped<u64>>,
    room: Room,
    timeout_ns: u64,
    seed: u64,
}

impl SharedTable {
    pub(super) fn new(
        object: &Ebpf,
        maps: &Maps,
        room: Room,
        timeout_ns: u64,
        seed: u64,
    ) -> Result<Self, CollectError> {
        Ok(Self {
            slots: maps.array(object, "SLOTS")?,
            spilled: maps.array(object, "SPILLED")?,
            room,
            timeout_ns,
            seed,
        })
    }

    /// From now on no packet is given up, however long it is not seen.
    pub(super) const fn wait_for_ever(&mut self) {
        self.timeout_ns = u64::MAX >> 1;
    }

    /// Settles every slot: see [`settle`]. `known_to_switch`: the ports of which the switch knows where they are; `given_up`: packets that
    /// of each port that were lost in sweeps before.
    pub(super) fn sweep(
        &self,
        now_ns: u64,
        known_to_switch: &BTreeSet<PortId>,
        given_up: &mut [GivenUp],
    ) -> Sweeps {
        let mut sweeps = Sweeps::of(self.room);
        for of_port in given_up.iter_mut() {
            of_port.forget(now_ns);
        }
        for index in 0..self.slots.len() {
            sweeps.take(settle(self, index, now_ns), known_to_switch, given_up);
        }
        sweeps
    }
}

/// One slot in shared memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedSlot(*mut Slot);

/// Behind its last hook a packet may wait in a queue, and die there.
const DONE_NS: u64 = 30_000_000_000;

impl Table for &SharedTable {
    type Slot = SharedSlot;
    type Spills = u32;

    fn slot(self, index: u32) -> Option<SharedSlot> {
        self.slots.at(index).map(SharedSlot)
    }

    fn home(self, key: u64) -> u32 {
        home_of(key, self.seed, 64 - self.slots.len().trailing_zeros())
    }

    fn spills(self, set: u32) -> u32 {
        set
    }

    fn spilled_at(self, set: u32) -> u32 {
        spills::count_in(self.spilled.read(spills::word_of(set)).unwrap_or(0), set)
    }

    fn add_spilled(self, set: u32, change: u32) {
        if let Some(word) = self.spilled.at(spills::word_of(set)) {
            // SAFETY: inside the mapping, aligned to eight bytes.
            unsafe { atomic_u64(word) }.fetch_add(spills::change_of(set, change), Ordering::SeqCst);
        }
    }

    fn timeout_ns(self) -> u64 {
        self.timeout_ns
    }

    fn done_ns(self) -> u64 {
        DONE_NS.max(self.timeout_ns)
    }
}

macro_rules! fields {
    ($($get:ident $set:ident $field:ident: $kind:ty)*) => {$(
        fn $get(self) -> $kind {
            // SAFETY: inside the mapping and aligned.
            unsafe { (&raw const (*self.0).$field).read_volatile() }
        }

        fn $set(self, value: $kind) {
            // SAFETY: inside the mapping and aligned.
            unsafe { (&raw mut (*self.0).$field).write_volatile(value) }
        }
    )*};
}

impl SlotCell for SharedSlot {
    fn control(self) -> Control {
        // SAFETY: inside the mapping, aligned to eight bytes.
        Control(unsafe { atomic_u64(&raw mut (*self.0).control) }.load(ACQUIRE))
    }

    fn exchange(self, old: Control, new: Control) -> bool {
        // SAFETY: inside the mapping, aligned to eight bytes.
        unsafe { atomic_u64(&raw mut (*self.0).control) }
            .compare_exchange(old.0, new.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    fn publish(self, control: Control) {
        // SAFETY: inside the mapping, aligned to eight bytes.
        unsafe { atomic_u64(&raw mut (*self.0).control) }.store(control.0, Ordering::Release);
    }

    fields! {
        key set_key key: u64
        first_ns set_first_ns first_ns: u64
    }

    fn hooks(self) -> u32 {
        // SAFETY: inside the mapping and aligned.
        unsafe { (&raw const (*self.0).hooks).read_volatile() }
    }

    fn set_hooks(self, hooks: u32) {
        // SAFETY: inside the mapping; the mark stands behind the hooks, both together are eight bytes and aligned.
        #[allow(clippy::cast_ptr_alignment, reason = "slots are aligned, and the field is 24 bytes into one")]
        unsafe {
            (&raw mut (*self.0).hooks).cast::<u64>().write_volatile(u64::from(hooks));
        }
    }

    fn mark(self) -> Mark {
        // SAFETY: inside the mapping and aligned.
        Mark(unsafe { (&raw const (*self.0).mark).read_volatile() })
    }

    fn exchange_mark(self, old: Mark, new: Mark) -> bool {
        // SAFETY: inside the mapping, aligned to four bytes.
        unsafe { atomic_u32(&raw mut (*self.0).mark) }
            .compare_exchange(old.0, new.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    fn delta_ns(self, position: u32) -> u32 {
        // SAFETY: inside the mapping and aligned; the position is below eight.
        unsafe {
            let deltas: *const u32 = (&raw const (*self.0).deltas_ns).cast();
            deltas.add((position & 7) as usize).read_volatile()
        }
    }

    fn set_delta_ns(self, position: u32, delta_ns: u32) {
        // SAFETY: inside the mapping and aligned; the position is below eight.
        unsafe {
            let deltas: *mut u32 = (&raw mut (*self.0).deltas_ns).cast();
            deltas.add((position & 7) as usize).write_volatile(delta_ns);
        }
    }
}
