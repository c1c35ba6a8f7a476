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
    packet::{Packet, Reader as _, Window as _},
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
        several,
    },
    raw::RawSkb,
    reader::{Copied, SkbReader as _},
    several::{NO_PORT, hop_owner, receiver, sender},
};

/// A packet is freed. The tracepoint's arguments are the packet, the place, from kernel 5.17 on the reason, and from 6.11
/// on the socket that was to receive it.
#[inline(always)]
pub(crate) fn freed(context: &RawTracePointContext) {
    if !config::is_of_several() && control::state_of(0) == GateState::CLOSED {
        return;
    }
    let skb: *const c_void = context.arg(0);
    let Some(ifindex) = interface_of(skb) else { return };
    let Some(room) = room::of(Owner::Drops) else { return };
    let Some(raw) = RawSkb::read(skb, room, Owner::Drops as u32) else { return };
    let Some(frame) = raw.head.frame() else { return };
    // SAFETY: a map value of this program and CPU.
    let word = unsafe { &raw mut (*room).word };
    let Ok(packet) = raw.head.packet(&frame, word) else { return };
    let location: u64 = context.arg(1);
    let reason: u32 = if drops::has_reason() == 0 { 0 } else { context.arg(2) };
    let facts = facts(&raw, &packet, free_of(context, location, reason), ifindex);
    // SAFETY: likewise.
    unsafe { (&raw mut (*room).freed).write(facts) };
    let identity = packet.identity;
    if !config::is_of_several() {
        freed_on_path(0, location, reason, identity);
        return;
    }
    // To each of them it is what it is to a trace of that port alone.
    let (owner, sender, receiver) = (hop_owner(ifindex), sender(&frame), receiver(&raw.head, &frame));
    if owner != NO_PORT {
        freed_on_path(owner, location, reason, identity);
    }
    if sender != NO_PORT && sender != owner {
        freed_on_path(sender, location, reason, identity);
    }
    if receiver != NO_PORT && receiver != owner && receiver != sender {
        freed_on_path(receiver, location, reason, identity);
    }
}

/// The index of the interface that `skb` is at; 0: at none. `None`: no packet of a path can be there, or it is beyond the path,
/// behind a veth pair or a tunnel into another network namespace.
#[inline(always)]
fn interface_of(skb: *const c_void) -> Option<u32> {
    let dev = device::of(skb)?;
    if dev.is_null() {
        return if config::is_of_several() || drops::nowhere_after(0) != 0 { Some(0) } else { None };
    }
    let ifindex = device::ifindex(dev);
    let is_near = if config::is_of_several() {
        several::whose(ifindex).is_some()
    } else {
        drops::device(ifindex, 0).is_some()
    };
    if is_near && device::is_here(dev) { Some(ifindex) } else { None }
}

/// What is known of the interface with this index for packets of `port`.
#[inline(always)]
fn device_of(ifindex: u32, port: u32) -> Option<Device> {
    if ifindex != 0 {
        return drops::device(ifindex, port);
    }
    let live_after = drops::nowhere_after(port) as u16;
    if live_after == 0 {
        return None;
    }
    Some(Device { live_after, done_after: 0, flags: Device::NOWHERE, entry: 0, direction: 0 })
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

/// Whether the packet in the room, which no hook has seen, is one of the VM's of `port` that go in `direction`, and wanted: 1 or 0. A global
/// function: the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn freed_is_own(port: u32, direction: u32) -> u32 {
    let Some(room) = room::of(Owner::Drops) else { return 0 };
    // SAFETY: a map value of this program and CPU; [`freed`] wrote the facts.
    let (facts, copy, word): (&Freed, *const u8, *mut u64) =
        unsafe { (&*(&raw const (*room).freed), (&raw const (*room).packet).cast(), &raw mut (*room).word) };
    // SAFETY: such a buffer, and its word.
    let head = unsafe { Copied::of(copy, facts.head_bytes, word) };
    let Some(frame) = head.frame() else { return 0 };
    let packet = facts.packet(0);
    let mac = config::mac(port);
    let own = if direction == 0 {
        frame.source == mac || known_anywhere(frame.source, port).is_sent()
    } else if frame.is_group() {
        frame.source != mac && concerns_guest(&head, &packet, port)
    } else {
        frame.destination == mac || known_anywhere(frame.destination, port).is_own()
    };
    u32::from(own && (!config::is_filtering() || config::filter().matches(&head, &packet)))
}

/// What is known of the packet, for [`freed_on_path`].
#[inline(always)]
const fn facts(raw: &RawSkb, packet: &Packet, free: Free, ifindex: u32) -> Freed {
    Freed {
        len_bytes: raw.len_bytes,
        readable_bytes: raw.linear_bytes,
        head_bytes: raw.head.len(),
        ifindex,
        l3_offset: packet.l3_offset,
        l4_offset: packet.l4_offset,
        ether_type: packet.ether_type,
        protocol: packet.protocol,
        fragment_tail: packet.fragment_tail,
        meaning: free.meaning.0,
        socket: free.socket as u8,
        example: What::NOTHING,
    }
}

/// The packet with this identity is freed, which may be on the path of `port`; the rest is in the program's room. A global function: the verifier
/// looks at it once, not for each shape a packet can have.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn freed_on_path(port: u32, location: u64, reason: u32, identity: u64) -> u32 {
    let state = control::state_of(port);
    let Some(room) = room::of(Owner::Drops) else { return 0 };
    // SAFETY: map values of this program and CPU; [`freed`] wrote the facts.
    let (word, facts): (*mut u64, &Freed) = unsafe { (&raw mut (*room).word, &*(&raw const (*room).freed)) };
    let Some(device) = device_of(facts.ifindex, port) else { return 0 };
    if state == GateState::CLOSED {
        return 0;
    }
    let free = facts.free();
    let early = state == GateState::OPEN
        && device.is_before(free.meaning)
        && freed_is_own(port, device.direction.into()) != 0;
    let key = config::key(identity, port);
    let tracked = inflight::find(Inflight::through(word), key);
    let stands = stands(device, free.meaning, tracked.map(|tracked| tracked.control));
    let example = match (verdict(free, &device, stands), tracked) {
        (Verdict::Drop, Some(tracked)) => {
            dropped(location, reason, key, tracked, device.reach_of(free.meaning), word)
        }
        (Verdict::Copy, Some(tracked)) => {
            copied(tracked.control, port);
            None
        }
        (Verdict::Early, _) if early => self::early(location, reason, device, port),
        _ => None,
    };
    let Some(example) = example else { return 0 };
    // SAFETY: as above.
    unsafe { (&raw mut (*room).freed.example).write(example) };
    remembered(key)
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
fn copied(control: Control, port: u32) {
    let Some(counted) = drops::frees(port) else { return };
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
    let port = config::port_behind(identity);
    let Some(site) = drops::site(location, reason, before(port, 0)) else {
        without_site(port);
        return None;
    };
    let now_ns = now_ns();
    let (state, after) = match inflight::mark(Inflight::through(word), tracked, reach, site.index) {
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
            copied(control, port);
            return None;
        }
    };
    let (direction, state) = (control.direction(), state as u16);
    Some(What { site: site.index, state, direction, hook: after, now_ns })
}

/// A packet is gone before the path's first hook.
#[inline(always)]
fn early(location: u64, reason: u32, device: Device, port: u32) -> Option<What> {
    let Some(site) = drops::site(location, reason, before(port, device.entry)) else {
        without_site(port);
        return None;
    };
    let (entry, now_ns) = (device.entry.wrapping_sub(1), now_ns());
    site.dropped(device.direction, entry, now_ns);
    let (direction, state) = (device.direction, Example::CERTAIN as u16);
    Some(What { site: site.index, state, direction, hook: entry, now_ns })
}

/// [`DropSite::before`](hoptrace_common::drops::DropSite::before) of packets of `port` that die before hook `entry` less one; 0: behind one.
#[inline(always)]
const fn before(port: u32, entry: u8) -> u32 {
    entry as u32 | port << 8
}

#[inline(always)]
fn without_site(port: u32) {
    if let Some(counted) = drops::frees(port) {
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
        let packet = freed.packet(identity);
        let (source, destination) = addresses(&head, &packet).unwrap_or(([0; 2], [0; 2]));
        let has_ports = packet.has_transport();
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
