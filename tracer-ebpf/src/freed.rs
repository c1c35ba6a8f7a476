//! The program at the tracepoint `kfree_skb`: the kernel frees a packet without delivering it.
//!
//! Most of what the kernel frees is none of ours, and costs a look at the interface it is at. For a packet at an interface of
//! the path, the rules of [`hoptrace_common::drops`] tell whether it may be the packet itself or only a copy.

use core::ffi::c_void;

use aya_ebpf::programs::RawTracePointContext;
use hoptrace_common::{
    config::Control as GateState,
    drops::{Device, Example, Free, Meaning, Stands, Verdict, verdict},
    filter::addresses,
    inflight::{self, Control, Marked, Reach, State, Tracked},
    packet::{ETHERTYPE_ARP, Frame, Packet, Reader as _, Window as _},
};

use crate::{
    claim::{concerns_guest, known_anywhere},
    clock::now_ns,
    device,
    kept::{Freed, What},
    maps::{
        config, control,
        drops::{self, Site},
        inflight::Inflight,
        room::{self, Owner, Room},
    },
    raw::RawSkb,
    reader::{Copied, SkbReader as _},
};

/// A packet is freed. The tracepoint's arguments are the packet, the place, from kernel 5.17 on the reason, and from 6.11
/// on the socket that was to receive it.
#[inline(always)]
pub(crate) fn freed(context: &RawTracePointContext) {
    let Some(gate) = control::gate() else { return };
    let gate_state = gate.state();
    if gate_state == GateState::CLOSED {
        return;
    }
    let skb: *const c_void = context.arg(0);
    let Some(device) = device_of(skb) else { return };
    let Some(room) = room::of(Owner::Drops) else { return };
    let Some(raw) = RawSkb::read(skb, room, Owner::Drops as u32) else { return };
    let Some(frame) = raw.head.frame() else { return };
    // SAFETY: a map value of this program and CPU.
    let word = unsafe { &raw mut (*room).word };
    let Ok(packet) = raw.head.packet(&frame, word) else { return };
    let location: u64 = context.arg(1);
    let reason: u32 = if drops::has_reason() == 0 { 0 } else { context.arg(2) };
    let free = free_of(context, location, reason);
    let early = gate_state == GateState::OPEN
        && device.is_before(free.meaning)
        && is_own(&raw, &frame, &packet, device);
    let facts = facts(&raw, &packet, free, device, early);
    // SAFETY: likewise.
    unsafe { (&raw mut (*room).freed).write(facts) };
    let identity = packet.identity;
    if freed_identified(location, reason, identity) != 0 {
        remembered(identity);
    }
}

/// What is known of the interface that `skb` is at. `None`: no packet of the path can be there, or it is beyond the path,
/// behind a veth pair or a tunnel into another network namespace.
#[inline(always)]
fn device_of(skb: *const c_void) -> Option<Device> {
    let dev = device::of(skb)?;
    if dev.is_null() {
        let live_after = drops::nowhere_after() as u16;
        return if live_after == 0 {
            None
        } else {
            Some(Device { live_after, done_after: 0, flags: Device::NOWHERE, entry: 0, direction: 0 })
        };
    }
    let found = drops::device(device::ifindex(dev))?;
    if device::is_here(dev) { Some(found) } else { None }
}

/// What the kernel tells of the packet that is freed.
#[inline(always)]
fn free_of(context: &RawTracePointContext, location: u64, reason: u32) -> Free {
    let meaning = drops::meaning_of(reason);
    let meaning = if meaning.is(Meaning::UNTOLD) {
        Meaning(meaning.0 | drops::meaning_at(location).0)
    } else {
        meaning
    };
    let socket = drops::has_socket() != 0 && context.arg::<u64>(3) != 0;
    Free { meaning, socket }
}

/// Whether a packet that no hook has seen is one of the VM's and wanted.
#[inline(always)]
fn is_own(raw: &RawSkb, frame: &Frame, packet: &Packet, device: Device) -> bool {
    let mac = config::mac();
    let own = if device.direction == 0 {
        frame.source == mac || known_anywhere(frame.source).is_sent()
    } else if frame.is_group() {
        frame.source != mac && concerns_guest(&raw.head, packet)
    } else {
        frame.destination == mac || known_anywhere(frame.destination).is_own()
    };
    own && (!config::is_filtering() || config::filter().matches(&raw.head, packet))
}

/// What [`freed_identified`] needs to know.
#[inline(always)]
const fn facts(raw: &RawSkb, packet: &Packet, free: Free, device: Device, early: bool) -> Freed {
    Freed {
        len_bytes: raw.len_bytes,
        readable_bytes: raw.linear_bytes,
        l3_offset: packet.l3_offset,
        l4_offset: packet.l4_offset,
        ether_type: packet.ether_type,
        protocol: packet.protocol,
        fragment_tail: packet.fragment_tail,
        meaning: free.meaning.0,
        socket: free.socket as u8,
        flags: device.flags,
        live_after: device.live_after,
        done_after: device.done_after,
        entry: device.entry,
        direction: device.direction,
        early: early as u8,
        example: What::NOTHING,
    }
}

/// A packet with this identity is freed; the rest is in the program's room. 1 if it may be an example. A global function: the verifier looks at it once,
/// not for each shape a packet can have.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn freed_identified(location: u64, reason: u32, identity: u64) -> u32 {
    let Some(room) = room::of(Owner::Drops) else { return 0 };
    // SAFETY: map values of this program and CPU; [`freed`] wrote the facts.
    let (word, facts): (*mut u64, &Freed) = unsafe { (&raw mut (*room).word, &*(&raw const (*room).freed)) };
    let device = facts.device();
    let tracked = inflight::find(Inflight(word), identity);
    let free = facts.free();
    let example = match (
        verdict(free, &device, stands(device, free.meaning, tracked.map(|tracked| tracked.control))),
        tracked,
    ) {
        (Verdict::Drop, Some(tracked)) => {
            dropped(location, reason, identity, tracked, device.reach_of(free.meaning), word)
        }
        (Verdict::Copy, Some(tracked)) => {
            copied(tracked.control);
            None
        }
        (Verdict::Early, _) if facts.early != 0 => early(location, reason, device),
        _ => None,
    };
    let Some(example) = example else { return 0 };
    // SAFETY: as above; the facts are not used any more.
    unsafe { (&raw mut (*room).freed.example).write(example) };
    1
}

/// Where the packet of `control` stands as seen from `device`.
#[inline(always)]
fn stands(device: Device, meaning: Meaning, control: Option<Control>) -> Stands {
    let Some(control) = control else { return Stands::Unknown };
    let reach = device.reach(meaning);
    let here = reach.covers(control);
    match control.state() {
        State::Group if control.passed() & reach.live_after == 0 && here => Stands::Done,
        State::Group if device.done_after != 0 && here => Stands::Several,
        State::Done if !control.dead() && here => Stands::Done,
        State::Done if !control.dead() => Stands::DoneAway,
        _ if here => Stands::Here,
        _ => Stands::Away,
    }
}

/// A copy of the packet of `control` is gone.
#[inline(always)]
fn copied(control: Control) {
    let Some(counted) = drops::frees() else { return };
    if control.direction() == 0 {
        counted.copies[0] += 1;
    } else {
        counted.copies[1] += 1;
    }
}

/// The packet is gone, unless it turns out that another copy of it goes on. `reach` says which hooks may have seen it last.
#[inline(always)]
fn dropped(
    location: u64,
    reason: u32,
    identity: u64,
    tracked: Tracked,
    reach: Reach,
    word: *mut u64,
) -> Option<What> {
    let control = tracked.control;
    let Some(site) = drops::site(location, reason, 0) else {
        without_site();
        return None;
    };
    let now_ns = now_ns();
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
        Marked::Copy => {
            copied(control);
            return None;
        }
    };
    let (direction, state) = (control.direction(), state as u16);
    Some(What { site: site.index, state, direction, hook: after, now_ns })
}

/// A packet is gone before the path's first hook.
#[inline(always)]
fn early(location: u64, reason: u32, device: Device) -> Option<What> {
    let Some(site) = drops::site(location, reason, device.entry.into()) else {
        without_site();
        return None;
    };
    let (entry, now_ns) = (device.entry.wrapping_sub(1), now_ns());
    site.dropped(device.direction, entry, now_ns);
    let (direction, state) = (device.direction, Example::CERTAIN as u16);
    Some(What { site: site.index, state, direction, hook: entry, now_ns })
}

#[inline(always)]
fn without_site() {
    if let Some(counted) = drops::frees() {
        counted.no_site += 1;
    }
}

/// Keeps the packet with this identity as an example, if its site has none.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn remembered(identity: u64) -> u32 {
    let Some(room) = room::of(Owner::Drops) else { return 0 };
    // SAFETY: a map value of this program and CPU; [`freed_identified`] wrote it.
    let what = unsafe { (&raw const (*room).freed.example).read() };
    if let Some(site) = drops::site_at(what.site) {
        remember(site, what, room, identity);
    }
    0
}

#[inline(always)]
fn remember(site: Site, what: What, room: *mut Room, identity: u64) {
    site.example(what.direction, what.state.into(), |example| {
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
            (*example).time_ns = what.now_ns;
            (*example).key = identity;
            (*example).source = source;
            (*example).destination = destination;
            (*example).source_port = source_port;
            (*example).destination_port = destination_port;
            (*example).ether_type = packet.ether_type;
            (*example).protocol = packet.protocol;
            (*example).after = what.hook;
        }
    });
}
