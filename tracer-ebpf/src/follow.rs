//! A packet at a hook at a tracepoint, whichever that is.
//!
//! Programs there can not go on in those that the TC hooks share, so they know all rules themselves. The kernel receives,
//! queues and sends with bottom halves off, as it runs TC programs: none of these interrupts another one on one CPU, nor do
//! programs at XDP. So these may use the counters and the scratch words of their hooks, and the table's, as TC programs do.
//! Only the packet's head goes to a room of its own (see [`crate::maps::room`]), because others at tracepoints can interrupt.
//!
//! Three global functions, one after the other, which the verifier looks at once each: all frames together may not be more than
//! 512 bytes. What the later ones need to know of the packet waits in the room.

use core::ffi::c_void;

use aya_ebpf::programs::RawTracePointContext;
use aya_log_ebpf::debug;
use hoptrace_common::{
    config::{Control as GateState, HookConfig},
    counters::HookCounters,
    inflight::{Kind, Visit, quickly},
    packet::{ParseError, Reader as _},
};

use crate::{
    address::{
        ADDRESS_CLAIM, ADDRESS_FOLLOWED, ADDRESS_HAS_NO_ROOM, ADDRESS_LEARN, ADDRESS_SIGHTED, hop_address,
    },
    answers,
    claim::{
        CLAIM_GROUP, CLAIM_IF_TRACKED, CLAIM_LEARN, CLAIM_NONE, CLAIM_OWN, CLAIM_SIGHTED, concerns_guest,
    },
    clock::now_ns,
    emit::emit_if_wanted,
    guest::{hop_at_guest, packed},
    kept::Sighted,
    maps::{
        config, control, counters, heads,
        inflight::Inflight,
        rare::{self, Note},
        room::{self, Owner},
    },
    merged,
    neighbour::{self, SIGHT_LAST, SIGHT_OF_NOTHING},
    pieces,
    place::{self, At},
    raw::RawSkb,
    reader::SkbReader as _,
    tally, thorough,
};

/// Other packets may be part of this one.
pub(crate) const PARTS: u32 = 1;
/// Its checksum is to be looked at.
pub(crate) const CHECK: u32 = 2;
/// The switch may answer it, or it is such an answer.
pub(crate) const EXCHANGE: u32 = 3;
const DONE: u32 = 0;
const IDENTIFIED: u32 = 1;

/// Follows the packet `skb` at hook `number`; beside the path that is at `port` ([`neighbours::key_in`](crate::maps::neighbours::key_in)).
/// Gives [`PARTS`] or one of its siblings, for which a note is left, or 0.
#[inline(always)]
pub(crate) fn follow(owner: Owner, skb: *const c_void, port: u64, number: u32) -> u32 {
    let Some(gate) = control::gate() else { return DONE };
    if gate.state() == GateState::CLOSED {
        return DONE;
    }
    // The hook, and the room that the head goes to.
    let at = At::new(number, place::of_room(owner as u32)).0;
    if hop_identify(skb as u64, port, at) != IDENTIFIED {
        return DONE;
    }
    hop_settle(at, hop_decide(at))
}

/// The number of the room that the packet's head is in.
#[inline(always)]
const fn room_of(at: u32) -> u32 {
    place::room_of(At(at).place())
}

/// Identifies the packet `skb`: gives [`IDENTIFIED`] if it is the VM's, wanted, and in the room.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_identify(skb: u64, port: u64, at: u32) -> u32 {
    let number = At(at).number();
    let owner = room_of(at);
    let Some(room) = room::numbered(room_of(at)) else { return DONE };
    let Some(skb) = RawSkb::read(skb as *const c_void, room, owner) else { return DONE };
    let hook = config::hook(number);
    let head = skb.head;
    let Some(frame) = head.frame() else { return DONE };
    let claim = hop_address(at, ADDRESS_CLAIM);
    if claim == CLAIM_NONE {
        return DONE;
    }
    neighbour::learn_in_room(hook, at, port);
    let Some(counted) = counters::of(counters::cpu(), number) else { return DONE };
    let packet = match head.packet(&frame, counted.scratch.as_mut_ptr()) {
        Ok(packet) => packet,
        // Its end was told by the hook before, if that reads more than the linear part.
        Err(ParseError::Truncated) if owner == Owner::Wire as u32 && skb.linear_bytes < skb.len_bytes => {
            return DONE;
        }
        Err(_) => {
            counted.unparsed += u64::from(claim == CLAIM_OWN || claim == CLAIM_LEARN);
            return DONE;
        }
    };
    let claim = head.opaque(claim);
    if claim == CLAIM_GROUP && !concerns_guest(&head, &packet) {
        return DONE;
    }
    if config::is_filtering() && !config::filter().matches(&head, &packet) {
        return DONE;
    }
    if hook.has(HookConfig::GUEST) {
        hop_address(at, if claim == CLAIM_SIGHTED { ADDRESS_SIGHTED } else { ADDRESS_FOLLOWED });
    }
    if claim == CLAIM_SIGHTED {
        return DONE;
    }
    // The hooks behind would not know it.
    let hidden =
        claim != CLAIM_OWN && hook.has_trait(HookConfig::LEARNS) && hop_address(at, ADDRESS_HAS_NO_ROOM) != 0;
    let sight = if hidden { SIGHT_LAST } else { neighbour::sight_in_room(hook, at, port) };
    if sight == SIGHT_OF_NOTHING {
        return DONE;
    }
    // What leaves by a neighbour's port came by the path: a packet unknown there is none of ours.
    let admissible = u32::from(claim != CLAIM_IF_TRACKED && !neighbour::leaves_beside(hook));
    let sighted = Sighted { skb: skb.kept(), packet, port, sight, admissible };
    // SAFETY: a map value of these programs and this CPU.
    unsafe { (&raw mut (*room).sighted).write(sighted) };
    IDENTIFIED
}

/// What the table says of the packet in the room: the number of the outcome's [`Kind`]; [`thorough::outcome`] has the rest.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_decide(at: u32) -> u32 {
    let number = At(at).number();
    let Some(room) = room::numbered(room_of(at)) else { return Kind::Missing as u32 };
    let Some(gate) = control::gate() else { return Kind::Missing as u32 };
    let Some(counted) = counters::of(counters::cpu(), number) else { return Kind::Missing as u32 };
    let hook = config::hook(number);
    // SAFETY: the map value that `hop_identify` wrote.
    let sighted = unsafe { &(*room).sighted };
    let (key, sight) = (sighted.packet.identity, sighted.sight);
    let mut admit = sighted.admissible != 0 && gate.state() == GateState::OPEN;
    if admit && hook.has(HookConfig::ENTRY) && config::budgeted() != 0 {
        admit = gate.take();
    }
    let large = merged::can_be(sighted.packet.protocol) & pieces::is_large(sighted.skb.len_bytes);
    let now_ns = now_ns();
    // For `hop_at_guest`.
    let [.., kept_ns] = &mut counted.scratch;
    *kept_ns = now_ns;
    let this = hook.for_rules(number, neighbour::ends_here(sight));
    let visit = Visit { hook: this, key, now_ns, admit, aside: neighbour::aside(sight), large };
    let outcome = quickly(Inflight(counted.scratch.as_mut_ptr()), &visit);
    if matches!(outcome.kind, Kind::Retry) {
        return thorough::thoroughly(number, key, now_ns, thorough::terms(admit, large, sight));
    }
    thorough::leave(counted, &outcome)
}

/// What is made of the packet in the room, given what [`hop_decide`] gave. Gives [`PARTS`], one of its siblings or [`DONE`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_settle(at: u32, kind: u32) -> u32 {
    let number = At(at).number();
    let Some(room) = room::numbered(room_of(at)) else { return DONE };
    let Some(gate) = control::gate() else { return DONE };
    let cpu = counters::cpu();
    let Some(counted) = counters::of(cpu, number) else { return DONE };
    let hook = config::hook(number);
    // SAFETY: the map value that `hop_identify` wrote.
    let Sighted { skb, packet, port, sight, .. } = unsafe { &(*room).sighted };
    let skb = RawSkb::again(*skb, room, room_of(at));
    let head = skb.head;
    let this = hook.for_rules(number, neighbour::ends_here(*sight));
    if neighbour::is_way_in(*sight) {
        neighbour::count_in_room(hook, at, Kind::Copy, *sight, *port);
        return DONE;
    }
    let outcome = thorough::outcome(kind, counted);
    let followed = matches!(outcome.kind, Kind::New | Kind::Passed);
    if hook.has(HookConfig::GUEST) {
        let followed = head.opaque(u32::from(followed));
        let place = At(at).place();
        let ends = u64::from(packet.l3_end) | u64::from(number | followed << 8 | place << 16) << 32;
        hop_at_guest(head.len(), packed(packet), ends);
    }
    if hook.has_trait(HookConfig::LEARNS) && followed {
        hop_address(at, ADDRESS_LEARN);
    }
    if matches!(outcome.kind, Kind::Missing) {
        return DONE;
    }
    counted.seen += 1;
    neighbour::count_in_room(hook, at, outcome.kind, *sight, *port);
    if heads::are_kept(hook) && followed {
        heads::keep_copy(&skb, packet.identity, number);
    }
    let grown = matches!(outcome.kind, Kind::Passed) && outcome.grown;
    let parts = outcome.kind as u32 | u32::from(grown) << 8;
    match outcome.kind {
        Kind::New => {
            tally::arrived(cpu, counted, &outcome, &this);
            if !this.entry && pieces::is_expected_in(&head, packet, skb.len_bytes, number, false) {
                counted.split += 1;
            }
        }
        Kind::Passed => {
            if outcome.control.large() {
                pieces::is_expected_in(&head, packet, skb.len_bytes, number, true);
            }
            let total_ns = tally::passed(cpu, counted, &outcome, &this, hook);
            if this.terminal {
                let what = (gate, this.direction, total_ns);
                emit_if_wanted(&head, packet, skb.len_bytes, what, &outcome, counted);
            }
        }
        _ => strange(outcome.kind as u32, counted, number, packet.identity),
    }
    let has_parts = merged::may_have_parts(number, packet.protocol, parts)
        && merged::has_parts(number, packet.protocol, room::part_bytes(room_of(at)), parts);
    if has_parts {
        rare::leave(Note::merged(number, 0));
        return PARTS;
    }
    if let Some(note) = answers::note(hook, number, outcome.kind, packet) {
        rare::leave(note);
        return EXCHANGE;
    }
    let checked = hook.has(HookConfig::GUEST) && hook.direction() == 1 && followed;
    if checked && packet.identity < gate.checksum_below() { CHECK } else { DONE }
}

/// What must not be averaged, or not as it came; the rest of the outcome is in the scratch memory.
#[inline(never)]
fn strange(kind: u32, counted: &mut HookCounters, number: u32, identity: u64) {
    let cpu = counters::cpu();
    let outcome = &thorough::outcome(kind, counted);
    let hook = config::hook(number);
    if matches!(outcome.kind, Kind::Overtaken) {
        tally::overtaken(cpu, counted, outcome, &hook.for_rules(number, false), hook);
    } else if matches!(outcome.kind, Kind::Grouped) {
        tally::grouped(cpu, counted, outcome, &hook.for_rules(number, false), hook);
    } else if matches!(outcome.kind, Kind::Aside) {
        tally::aside(cpu, counted, outcome, hook);
    } else {
        tally::strange(counted, outcome);
    }
    // Words need no context.
    let nobody = RawTracePointContext::new(core::ptr::null_mut());
    debug!(&nobody, "hook {}: identity {:x} {}", number, identity, tally::name(outcome.kind));
}
