//! The program at the tracepoint `kfree_skb`: the kernel frees a packet without delivering it.
//!
//! Most of what the kernel frees is none of ours, and costs a look at its headers and one into the in-flight table.
//! For a packet in the table the interface tells whether it may be the packet itself or only a copy.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_ktime_get_ns, programs::RawTracePointContext};
use hoptrace_common::{
    config::Control as GateState,
    drops::Example,
    filter::addresses,
    inflight::{self, Marked, Reach},
    packet::{ETHERTYPE_ARP, Packet, Reader as _, Window as _},
};

use crate::{
    maps::{
        control,
        drops::{self, Site},
        inflight::Inflight,
        room::{self, Owner, Room},
    },
    raw::{self, RawSkb},
    reader::{Copied, SkbReader as _},
};

/// A packet is freed. The tracepoint's arguments are the packet, the place, and from kernel 5.17 on the reason.
#[inline(always)]
pub(crate) fn freed(context: &RawTracePointContext) {
    let Some(gate) = control::gate() else { return };
    if gate.state() == GateState::CLOSED {
        return;
    }
    let skb: *const c_void = context.arg(0);
    let Some(room) = room::of(Owner::Drops) else { return };
    let Some(raw) = RawSkb::read(skb, room) else { return };
    let Some(frame) = raw.head.frame() else { return };
    // SAFETY: a map value of this program and CPU.
    let word = unsafe { &raw mut (*room).word };
    let Ok(packet) = raw.head.packet(&frame, word) else { return };
    // SAFETY: likewise.
    unsafe { (&raw mut (*room).freed).write(Freed::of(&raw, &packet)) };
    let reason: u32 = if drops::has_reason() == 0 { 0 } else { context.arg(2) };
    freed_identified(skb as u64, context.arg(1), reason, packet.identity);
}

/// What is known of the packet, from one function to the next.
#[repr(C)]
pub(crate) struct Freed {
    len_bytes: u32,
    readable_bytes: u32,
    l3_offset: u32,
    l4_offset: u32,
    ether_type: u16,
    protocol: u8,
    fragment_tail: u8,
}

impl Freed {
    #[inline(always)]
    const fn of(raw: &RawSkb, packet: &Packet) -> Self {
        Self {
            len_bytes: raw.len_bytes,
            readable_bytes: raw.linear_bytes,
            l3_offset: packet.l3_offset,
            l4_offset: packet.l4_offset,
            ether_type: packet.ether_type,
            protocol: packet.protocol,
            fragment_tail: packet.fragment_tail,
        }
    }
}

/// The packet `skb` with this identity is freed. A global function: the verifier looks at it once, not for each shape a
/// packet can have.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn freed_identified(skb: u64, location: u64, reason: u32, identity: u64) -> u32 {
    let Some(room) = room::of(Owner::Drops) else { return 0 };
    // SAFETY: a map value of this program and CPU.
    let word: *mut u64 = unsafe { &raw mut (*room).word };
    let Some(tracked) = inflight::find(Inflight(word), identity) else { return 0 };
    let Some(dev) = raw::device(skb as *const c_void) else { return 0 };
    // Behind a veth pair or a tunnel into another network namespace: beyond the path.
    if !dev.is_null() && !raw::is_here(dev) {
        return 0;
    }
    let Some(counted) = drops::frees() else { return 0 };
    let control = tracked.control;
    if control.direction() == 0 {
        counted.freed[0] += 1;
    } else {
        counted.freed[1] += 1;
    }
    let reach = reach(dev, reason);
    if !reach.covers(control) {
        return 0;
    }
    let Some(site) = drops::site(location, reason) else {
        counted.no_site += 1;
        return 0;
    };
    // SAFETY: takes nothing and always succeeds.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let (state, after) = match inflight::mark(Inflight(word), tracked, reach, site.index) {
        Marked::Provisional => (Example::PROVISIONAL, control.last()),
        Marked::Dropped(hook) => {
            site.dropped(control.direction(), hook, now_ns);
            (Example::CERTAIN, hook)
        }
        Marked::DroppedOfGroup(hook) => {
            site.settled(control.direction(), hook, now_ns, identity);
            (Example::CERTAIN, hook)
        }
        Marked::Copy => return 0,
    };
    remember(site, state, (control.direction(), after), room, identity, now_ns);
    0
}

/// Where a packet may have ended that is freed at `dev`.
#[inline(always)]
fn reach(dev: *const c_void, reason: u32) -> Reach {
    if dev.is_null() {
        return Reach { live_after: drops::nowhere_after() as u16, done_after: 0 };
    }
    match drops::device(raw::ifindex(dev)) {
        Some(device) => device.reach(reason, drops::netfilter_reason()),
        None => Reach { live_after: 0, done_after: 0 },
    }
}

/// Keeps the packet as the site's example, if it has none.
#[inline(always)]
fn remember(
    site: Site,
    state: u32,
    (direction, after): (u8, u8),
    room: *mut Room,
    identity: u64,
    now_ns: u64,
) {
    site.example(direction, state, |example| {
        // SAFETY: map values of this program and CPU; [`freed`] wrote both.
        let (freed, head) = unsafe {
            let freed = &raw const (*room).freed;
            let (packet, word) = ((&raw const (*room).packet).cast(), &raw mut (*room).word);
            (&*freed, Copied::of(packet, (&raw const (*freed).readable_bytes).read_volatile(), word))
        };
        let packet = Packet {
            identity,
            ether_type: freed.ether_type,
            protocol: freed.protocol,
            fragment_tail: freed.fragment_tail,
            l3_offset: freed.l3_offset,
            l4_offset: freed.l4_offset,
            l3_end: 0,
        };
        let (source, destination) = addresses(&head, &packet).unwrap_or(([0; 2], [0; 2]));
        let has_ports = packet.fragment_tail == 0 && packet.ether_type != ETHERTYPE_ARP;
        let ports = if has_ports { head.window(packet.l4_offset, 4) } else { None };
        let (source_port, destination_port) =
            ports.map_or((0, 0), |window| (window.u16_be(0), window.u16_be(2)));
        // SAFETY: a map value that is ours for the moment.
        unsafe {
            (*example).len_bytes = freed.len_bytes;
            (*example).time_ns = now_ns;
            (*example).key = identity;
            (*example).source = source;
            (*example).destination = destination;
            (*example).source_port = source_port;
            (*example).destination_port = destination_port;
            (*example).ether_type = packet.ether_type;
            (*example).protocol = packet.protocol;
            (*example).after = after;
        }
    });
}
