//! A table in plain memory.

use std::{
    cell::Cell as Local,
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
    thread,
};

use hoptrace_common::inflight::{
    Control, DELTAS, DISPLACED, Displaced, Mark, SETTLED_NS, Search, SlotCell, State, Table, WAYS, spills,
};

#[derive(Debug, Default)]
pub(crate) struct Cell {
    control: AtomicU64,
    key: AtomicU64,
    first_ns: AtomicU64,
    /// The mark in the upper half.
    hooks: AtomicU64,
    deltas_ns: [AtomicU32; DELTAS as usize],
}

#[derive(Debug)]
pub(crate) struct HostTable {
    slots: Vec<Cell>,
    /// The counts of [`spills`].
    spilled: Vec<AtomicU64>,
    sets: u32,
    displaced: Vec<AtomicU64>,
    timeout_ns: u64,
    /// See [`Table::settled_ns`].
    settled_ns: u64,
}

/// See [`Table::waiting_ns`].
pub(crate) const WAITING_NS: u64 = 1_000_000;

impl HostTable {
    pub(crate) fn new(sets: u32, timeout_ns: u64) -> Self {
        assert!(sets.is_power_of_two());
        Self {
            slots: (0..sets * WAYS).map(|_| Cell::default()).collect(),
            spilled: (0..sets.div_ceil(spills::SETS_PER_WORD)).map(|_| AtomicU64::new(0)).collect(),
            sets,
            displaced: (0..DISPLACED).map(|_| AtomicU64::new(0)).collect(),
            timeout_ns,
            settled_ns: SETTLED_NS,
        }
    }

    /// The same; what the kernel freed is dead after this time.
    pub(crate) fn settling_after(self, settled_ns: u64) -> Self {
        Self { settled_ns, ..self }
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap()
    }

    /// How many slots are in `state`.
    pub(crate) fn count(&self, state: State) -> usize {
        self.slots.iter().filter(|slot| slot.control().state() == state).count()
    }

    pub(crate) fn spilled_of_all_sets(&self) -> Vec<u32> {
        (0..self.sets).map(|set| self.spilled(set)).collect()
    }

    /// The slot at `index`, which there must be.
    pub(crate) fn at(&self, index: u32) -> &Cell {
        &self.slots[index as usize]
    }
}

/// Where a key has its home in a table of `sets`: not as scattered as in the kernel, so that tests can choose.
pub(crate) fn plain_home(key: u64, sets: u32) -> u32 {
    (lower(key) & (sets - 1)) * WAYS + (upper(key) & (WAYS - 1))
}

impl<'a> Table for &'a HostTable {
    type Slot = &'a Cell;
    type Spills = u32;

    fn slot(self, index: u32) -> Option<&'a Cell> {
        self.slots.get(index as usize)
    }

    fn home(self, key: u64) -> u32 {
        plain_home(key, self.sets)
    }

    fn spills(self, set: u32) -> u32 {
        set
    }

    fn spilled_at(self, set: u32) -> u32 {
        spills::count_in(self.spilled[spills::word_of(set) as usize].load(Acquire), set)
    }

    fn add_spilled(self, set: u32, change: u32) {
        self.spilled[spills::word_of(set) as usize].fetch_add(spills::change_of(set, change), SeqCst);
    }

    fn waiting_ns(self) -> u64 {
        WAITING_NS
    }

    fn displaced(self, place: u32) -> Displaced {
        Displaced(self.displaced[place as usize].load(Acquire))
    }

    fn set_displaced(self, place: u32, packet: Displaced) {
        self.displaced[place as usize].store(packet.0, Release);
    }

    fn take_displaced(self, place: u32, packet: Displaced) -> bool {
        self.displaced[place as usize].compare_exchange(packet.0, 0, SeqCst, SeqCst).is_ok()
    }

    fn timeout_ns(self) -> u64 {
        self.timeout_ns
    }

    fn settled_ns(self) -> u64 {
        self.settled_ns
    }
}

impl Search for &HostTable {}

pub(crate) fn lower(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).unwrap()
}

pub(crate) fn upper(word: u64) -> u32 {
    lower(word >> 32)
}

/// Now and then lets other threads run, in the midst of what is to look like one step.
fn pause_one_in(chance: u64) {
    thread_local! {
        static RANDOM: Local<u64> = const { Local::new(0x9e37_79b9_7f4a_7c15) };
    }
    RANDOM.with(|random| {
        let mut value = random.get();
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
        random.set(value);
        if (value >> 20).is_multiple_of(chance) {
            thread::yield_now();
        }
    });
}

// As in eBPF on x86-64: loads and stores in order, but a store may still wait while a later load is done.
impl SlotCell for &Cell {
    fn control(self) -> Control {
        Control(self.control.load(Acquire))
    }

    fn exchange(self, old: Control, new: Control) -> bool {
        self.control.compare_exchange(old.0, new.0, SeqCst, SeqCst).is_ok()
    }

    fn publish(self, control: Control) {
        self.control.store(control.0, Release);
    }

    fn key(self) -> u64 {
        let key = self.key.load(Acquire);
        // The control word was read and the exchange comes next.
        pause_one_in(16);
        key
    }

    fn set_key(self, key: u64) {
        self.key.store(key, Relaxed);
    }

    fn first_ns(self) -> u64 {
        self.first_ns.load(Acquire)
    }

    fn set_first_ns(self, first_ns: u64) {
        self.first_ns.store(first_ns, Relaxed);
    }

    fn hooks(self) -> u32 {
        lower(self.hooks.load(Acquire))
    }

    fn set_hooks(self, hooks: u32) {
        self.hooks.store(u64::from(hooks), Relaxed);
        // The slot is busy.
        pause_one_in(1024);
    }

    fn mark(self) -> Mark {
        let mark = Mark(upper(self.hooks.load(Acquire)));
        pause_one_in(16);
        mark
    }

    fn exchange_mark(self, old: Mark, new: Mark) -> bool {
        let replace =
            |word| (upper(word) == old.0).then_some(u64::from(lower(word)) | u64::from(new.0) << 32);
        self.hooks.fetch_update(SeqCst, SeqCst, replace).is_ok()
    }

    fn delta_ns(self, position: u32) -> u32 {
        self.deltas_ns[position as usize].load(Acquire)
    }

    fn set_delta_ns(self, position: u32, delta_ns: u32) {
        self.deltas_ns[position as usize].store(delta_ns, Relaxed);
    }
}
