//! Constants patched in by the loader.

use core::hint::black_box;

use aya_ebpf::Global;
use hoptrace_common::config::{
    HookConfig, MAX_HOOKS, MAX_XDP, NEAR_WORDS, PLACES, TraceConfig, XdpPlace, near_bit, place_of,
};
use hoptrace_common::{
    filter::{Filter, Host},
    inflight::Hook,
    packet::Packet,
    ports::{NUMBER_MASK, key_at, number_of, port_of, port_of_key},
};

use super::several;

/// Facts about the trace.
#[unsafe(no_mangle)]
static TRACE: Global<TraceConfig> = Global::new(TraceConfig {
    slot_shift: 0,
    segments: 1,
    timeout_ns: 0,
    seed: 1,
    mac: 0,
    sample_below: 0,
    budgeted: 0,
    guest_segment: 0,
    entries: [0; 2],
    neighbour_entries: 0,
    filtering: 0,
    tail: 0,
    spread: 1,
    beside: [0; 2],
    keeping_heads: 0,
    ports: 0,
    port_segments: 0,
    filter: Filter {
        protocol: 0,
        host_count: 0,
        port_count: 0,
        ports: [0; 2],
        hosts: [Host { address: [0; 2], ether_type: 0, reserved: [0; 3] }; 2],
    },
    ipv4: [0; 4],
});

/// Facts about the hooks.
#[unsafe(no_mangle)]
static HOOKS: [HookConfig; MAX_HOOKS] = [HookConfig::NONE; MAX_HOOKS];

/// The hooks of the path's TC programs, spread over places by their interfaces: ingress side, egress side.
#[unsafe(no_mangle)]
static PLACED: [[HookConfig; PLACES]; 2] = [[HookConfig::NONE; PLACES]; 2];

/// Interfaces that hooks at tracepoints are at, as [`near_bit`] has them: ingress side, egress side.
#[unsafe(no_mangle)]
static NEAR: [[u64; NEAR_WORDS]; 2] = [[0; NEAR_WORDS]; 2];

/// The hooks of the XDP program.
#[unsafe(no_mangle)]
static XDP: [XdpPlace; MAX_XDP] = [XdpPlace { ifindex: 0, hook: 0 }; MAX_XDP];

/// The hooks of the program at `net_dev_start_xmit`.
#[unsafe(no_mangle)]
static WIRE: [XdpPlace; MAX_XDP] = [XdpPlace { ifindex: 0, hook: 0 }; MAX_XDP];

/// The number of the XDP program's hook at interface `ifindex`.
#[inline(always)]
pub(crate) fn xdp_hook(ifindex: u32) -> Option<u32> {
    hook_at((&raw const XDP).cast(), ifindex)
}

/// The number of the hook where the driver of interface `ifindex` takes packets over.
#[inline(always)]
pub(crate) fn wire_hook(ifindex: u32) -> Option<u32> {
    hook_at((&raw const WIRE).cast(), ifindex)
}

/// Whether a hook at a tracepoint may be on `side` of interface `ifindex`. Of most other interfaces it says no, and says it
/// fast.
#[inline(always)]
pub(crate) fn is_near(side: usize, ifindex: u32) -> bool {
    let (word, bit) = near_bit(ifindex);
    let words: *const u64 = (&raw const NEAR).cast();
    // SAFETY: each side has so many words; volatile because the loader patches them after compilation.
    unsafe { words.add(side * NEAR_WORDS + word).read_volatile() & bit != 0 }
}

#[inline(always)]
fn hook_at(places: *const XdpPlace, ifindex: u32) -> Option<u32> {
    let mut at = 0;
    while at < MAX_XDP {
        // SAFETY: inside a static of `MAX_XDP` places; volatile because the loader patches it after compilation.
        let place = unsafe { places.add(at).read_volatile() };
        if place.ifindex == ifindex {
            return Some(place.hook & 0xf);
        }
        at += 1;
    }
    None
}

macro_rules! trace_fields {
    ($($name:ident: $kind:ty)*) => {$(
        #[inline(always)]
        pub(crate) fn $name() -> $kind {
            let trace: *const TraceConfig = (&raw const TRACE).cast();
            // SAFETY: a static; volatile because the loader patches it after compilation.
            unsafe { (&raw const (*trace).$name).read_volatile() }
        }
    )*};
}

trace_fields! {
    slot_shift: u32
    seed: u64
    segments: u32
    timeout_ns: u64
    sample_below: u64
    budgeted: u32
    tail: u32
    filtering: u16
    keeping_heads: u16
    spread: u32
    ports: u32
    port_segments: u32
}

/// What is one port's: a constant in a trace of one port.
macro_rules! port_fields {
    ($($name:ident $only:ident: $kind:ty)*) => {$(
        /// Of `port`.
        #[inline(always)]
        pub(crate) fn $name(port: u32) -> $kind {
            if is_of_several() { several::$name(port) } else { $only() }
        }

        /// Of the only port.
        #[inline(always)]
        fn $only() -> $kind {
            let trace: *const TraceConfig = (&raw const TRACE).cast();
            // SAFETY: a static; volatile because the loader patches it after compilation.
            unsafe { (&raw const (*trace).$name).read_volatile() }
        }
    )*};
}

port_fields! {
    mac only_mac: u64
    ipv4 only_ipv4: [u32; 4]
    guest_segment only_guest_segment: u16
    entries only_entries: [u8; 2]
    beside only_beside: [u8; 2]
}

/// Whether several ports are traced. The verifier knows, and removes what is for the other case; but the question itself stays.
#[inline(always)]
pub(crate) fn is_of_several() -> bool {
    ports() != 0
}

/// What a program knows of that without a question, because it is one for the one case only.
#[derive(Clone, Copy)]
pub(crate) enum Scope {
    One,
    Several,
    /// It is for both.
    Asked,
}

impl Scope {
    /// As [`is_of_several`].
    #[inline(always)]
    pub(crate) fn is_of_several(self) -> bool {
        match self {
            Self::One => false,
            Self::Several => true,
            Self::Asked => is_of_several(),
        }
    }
}

/// The port of hook `number`.
#[inline(always)]
pub(crate) fn port(number: u32) -> u32 {
    if is_of_several() { port_of(number) } else { 0 }
}

/// The port on whose path the packet `key` of the table is.
#[inline(always)]
pub(crate) fn port_behind(key: u64) -> u32 {
    if is_of_several() { port_of_key(key) } else { 0 }
}

/// What a packet with this identity is called in the table, on the path of `port`.
#[inline(always)]
pub(crate) fn key(identity: u64, port: u32) -> u64 {
    if is_of_several() { key_at(identity, port) } else { identity }
}

/// What a key is found by among others in a table whose places are the low bits: where these are the port, the middle ones.
#[inline(always)]
pub(crate) fn spread_key(key: u64) -> u32 {
    if is_of_several() { (key >> 32) as u32 ^ key as u32 } else { key as u32 }
}

/// `packet` as it is called in the table, on the path of `port`.
#[inline(always)]
pub(crate) fn keyed(packet: Packet, port: u32) -> Packet {
    Packet { identity: key(packet.identity, port), ..packet }
}

/// The number of the hook at `place` on the path of `port`.
#[inline(always)]
pub(crate) fn number(port: u32, place: u8) -> u32 {
    if is_of_several() { number_of(port, u32::from(place)) } else { u32::from(place & 0xf) }
}

/// The first of the segments of `port`.
#[inline(always)]
pub(crate) fn first_segment(port: u32) -> u32 {
    if is_of_several() { port * port_segments() } else { 0 }
}

/// The hooks that packets from neighbours enter by on the path of the only port, a bit each.
#[inline(always)]
fn only_neighbour_entries() -> u16 {
    let trace: *const TraceConfig = (&raw const TRACE).cast();
    // SAFETY: a static; volatile because the loader patches it after compilation.
    unsafe { (&raw const (*trace).neighbour_entries).read_volatile() }
}

/// Whether any packet may be sent to user space.
#[inline(always)]
pub(crate) fn sends() -> bool {
    sample_below() != 0 || tail() != 0
}

/// Whether there is a filter.
#[inline(always)]
pub(crate) fn is_filtering() -> bool {
    filtering() != 0
}

/// The filter.
#[inline(always)]
pub(crate) fn filter() -> &'static Filter {
    let trace: *const TraceConfig = (&raw const TRACE).cast();
    // SAFETY: a static that is not written while programs run. The compiler must not know which, because the loader
    // patches it after compilation; the verifier knows, and what is in it.
    unsafe { &*black_box(&raw const (*trace).filter) }
}

/// A hook's facts: the first word of them, and where the others are.
#[derive(Clone, Copy)]
pub(crate) struct HookFacts {
    word: u64,
    at: *const HookConfig,
    scope: Scope,
}

/// The facts of hook `number`: constants to the verifier where the number is one.
#[inline(always)]
pub(crate) fn hook(number: u32) -> HookFacts {
    let at = if is_of_several() {
        several::hook(number)
    } else {
        let hooks: *const HookConfig = (&raw const HOOKS).cast();
        // SAFETY: there are 16 of them.
        unsafe { hooks.add((number & 0xf) as usize) }
    };
    // SAFETY: in a static, and aligned to eight bytes; volatile because user space writes it.
    HookFacts { word: unsafe { at.cast::<u64>().read_volatile() }, at, scope: Scope::Asked }
}

/// The facts of the hook on the path that is on `side` of interface `ifindex`, in a trace of one port.
#[inline(always)]
pub(crate) fn hook_on(side: usize, ifindex: u32) -> Option<HookFacts> {
    let placed: *const HookConfig = (&raw const PLACED).cast();
    // SAFETY: each side has so many places; volatile because the loader patches them after compilation.
    let (at, found) = unsafe {
        let at = placed.add(side * PLACES + place_of(ifindex, spread()));
        (at, (&raw const (*at).ifindex).read_volatile())
    };
    if found != ifindex {
        return None;
    }
    // SAFETY: likewise.
    let word = unsafe { at.cast::<u64>().read_volatile() };
    Some(HookFacts { word, at, scope: Scope::One }.on_path())
}

impl HookFacts {
    /// The hook's number.
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        // SAFETY: points into a static.
        u32::from(unsafe { (&raw const (*self.at).number).read_volatile() }) & NUMBER_MASK
    }

    /// The port on whose path it is.
    #[inline(always)]
    pub(crate) fn port(self) -> u32 {
        if self.scope.is_of_several() { port_of(self.number()) } else { 0 }
    }

    /// The MAC address of that port.
    #[inline(always)]
    pub(crate) fn mac(self) -> u64 {
        if self.scope.is_of_several() { several::mac(self.port()) } else { only_mac() }
    }

    /// What a packet with this identity is called in the table, on the path of that port.
    #[inline(always)]
    pub(crate) fn key(self, identity: u64) -> u64 {
        if self.scope.is_of_several() { key_at(identity, self.port()) } else { identity }
    }

    /// What the program that asks knows.
    #[inline(always)]
    pub(crate) const fn scope(self) -> Scope {
        self.scope
    }

    /// The same facts, in a program that is for `scope` only.
    #[inline(always)]
    pub(crate) const fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// The same facts of a hook that is on the path, which the compiler then knows.
    #[inline(always)]
    pub(crate) fn on_path(self) -> Self {
        Self { word: self.word & !(u64::from(HookConfig::NEIGHBOUR) << 8), ..self }
    }

    /// The same facts, all that the verifier has learned of them forgotten. The kind of hook stays known.
    #[inline(always)]
    pub(crate) fn again(self) -> Self {
        let neighbour = u64::from(HookConfig::NEIGHBOUR) << 8;
        // SAFETY: points into a static, aligned to eight bytes.
        let word = unsafe { self.at.cast::<u64>().read_volatile() };
        Self { word: (word & !neighbour) | (self.word & neighbour), ..self }
    }

    /// 0 egress, 1 ingress.
    #[inline(always)]
    pub(crate) const fn direction(self) -> u8 {
        self.word as u8
    }

    /// Whether `flag` is set.
    #[inline(always)]
    pub(crate) const fn has(self, flag: u8) -> bool {
        self.word & ((flag as u64) << 8) != 0
    }

    /// Whether it has a trait: [`HookConfig::LEARNS`].
    #[inline(always)]
    pub(crate) const fn has_trait(self, of: u16) -> bool {
        self.word & ((of as u64) << 48) != 0
    }

    /// The hooks behind this one, a bit each.
    #[inline(always)]
    const fn later(self) -> u16 {
        (self.word >> 16) as u16
    }

    /// The hooks beside the path behind this one, a bit each.
    #[inline(always)]
    const fn beside(self) -> u16 {
        (self.word >> 32) as u16
    }

    /// What the rules of the table need to know. `number` is this hook's; `ends_here` says that the packet's way does.
    #[inline(always)]
    pub(crate) fn for_rules(self, number: u32, ends_here: bool) -> Hook {
        Hook {
            id: (number & 0xf) as u8,
            direction: self.direction(),
            entry: self.has(HookConfig::ENTRY),
            terminal: ends_here || self.has(HookConfig::TERMINAL),
            later: self.later(),
            beside: self.beside(),
        }
    }

    /// The segment from hook `from` to this one.
    #[inline(always)]
    pub(crate) fn segment_from(self, from: u8) -> u32 {
        // SAFETY: points into a static; only the address is taken.
        let segments: *const u8 = unsafe { (&raw const (*self.at).segment_from).cast() };
        // SAFETY: the index is below 16; volatile because the loader patches it after compilation.
        let segment = u32::from(unsafe { segments.add((from & 0xf) as usize).read_volatile() });
        self.of_all(segment)
    }

    /// The number of the port's `segment` among those of all ports.
    #[inline(always)]
    fn of_all(self, segment: u32) -> u32 {
        if self.scope.is_of_several() { self.port() * port_segments() + segment } else { segment }
    }

    /// The hooks that packets from neighbours enter by on the path of its port, a bit each.
    #[inline(always)]
    fn neighbour_entries(self) -> u16 {
        if self.scope.is_of_several() {
            several::neighbour_entries(self.port())
        } else {
            only_neighbour_entries()
        }
    }

    /// The segment of the whole way of a packet that passed the hooks `passed`.
    #[inline(always)]
    pub(crate) fn total_segment(self, passed: u16) -> u32 {
        // SAFETY: points into a static.
        let segment = u32::from(unsafe {
            if passed & self.neighbour_entries() == 0 {
                (&raw const (*self.at).total_segment).read_volatile()
            } else {
                (&raw const (*self.at).total_from_neighbour).read_volatile()
            }
        });
        self.of_all(segment)
    }
}

const _: () = assert!(
    core::mem::offset_of!(HookConfig, direction) == 0
        && core::mem::offset_of!(HookConfig, flags) == 1
        && core::mem::offset_of!(HookConfig, later) == 2
        && core::mem::offset_of!(HookConfig, beside) == 4
        && core::mem::offset_of!(HookConfig, traits) == 6
);
