//! Constants patched in by the loader.

use core::hint::black_box;

use aya_ebpf::Global;
use hoptrace_common::config::{MAX_XDP, NEAR_WORDS, TraceConfig, XdpPlace, near_bit};
use hoptrace_common::{
    filter::{Filter, Host},
    packet::Packet,
    ports::{key_at, number_of, port_of, port_of_key},
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
    sharing: 0,
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
    tail: u16
    sharing: u16
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
        pub(super) fn $only() -> $kind {
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
pub(super) fn only_neighbour_entries() -> u16 {
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

/// Whether frames for groups are counted at every hook of the path: the filter asks for one's.
#[inline(always)]
pub(crate) fn counts_groups() -> bool {
    filtering() == TraceConfig::FOR_GROUP
}

/// The filter.
#[inline(always)]
pub(crate) fn filter() -> &'static Filter {
    let trace: *const TraceConfig = (&raw const TRACE).cast();
    // SAFETY: a static that is not written while programs run. The compiler must not know which, because the loader
    // patches it after compilation; the verifier knows, and what is in it.
    unsafe { &*black_box(&raw const (*trace).filter) }
}
