//! A packet at a hook at a tracepoint, whichever that is.
//!
//! Programs there can not go on in those that the TC hooks share, so they know all rules themselves. The kernel receives,
//! queues and sends with bottom halves off, as it runs TC programs: none of these interrupts another one on one CPU, nor do
//! programs at XDP. So these may use the counters and the scratch words of their hooks, and the table's, as TC programs do.
//! Only the packet's head goes to a room of its own (see [`crate::maps::room`]), because others at tracepoints can interrupt.
//!
//! Global functions, one after the other, which the verifier looks at once each: all frames together may not be more than 512 bytes. What the later ones need to know of the packet waits in the room.

use core::ffi::c_void;

use hoptrace_common::{
    config::{Control as GateState, HookConfig},
    inflight::Kind,
    packet::{Packet, ParseError},
};

use crate::{
    admit, clock, guest,
    kept::Sighted,
    left::{CHECK, DONE},
    maps::{
        config,
        control::{self, Gate},
        counters, heads,
        hooks::{self, HookFacts},
        rare::{self, Note},
        room::{self, Owner},
    },
    merged, pieces,
    place::{self, At},
    raw::RawSkb,
    reader::Copied,
    rules::{self, Identified, Seen},
    thorough,
};

const IDENTIFIED: u32 = 1;

/// Follows the packet `skb` at hook `number`; beside the path that is at `port` ([`neighbours::key_in`](crate::maps::neighbours::key_in)).
/// Gives [`PARTS`] or one of its siblings, for which a note is left, or 0.
#[inline(always)]
pub(crate) fn follow(owner: Owner, skb: *const c_void, port: u64, number: u32) -> u32 {
    let Some(gate) = control::gate(config::port(number)) else { return DONE };
    if gate.state() == GateState::CLOSED {
        return DONE;
    }
    // The hook, and the room that the head goes to.
    let at = At::new(number, place::of_room(owner as u32)).0;
    if hop_identify(skb as u64, port, at) != IDENTIFIED {
        return DONE;
    }
    hop_settle(at, decide(at, gate))
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
    let owner = room_of(at);
    let Some(room) = room::numbered(owner) else { return DONE };
    let Some(skb) = RawSkb::read(skb as *const c_void, room, owner) else { return DONE };
    let seen = Raw { skb, owner, port };
    let Some(Identified { packet, sight, is_admissible }) = rules::identify(&seen, At(at)) else {
        return DONE;
    };
    let sighted = Sighted { skb: skb.kept(), packet, port, sight, admissible: u32::from(is_admissible) };
    // SAFETY: a map value of these programs and this CPU.
    unsafe { (&raw mut (*room).sighted).write(sighted) };
    IDENTIFIED
}

/// What the table says of the packet in the room: the number of the outcome's [`Kind`]; [`thorough::outcome`] has the rest.
#[inline(always)]
fn decide(at: u32, gate: Gate) -> u32 {
    let number = At(at).number();
    let Some(room) = room::numbered(room_of(at)) else { return Kind::Missing as u32 };
    let Some(counted) = counters::of(counters::cpu(), number) else { return Kind::Missing as u32 };
    // SAFETY: the map value that `hop_identify` wrote.
    let Sighted { skb, packet, sight, admissible, .. } = unsafe { &(*room).sighted };
    let admit = admit::admits(gate, gate.state(), hooks::hook(number), *admissible != 0);
    let large = merged::is_large(packet.protocol, skb.len_bytes);
    let moment = clock::moment_at_tracepoint(gate, packet.identity);
    guest::leave_time(counted, moment);
    let terms = thorough::terms(admit, large, moment.clock, *sight);
    thorough::hop_decide(number, packet.identity, moment.ns, terms)
}

/// What is made of the packet in the room, given what [`decide`] gave: what [`rules::settle`] gives, or [`CHECK`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_settle(at: u32, kind: u32) -> u32 {
    let owner = room_of(at);
    let Some(room) = room::numbered(owner) else { return DONE };
    // SAFETY: the map value that `hop_identify` wrote.
    let Sighted { skb, packet, port, sight, .. } = unsafe { &(*room).sighted };
    let seen = Raw { skb: RawSkb::again(*skb, room, owner), owner, port: *port };
    let left = rules::settle(&seen, At(at), packet, *sight, kind);
    if left != DONE {
        return left;
    }
    let hook = hooks::hook(At(at).number());
    let is_followed = matches!(Kind::from_number(kind), Kind::New | Kind::Passed);
    let is_checked = hook.has(HookConfig::GUEST) && hook.direction() == 1 && is_followed;
    let Some(gate) = control::gate(hook.port()) else { return DONE };
    if is_checked && packet.identity < gate.checksum_below() {
        rare::leave(Note::undecided(At(at).number()));
        return CHECK;
    }
    DONE
}

/// A packet that a program at a tracepoint sees.
struct Raw {
    skb: RawSkb,
    /// The number of the room that its head is in.
    owner: u32,
    port: u64,
}

impl Seen for Raw {
    #[inline(always)]
    fn head(&self) -> Copied {
        self.skb.head
    }

    #[inline(always)]
    fn len_bytes(&self) -> u32 {
        self.skb.len_bytes
    }

    #[inline(always)]
    fn port(&self) -> u64 {
        self.port
    }

    /// The hook before the driver reads more than the linear part.
    #[inline(always)]
    fn is_told(&self, error: ParseError) -> bool {
        matches!(error, ParseError::Truncated)
            && self.owner == Owner::Wire as u32
            && self.skb.linear_bytes < self.skb.len_bytes
    }

    #[inline(always)]
    fn is_decided(&self) -> bool {
        false
    }

    #[inline(always)]
    fn is_hidden(&self, _: HookFacts, _: &Packet) -> bool {
        false
    }

    #[inline(always)]
    fn has_parts(&self, number: u32, protocol: u8, outcome: u32) -> bool {
        merged::may_have_parts(number, protocol, outcome)
            && merged::has_parts(number, protocol, room::part_bytes(self.owner), outcome)
    }

    #[inline(always)]
    fn is_piece(&self, packet: &Packet, number: u32) -> bool {
        pieces::is_expected_in(&self.skb.head, packet, self.skb.len_bytes, number, false)
    }

    #[inline(always)]
    fn expect_pieces(&self, packet: &Packet, number: u32) {
        pieces::is_expected_in(&self.skb.head, packet, self.skb.len_bytes, number, true);
    }

    #[inline(always)]
    fn keep_head(&self, key: u64, number: u32) {
        heads::keep_copy(&self.skb, key, number);
    }
}
