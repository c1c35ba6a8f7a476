//! The in-flight table's memory.

use aya_ebpf::{macros::map, maps::Array};
use hoptrace_common::inflight::{
    Control, DISPLACED, Displaced, Mark, Search, Slot, SlotCell, Table, home_of,
    place::{self, Look},
    spills,
};

use super::{
    MMAPABLE, config,
    control::{self, Gate},
    counters,
    hooks::{HookFacts, Scope},
    scratch,
};
use crate::atomic;

/// The loader sets the size: a power of two.
#[map]
static SLOTS: Array<Slot> = Array::with_max_entries(8, MMAPABLE);

/// The counts of [`spills`], likewise.
#[map]
static SPILLED: Array<u64> = Array::with_max_entries(1, MMAPABLE);

#[map]
static ENDED: Array<u64> = Array::with_max_entries(DISPLACED, 0);

/// The table.
#[derive(Clone, Copy)]
pub(crate) struct Inflight {
    /// A scratch word of this CPU, or null.
    word: *mut u64,
    /// The first port's.
    gate: Option<Gate>,
}

impl Inflight {
    /// With a scratch word of this CPU; null for who asks nothing that needs one.
    #[inline(always)]
    pub(crate) const fn through(word: *mut u64) -> Self {
        Self { word, gate: None }
    }

    /// Without one, for who has the gate of a hook's port at hand: in a program of one port that is the first one's.
    #[inline(always)]
    pub(crate) const fn at(hook: HookFacts, gate: Gate) -> Self {
        let gate = if matches!(hook.scope(), Scope::One) { Some(gate) } else { None };
        Self { word: core::ptr::null_mut(), gate }
    }
}

/// The count of one set: its word, and which of that.
#[derive(Clone, Copy)]
pub(crate) struct Spills {
    word: Option<*mut u64>,
    set: u32,
}

/// One slot.
#[derive(Clone, Copy)]
pub(crate) struct Cell(*mut Slot);

impl Table for Inflight {
    type Slot = Cell;
    type Spills = Spills;

    #[inline(always)]
    fn slot(self, index: u32) -> Option<Cell> {
        SLOTS.get_ptr_mut(index).map(Cell)
    }

    #[inline(always)]
    fn home(self, key: u64) -> u32 {
        home_of(key, config::seed(), config::slot_shift())
    }

    #[inline(always)]
    fn spills(self, set: u32) -> Spills {
        Spills { word: SPILLED.get_ptr_mut(spills::word_of(set)), set }
    }

    #[inline(always)]
    fn spilled_at(self, Spills { word, set }: Spills) -> u32 {
        // SAFETY: a map value, aligned to eight bytes.
        word.map_or(0, |word| spills::count_in(unsafe { atomic::load(word) }, set))
    }

    #[inline(always)]
    fn add_spilled(self, set: u32, change: u32) {
        if let Some(word) = SPILLED.get_ptr_mut(spills::word_of(set)) {
            // SAFETY: a map value, aligned to eight bytes.
            unsafe { atomic::fetch_add_u64(word, spills::change_of(set, change)) };
        }
    }

    #[inline(always)]
    fn timeout_ns(self) -> u64 {
        config::timeout_ns()
    }

    #[inline(always)]
    fn waiting_ns(self) -> u64 {
        self.gate.or_else(|| control::gate(0)).map_or(0, Gate::waiting_ns)
    }

    #[inline(always)]
    fn displaced(self, place: u32) -> Displaced {
        // SAFETY: a map value.
        Displaced(ENDED.get_ptr(place).map_or(0, |kept| unsafe { atomic::load(kept) }))
    }

    #[inline(always)]
    fn set_displaced(self, place: u32, packet: Displaced) {
        if let Some(kept) = ENDED.get_ptr_mut(place) {
            // SAFETY: a map value.
            unsafe { atomic::store(kept, packet.0) };
        }
    }

    #[inline(always)]
    fn take_displaced(self, place: u32, packet: Displaced) -> bool {
        // SAFETY: a map value, aligned to eight bytes.
        ENDED.get_ptr_mut(place).is_some_and(|kept| unsafe { atomic::compare_exchange(kept, packet.0, 0) })
    }

    #[inline(always)]
    fn opaque(self, value: u32) -> u32 {
        scratch::through(self.word, value)
    }
}

impl Search for Inflight {
    #[inline(always)]
    fn look(self, key: u64, now_ns: u64) -> Look {
        let both = hop_look(key, now_ns);
        Look { found: both as u32, vacant: (both >> 32) as u32 }
    }

    #[inline(always)]
    fn look_home(self, key: u64) -> u32 {
        hop_home(key)
    }

    #[inline(always)]
    fn twin(self, key: u64, own: u32) -> u32 {
        hop_twin(key, own)
    }
}

/// [`place::look_home`]. These are global functions: the verifier looks at each once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_home(key: u64) -> u32 {
    place::look_home(Inflight::through(core::ptr::null_mut()), key)
}

/// [`place::look`]: the slot found in the lower half, the vacant one in the upper.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_look(key: u64, now_ns: u64) -> u64 {
    let Some(counted) = counters::of(counters::cpu(), 0) else { return u64::MAX };
    let look = place::look(Inflight::through(counted.scratch.as_mut_ptr()), key, now_ns);
    u64::from(look.found) | (u64::from(look.vacant) << 32)
}

/// [`place::twin`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_twin(key: u64, own: u32) -> u32 {
    let Some(counted) = counters::of(counters::cpu(), 0) else { return place::NONE };
    place::twin(Inflight::through(counted.scratch.as_mut_ptr()), key, own)
}

macro_rules! fields {
    ($($get:ident $set:ident $field:ident: $kind:ty)*) => {$(
        #[inline(always)]
        fn $get(self) -> $kind {
            // SAFETY: a map value, the field aligned.
            unsafe { atomic::load(&raw const (*self.0).$field) }
        }

        #[inline(always)]
        fn $set(self, value: $kind) {
            // SAFETY: a map value, the field aligned.
            unsafe { atomic::store(&raw mut (*self.0).$field, value) };
        }
    )*};
}

impl SlotCell for Cell {
    #[inline(always)]
    fn control(self) -> Control {
        // SAFETY: a map value, the field aligned.
        Control(unsafe { atomic::load(&raw const (*self.0).control) })
    }

    #[inline(always)]
    fn exchange(self, old: Control, new: Control) -> bool {
        // SAFETY: a map value, the field aligned to eight bytes.
        unsafe { atomic::compare_exchange(&raw mut (*self.0).control, old.0, new.0) }
    }

    #[inline(always)]
    fn publish(self, control: Control) {
        // SAFETY: a map value, the field aligned.
        unsafe { atomic::store(&raw mut (*self.0).control, control.0) };
    }

    fields! {
        key set_key key: u64
        first_ns set_first_ns first_ns: u64
    }

    #[inline(always)]
    fn hooks(self) -> u32 {
        // SAFETY: a map value, the field aligned.
        unsafe { atomic::load(&raw const (*self.0).hooks) }
    }

    #[inline(always)]
    fn set_hooks(self, hooks: u32) {
        // SAFETY: a map value; the mark stands behind the hooks, both together are eight bytes and aligned.
        unsafe { atomic::store((&raw mut (*self.0).hooks).cast::<u64>(), u64::from(hooks)) };
    }

    #[inline(always)]
    fn mark(self) -> Mark {
        // SAFETY: a map value, the field aligned.
        Mark(unsafe { atomic::load(&raw const (*self.0).mark) })
    }

    #[inline(always)]
    fn exchange_mark(self, old: Mark, new: Mark) -> bool {
        // SAFETY: a map value, the field aligned to four bytes.
        unsafe { atomic::compare_exchange_u32(&raw mut (*self.0).mark, old.0, new.0) }
    }

    #[inline(always)]
    fn delta_ns(self, position: u32) -> u32 {
        // SAFETY: a map value, of which only the address is taken.
        let deltas: *const u32 = unsafe { (&raw const (*self.0).deltas_ns).cast() };
        // SAFETY: a map value; the position is below eight.
        unsafe { atomic::load(deltas.add((position & 7) as usize)) }
    }

    #[inline(always)]
    fn set_delta_ns(self, position: u32, delta_ns: u32) {
        // SAFETY: a map value, of which only the address is taken.
        let deltas: *mut u32 = unsafe { (&raw mut (*self.0).deltas_ns).cast() };
        // SAFETY: a map value; the position is below eight.
        unsafe { atomic::store(deltas.add((position & 7) as usize), delta_ns) };
    }
}

impl Cell {
    /// Copies the slot to `target`; `false` when it is not the one that `control` was published for any more.
    #[inline(always)]
    pub(crate) fn copy_to(self, target: *mut Slot, control: Control) -> bool {
        // SAFETY: `self` is a map value and `target` a record reserved by the caller; both are whole slots.
        unsafe {
            (*target).control = control.0;
            (*target).key = self.key();
            (*target).first_ns = self.first_ns();
            (*target).hooks = self.hooks();
            (*target).mark = 0;
            let deltas: *mut u32 = (&raw mut (*target).deltas_ns).cast();
            let mut position = 0;
            while position < 8 {
                deltas.add(position as usize).write(self.delta_ns(position));
                position += 1;
            }
        }
        self.control() == control
    }
}
