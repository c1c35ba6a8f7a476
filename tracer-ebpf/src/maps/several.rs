//! What a trace of several ports knows of each: user space changes it while programs run.

use core::{cell::UnsafeCell, hint::black_box};

use aya_ebpf::{
    macros::map,
    maps::{HashMap, LruHashMap},
};
use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS},
    ports::{
        GLANCE_WORDS, MAX_PORTS, MAX_SHARED, NUMBER_MASK, PortConfig, Whose, mac_bit, own_bit, target_bit,
    },
};

/// Memory that user space writes and programs read.
#[repr(transparent)]
struct Written<T>(UnsafeCell<T>);

// SAFETY: programs only read it, by volatile accesses.
unsafe impl<T> Sync for Written<T> {}

/// Facts about the ports.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.ports")]
static PORTS: Written<[PortConfig; MAX_PORTS]> = Written(UnsafeCell::new([NO_PORT; MAX_PORTS]));

const NO_PORT: PortConfig = PortConfig {
    mac: 0,
    ipv4: [0; 4],
    guest_segment: 0,
    neighbour_entries: 0,
    entries: [0; 2],
    beside: [0; 2],
    at_switch: 0,
    upcalled_after: 0,
    nowhere_after: 0,
    reserved: 0,
    shared: [[0; 4]; MAX_SHARED],
};

/// Facts about their hooks, by the hooks' numbers.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.hooks")]
static PORT_HOOKS: Written<[HookConfig; MAX_PORTS * MAX_HOOKS]> =
    Written(UnsafeCell::new([HookConfig::NONE; MAX_PORTS * MAX_HOOKS]));

/// Interfaces by their indices. The loader sets the size; so it does for the next two.
#[map]
static WHOSE: HashMap<u32, Whose> = HashMap::with_max_entries(1, 0);

/// The ports by their MAC addresses.
#[map]
static MACS: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

/// The ports by further addresses that their guests use: the last one that has used an address. Who uses many makes the oldest leave.
#[map]
static LEARNED: LruHashMap<u64, u32> = LruHashMap::with_max_entries(1, 0);

/// The ports by their IPv4 addresses.
#[map]
static TARGETS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// The bits of the ports' MAC addresses, of their own interfaces, and of their IPv4 addresses.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.glance")]
static GLANCE: Written<[[u64; GLANCE_WORDS]; 3]> = Written(UnsafeCell::new([[0; GLANCE_WORDS]; 3]));

/// The bits of addresses that have been learned. They stay.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.learned")]
static LEARNED_BITS: Noted = Noted(UnsafeCell::new([0; GLANCE_WORDS]));

/// Words that programs write.
#[repr(transparent)]
struct Noted(UnsafeCell<[u64; GLANCE_WORDS]>);

// SAFETY: read and written by volatile accesses. Two CPUs that set bits of one word at the same time can lose one: that address is
// learned again with the next frame from it.
unsafe impl Sync for Noted {}

/// A word of bits that user space has set.
#[inline(always)]
fn glance(which: usize, word: usize) -> u64 {
    let words: *const u64 = GLANCE.0.get().cast_const().cast();
    // SAFETY: both are below their bounds; volatile because user space writes it.
    unsafe { words.add(which * GLANCE_WORDS + (black_box(word) & (GLANCE_WORDS - 1))).read_volatile() }
}

/// Where the bits of learned addresses are.
#[inline(always)]
fn learned_word(word: usize) -> *mut u64 {
    let words: *mut u64 = LEARNED_BITS.0.get().cast();
    // SAFETY: below the bound.
    unsafe { words.add(black_box(word) & (GLANCE_WORDS - 1)) }
}

/// Whether a guest may have used `mac` that is not its port's own.
#[inline(always)]
fn may_be_learned(mac: u64) -> bool {
    let (word, bit) = mac_bit(mac);
    // SAFETY: a word of this object's.
    unsafe { learned_word(word).read_volatile() & bit != 0 }
}

/// Whether a traced port may have `mac`: of most other addresses it says no, and says it fast.
#[inline(always)]
pub(crate) fn may_be_known(mac: u64) -> bool {
    let (word, bit) = mac_bit(mac);
    // SAFETY: a word of this object's.
    (glance(0, word) | unsafe { learned_word(word).read_volatile() }) & bit != 0
}

/// Whether a traced port may have this IPv4 address, likewise.
#[inline(always)]
pub(crate) fn may_be_target(address: u32) -> bool {
    let (word, bit) = target_bit(address);
    glance(2, word) & bit != 0
}

/// Whether the interface with this index may be one port's own, likewise.
#[inline(always)]
pub(crate) fn may_be_own(ifindex: u32) -> bool {
    let (word, bit) = own_bit(ifindex);
    glance(1, word) & bit != 0
}

/// The facts of hook `number`. It is bounded in a way that every kernel's verifier sees, whatever the compiler knows of it: 6.1 forgets bounds
/// where 32-bit numbers are put together.
#[inline(always)]
pub(crate) fn hook(number: u32) -> *const HookConfig {
    let hooks: *const HookConfig = PORT_HOOKS.0.get().cast_const().cast();
    // SAFETY: there are so many of them.
    unsafe { hooks.add((black_box(number) & NUMBER_MASK) as usize) }
}

#[inline(always)]
fn at(port: u32) -> *const PortConfig {
    let ports: *const PortConfig = PORTS.0.get().cast_const().cast();
    // SAFETY: there are so many of them.
    unsafe { ports.add(black_box(port) as usize & (MAX_PORTS - 1)) }
}

macro_rules! fields {
    ($($name:ident: $kind:ty)*) => {$(
        /// As in [`PortConfig`].
        #[inline(always)]
        pub(crate) fn $name(port: u32) -> $kind {
            // SAFETY: points into a static; volatile because user space writes it.
            unsafe { (&raw const (*at(port)).$name).read_volatile() }
        }
    )*};
}

fields! {
    mac: u64
    ipv4: [u32; 4]
    guest_segment: u16
    neighbour_entries: u16
    entries: [u8; 2]
    beside: [u8; 2]
    at_switch: u32
    upcalled_after: u32
    nowhere_after: u32
}

/// The place of the hook of `port` on `side` of the shared interface with this number; [`PortConfig::NO_HOOK`]: there is none.
#[inline(always)]
pub(crate) fn place_at(port: u32, shared: u8, side: usize) -> u8 {
    let places: *const u8 = {
        // SAFETY: points into a static; only the address is taken.
        unsafe { (&raw const (*at(port)).shared).cast() }
    };
    let index = (usize::from(shared) & (MAX_SHARED - 1)) * 4 + (side & 3);
    // SAFETY: below the end; volatile because user space writes it.
    unsafe { places.add(index).read_volatile() }
}

/// Whose the interface with this index is; `None`: no traced packet comes by it.
#[inline(always)]
pub(crate) fn whose(ifindex: u32) -> Option<Whose> {
    // SAFETY: a map value, whose eight bytes user space writes at once.
    WHOSE.get_ptr(&ifindex).map(|whose| unsafe { whose.read_volatile() })
}

/// The traced port with this MAC address.
#[inline(always)]
pub(crate) fn port_with_mac(mac: u64) -> Option<u32> {
    let learned = || if may_be_learned(mac) { LEARNED.get_ptr(&mac) } else { None };
    // SAFETY: map values.
    MACS.get_ptr(&mac).or_else(learned).map(|port| unsafe { port.read_volatile() })
}

/// The traced port with this IPv4 address.
#[inline(always)]
pub(crate) fn port_with_ipv4(address: u32) -> Option<u32> {
    // SAFETY: a map value.
    TARGETS.get_ptr(&address).map(|port| unsafe { port.read_volatile() })
}

/// An address that the guest of `port` uses, and that is not the own one of a traced port: packets at shared interfaces are its, too.
#[inline(always)]
pub(crate) fn learn(mac: u64, port: u32) {
    if port_with_mac(mac) != Some(port) {
        // What is lost by a failure is that address at shared interfaces.
        let _ = LEARNED.insert(&mac, &port, 0);
        let (word, bit) = mac_bit(mac);
        let word = learned_word(word);
        // SAFETY: a word of this object's. Behind the address, so that who sees this finds that.
        unsafe { word.write_volatile(word.read_volatile() | bit) };
    }
}
