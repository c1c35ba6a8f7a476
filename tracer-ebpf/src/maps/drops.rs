//! Where packets are freed, at which interfaces they can die, and how many were.

use core::hint::black_box;

use aya_ebpf::{
    Global,
    macros::map,
    maps::{Array, HashMap, LpmTrie, lpm_trie::Key},
};
use hoptrace_common::{
    drops::{
        Device, DropConfig, DropSite, Example, FreeCounters, MAX_DEVICES, MAX_PLACES, MEANINGS, Meaning,
    },
    inflight::MAX_SITES,
    ports::device_key,
};

use super::{MMAPABLE, config, counters, several};
use crate::atomic;

/// Patched in by the loader.
#[unsafe(no_mangle)]
static DROPS: Global<DropConfig> = Global::new(DropConfig {
    has_reason: 0,
    has_socket: 0,
    nowhere_after: 0,
    reserved: 0,
    meanings: [0; MEANINGS],
});

macro_rules! facts {
    ($($name:ident)*) => {$(
        /// As in [`DropConfig`].
        #[inline(always)]
        pub(crate) fn $name() -> u32 {
            let drops: *const DropConfig = (&raw const DROPS).cast();
            // SAFETY: a static; volatile because the loader patches it after compilation.
            unsafe { (&raw const (*drops).$name).read_volatile() }
        }
    )*};
}

facts! { has_reason has_socket }

/// As [`DropConfig::nowhere_after`], of `port`.
#[inline(always)]
pub(crate) fn nowhere_after(port: u32) -> u32 {
    if config::is_of_several() {
        return several::nowhere_after(port);
    }
    let drops: *const DropConfig = (&raw const DROPS).cast();
    // SAFETY: as above.
    unsafe { (&raw const (*drops).nowhere_after).read_volatile() }
}

/// What `reason` can mean.
#[inline(always)]
pub(crate) fn meaning_of(reason: u32) -> Meaning {
    if reason >= MEANINGS as u32 {
        return Meaning(0);
    }
    let drops: *const DropConfig = (&raw const DROPS).cast();
    // SAFETY: as above; the index is below the array's length.
    Meaning(unsafe { (&raw const (*drops).meanings).cast::<u8>().add(reason as usize).read_volatile() })
}

/// What places in the kernel mean where the reason tells nothing, by prefixes of their addresses; user space fills it
/// before the program is attached.
#[map]
static CODE: LpmTrie<[u32; 2], u32> = LpmTrie::with_max_entries(MAX_PLACES, 0);

/// What it means that a packet is freed at `location`, without a reason.
#[inline(always)]
pub(crate) fn meaning_at(location: u64) -> Meaning {
    // In two halves, because the key is not aligned to eight bytes.
    let bytes = location.to_be();
    let key = Key::new(u64::BITS, [bytes as u32, (bytes >> 32) as u32]);
    CODE.get(key).map_or(Meaning(0), |meaning| Meaning(*meaning as u8))
}

/// By [`device_key`]; user space fills it before the program is attached.
#[map]
static DEVICES: HashMap<u64, Device> = HashMap::with_max_entries(MAX_DEVICES, 0);

#[map]
static SITES: Array<DropSite> = Array::with_max_entries(MAX_SITES, MMAPABLE);

/// One entry per possible CPU and port; the loader sets the size.
#[map]
static FREES: Array<FreeCounters> = Array::with_max_entries(1, MMAPABLE);

/// The interface with this index, if packets of `port` can die there.
#[inline(always)]
pub(crate) fn device(ifindex: u32, port: u32) -> Option<Device> {
    // SAFETY: a map value that is not written while programs run.
    DEVICES.get_ptr(&device_key(ifindex, port)).map(|device| unsafe { *device })
}

/// This CPU's counters of `port`.
#[inline(always)]
pub(crate) fn frees(port: u32) -> Option<&'static mut FreeCounters> {
    let counters = FREES.get_ptr_mut(counters::block(counters::cpu(), port))?;
    // SAFETY: a map value of its own for each CPU. One program writes it, which the kernel does not run again on a CPU
    // that is in the middle of it.
    Some(unsafe { &mut *counters })
}

/// A drop site.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    pub(crate) index: u32,
    place: *mut DropSite,
}

/// No index of a site.
const NOWHERE: u32 = u32::MAX;

/// The site of `location` and `reason` on this CPU, or without room for one on any; a new one where there is none yet. `before` is 0 for
/// packets that a hook has seen, as in [`DropSite::before`], whose upper bits are the port. `None`: no room at all.
#[inline(always)]
pub(crate) fn site(location: u64, reason: u32, before: u32) -> Option<Site> {
    let mut index = site_of(location, reason, before, counters::cpu() + 1);
    if index == NOWHERE {
        index = site_of(location, reason, before, 0);
    }
    site_at(index)
}

/// The index of the site that these four are said of. A global function: the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn site_of(location: u64, reason: u32, before: u32, cpu: u32) -> u32 {
    let home = DropSite::home(location, reason, before, cpu, MAX_SITES);
    let mut probe = 0;
    while probe < DropSite::PROBES {
        let index = DropSite::behind(home, probe, MAX_SITES);
        probe += 1;
        let Some(place) = SITES.get_ptr_mut(index) else { return NOWHERE };
        // SAFETY: a map value throughout. What it stands for is written between taking and publishing it only.
        unsafe {
            let state = &raw mut (*place).state;
            if atomic::load(state) == DropSite::FREE
                && atomic::compare_exchange(state, DropSite::FREE, DropSite::BUSY)
            {
                atomic::store(&raw mut (*place).location, location);
                atomic::store(&raw mut (*place).reason, reason);
                atomic::store(&raw mut (*place).before, before);
                atomic::store(&raw mut (*place).cpu, cpu);
                atomic::store(state, DropSite::READY);
                return index;
            }
            // One that is being written may be the same: then there are two of it.
            if atomic::load(state) == DropSite::READY
                && atomic::load(&raw const (*place).location) == location
                && atomic::load(&raw const (*place).reason) == reason
                && atomic::load(&raw const (*place).before) == before
                && atomic::load(&raw const (*place).cpu) == cpu
            {
                return index;
            }
        }
    }
    NOWHERE
}

/// The site with this index, which a mark names.
#[inline(always)]
pub(crate) fn site_at(index: u32) -> Option<Site> {
    Some(Site { index, place: SITES.get_ptr_mut(index)? })
}

/// The place of `hook` and `direction` among 32, in a way that every kernel's verifier sees, whatever the compiler knows of it.
#[inline(always)]
fn place(direction: usize, hook: u8) -> usize {
    black_box(direction * 16 + usize::from(hook)) & 31
}

impl Site {
    /// Counts a packet of `direction` dropped behind its last hook, `hook`.
    #[inline(always)]
    pub(crate) fn dropped(self, direction: u8, hook: u8, now_ns: u64) {
        let direction = usize::from(direction & 1);
        // SAFETY: a map value; the indices are below 2 and 16.
        unsafe {
            let dropped: *mut u64 = (&raw mut (*self.place).dropped).cast();
            atomic::fetch_add_u64(dropped.add(place(direction, hook)), 1);
        }
        self.happened(direction, now_ns);
    }

    /// Counts a packet of `direction` dropped on its way, behind `hook`, where it was seen at `seen_ns`. If the packet, whose identity
    /// is `key`, is the example, that is certain now.
    #[inline(always)]
    pub(crate) fn settled(self, direction: u8, hook: u8, seen_ns: u64, key: u64) {
        let direction = usize::from(direction & 1);
        self.add_settled(direction, hook, 1);
        self.happened(direction, seen_ns);
        // SAFETY: a map value; the index is below 2.
        unsafe {
            let examples: *mut Example = (&raw mut (*self.place).examples).cast();
            let example = examples.add(direction);
            if atomic::load(&raw const (*example).state) == Example::PROVISIONAL
                && atomic::load(&raw const (*example).key) == key
            {
                let state = &raw mut (*example).state;
                atomic::compare_exchange_u32(state, Example::PROVISIONAL, Example::CERTAIN);
            }
        }
    }

    /// Takes a packet back that [`Site::settled`] has counted.
    #[inline(always)]
    pub(crate) fn revived(self, direction: u8, hook: u8) {
        self.add_settled(usize::from(direction & 1), hook, u64::MAX);
    }

    #[inline(always)]
    fn add_settled(self, direction: usize, hook: u8, change: u64) {
        // SAFETY: a map value; the indices are below 2 and 16.
        unsafe {
            let settled: *mut u64 = (&raw mut (*self.place).settled).cast();
            atomic::fetch_add_u64(settled.add(place(direction, hook)), change);
        }
    }

    #[inline(always)]
    fn happened(self, direction: usize, time_ns: u64) {
        // SAFETY: a map value; the index is below 2.
        unsafe {
            let first: *mut u64 = (&raw mut (*self.place).first_ns).cast();
            let first = first.add(direction);
            if atomic::load(first) == 0 {
                atomic::compare_exchange(first, 0, time_ns);
            }
            let last: *mut u64 = (&raw mut (*self.place).last_ns).cast();
            atomic::store(last.add(direction), time_ns);
        }
    }

    /// Makes a packet of `direction` the example, where one is wanted. `fill` writes all but the state, which is `state`.
    #[inline(always)]
    pub(crate) fn example(self, direction: u8, state: u32, fill: impl FnOnce(*mut Example)) {
        // SAFETY: a map value; the index is below 2. Only who makes it `BUSY` writes it.
        unsafe {
            let examples: *mut Example = (&raw mut (*self.place).examples).cast();
            let example = examples.add(usize::from(direction & 1));
            let old = atomic::load(&raw const (*example).state);
            // A packet that is certain to be dropped takes the place of one that is not.
            let wanted = old == Example::NONE || (old == Example::PROVISIONAL && state == Example::CERTAIN);
            if wanted && atomic::compare_exchange_u32(&raw mut (*example).state, old, Example::BUSY) {
                fill(example);
                atomic::store(&raw mut (*example).state, state);
            }
        }
    }
}
