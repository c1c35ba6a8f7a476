//! What a sight means: on the path, or at a port beside it.

use aya_ebpf::bindings::__sk_buff;
use hoptrace_common::{
    config::HookConfig,
    inflight::{Aside, Kind},
    neighbour::Neighbour,
    packet::Frame,
};

use crate::{
    claim,
    maps::{
        config, control,
        hooks::{self, HookFacts},
        neighbours,
    },
    place::At,
};

/// A sight at a hook on the path.
pub(crate) const SIGHT_ON_PATH: u32 = 0;
/// The packet is for who is behind this port: its way ends here.
const SIGHT_RECEIVED: u32 = 1;
/// The packet is for another port.
const SIGHT_COPY: u32 = 2;
/// The packet is for a group, or was copied here on purpose.
const SIGHT_BROADCAST: u32 = 3;
/// On the path, but the hook behind can not read the packet: its way ends here.
pub(crate) const SIGHT_LAST: u32 = 4;
/// The packet is for one address, and that is not behind this port.
const SIGHT_ASTRAY: u32 = 5;
/// The same, and the switch floods it.
const SIGHT_FLOODED: u32 = 7;
/// Says nothing about the packet, and is not counted.
pub(crate) const SIGHT_OF_NOTHING: u32 = 6;
/// A bit of its own, so that the verifier needs one look: the packet is for the VM, and came to another port.
const SIGHT_WAY_IN: u32 = 8;
/// It has gone astray there.
const SIGHT_ASTRAY_IN: u32 = SIGHT_WAY_IN | SIGHT_ASTRAY;
/// The switch floods it.
const SIGHT_FLOODED_IN: u32 = SIGHT_WAY_IN | SIGHT_FLOODED;

/// What the sight of `frame` at `hook` means, as a number: one of this module's constants.
#[inline(always)]
pub(crate) fn sight(hook: HookFacts, frame: &Frame, skb: *mut __sk_buff) -> u32 {
    if leaves_beside(hook) { beside(hook, frame, neighbours::key(skb), false) } else { SIGHT_ON_PATH }
}

/// `counts`: a packet that has gone astray is one more; it is asked twice about some. Of several ports that is not counted, because it would
/// not be known whose packets these were.
#[inline(always)]
fn beside(hook: HookFacts, frame: &Frame, port: u64, counts: bool) -> u32 {
    // It has moved to another network namespace since.
    let Some(port) = neighbours::of(port) else { return SIGHT_BROADCAST };
    // SAFETY: a map value of this CPU; only its counters are written, in this program.
    let port = unsafe { &*port };
    let destination = frame.destination;
    if port.flags & Neighbour::MIRROR != 0 {
        return SIGHT_BROADCAST;
    }
    if destination == hook.mac() {
        // The user of that address behind this port is not the VM.
        return if port.flags & Neighbour::BRIDGE != 0 {
            SIGHT_OF_NOTHING
        } else if port.flags & (Neighbour::LOCAL | Neighbour::EXCLUSIVE) == Neighbour::EXCLUSIVE {
            SIGHT_ASTRAY_IN
        } else {
            SIGHT_FLOODED_IN
        };
    }
    if destination == port.mac {
        return SIGHT_RECEIVED;
    }
    if port.flags & Neighbour::BRIDGE != 0 {
        return SIGHT_OF_NOTHING;
    }
    if frame.is_group() {
        // Who listens to a group is not known here.
        return SIGHT_BROADCAST;
    }
    const ASTRAY: u32 = Neighbour::EXCLUSIVE | Neighbour::LOCAL;
    let is_astray = port.flags & ASTRAY == Neighbour::EXCLUSIVE;
    if neighbours::has_behind(port, destination, counts && is_astray && !config::is_of_several()) {
        SIGHT_RECEIVED
    } else if port.flags & Neighbour::LOCAL != 0 {
        SIGHT_FLOODED
    } else if port.flags & Neighbour::EXCLUSIVE != 0 {
        SIGHT_ASTRAY
    } else {
        SIGHT_COPY
    }
}

/// Whether packets of the traced VM leave the path by `hook`.
#[inline(always)]
pub(crate) fn leaves_beside(hook: HookFacts) -> bool {
    hook.has(HookConfig::NEIGHBOUR) && hook.direction() == 0
}

/// Whether the packet's way ends with `sight`.
#[inline(always)]
pub(crate) const fn ends_here(sight: u32) -> bool {
    sight == SIGHT_RECEIVED || sight == SIGHT_LAST
}

/// Whether the packet is for the VM. Then the port counts it, and the hook, which is of the way out, does not.
#[inline(always)]
pub(crate) const fn is_way_in(sight: u32) -> bool {
    sight & SIGHT_WAY_IN != 0
}

/// What the rules of the table make of `sight`.
#[inline(always)]
pub(crate) const fn aside(sight: u32) -> Aside {
    match sight {
        SIGHT_COPY => Aside::Copy,
        SIGHT_BROADCAST => Aside::Broadcast,
        SIGHT_ASTRAY | SIGHT_ASTRAY_IN => Aside::Astray,
        SIGHT_FLOODED | SIGHT_FLOODED_IN => Aside::Flooded,
        _ => Aside::No,
    }
}

/// Remembers who sends from the port that `hook` is at.
#[inline(always)]
pub(crate) fn learn(hook: HookFacts, frame: &Frame, skb: *mut __sk_buff) {
    if comes_beside(hook) {
        learn_at(hook, frame, neighbours::key(skb));
    }
}

/// Whether packets for the traced VM come to the path by `hook`.
#[inline(always)]
fn comes_beside(hook: HookFacts) -> bool {
    hook.has(HookConfig::NEIGHBOUR) && hook.direction() == 1
}

#[inline(always)]
fn learn_at(hook: HookFacts, frame: &Frame, port: u64) {
    if let Some(gate) = control::gate(hook.port()) {
        claim::sends_elsewhere(frame.source, gate, hook.port());
    }
    if let Some(port) = neighbours::of(port) {
        // SAFETY: a map value of this CPU; only its counters are written, in this program.
        neighbours::learn(unsafe { &*port }, frame.source);
    }
}

/// Counts a sight at a port for that port.
#[inline(always)]
pub(crate) fn count(hook: HookFacts, kind: Kind, sight: u32, skb: *mut __sk_buff) {
    if hook.has(HookConfig::NEIGHBOUR) {
        count_at(hook, kind as u32, sight, neighbours::key(skb));
    }
}

#[inline(always)]
fn count_at(hook: HookFacts, kind: u32, sight: u32, port: u64) {
    const NEW: u32 = Kind::New as u32;
    const PASSED: u32 = Kind::Passed as u32;
    const GROUPED: u32 = Kind::Grouped as u32;
    // The switch has the frame before traffic control sees it, where it takes it by a socket.
    const OVERTAKEN: u32 = Kind::Overtaken as u32;
    const UNTRACKED: u32 = Kind::Untracked as u32;
    let Some(port) = neighbours::of(port) else { return };
    // SAFETY: a map value of this CPU.
    let port = unsafe { &mut *port };
    if hook.direction() == 1 {
        if matches!(kind, NEW | PASSED | GROUPED | OVERTAKEN | UNTRACKED) {
            port.sent += 1;
        }
    } else if is_way_in(sight) {
        port.strays_in += 1;
    } else if ends_here(sight) {
        // Also where another copy was faster to the wire, while the switch floods.
        port.received += 1;
    } else {
        port.copies += 1;
        if sight == SIGHT_ASTRAY {
            port.strays += 1;
        }
    }
}

/// [`sight`] of the frame at `at` whose head was copied last, which counts. `port` is asked for where it is needed.
#[inline(always)]
pub(crate) fn sight_copied(hook: HookFacts, at: At, port: impl FnOnce() -> u64) -> u32 {
    if leaves_beside(hook) { hop_at_port(at.0, port(), PORT_SIGHT) } else { SIGHT_ON_PATH }
}

/// [`learn`] of the same.
#[inline(always)]
pub(crate) fn learn_copied(hook: HookFacts, at: At, port: impl FnOnce() -> u64) {
    if comes_beside(hook) {
        hop_at_port(at.0, port(), PORT_LEARN);
    }
}

/// [`count`] of the same.
#[inline(always)]
pub(crate) fn count_copied(hook: HookFacts, at: At, kind: Kind, sight: u32, port: impl FnOnce() -> u64) {
    if hook.has(HookConfig::NEIGHBOUR) {
        hop_at_port(at.0, port(), PORT_COUNT | (kind as u32) << 8 | sight << 16);
    }
}

/// What [`hop_at_port`] is to do; the kind and the sight to be counted are in the next bytes.
const PORT_SIGHT: u32 = 0;
const PORT_LEARN: u32 = 1;
const PORT_COUNT: u32 = 2;

/// Whether traffic control at the port behind `key` is the other way round: its interface is the host's own, so that the kernel receives
/// what leaves the switch. `None`: there is no such port.
#[inline(always)]
pub(crate) fn is_inward(key: u64) -> Option<bool> {
    // SAFETY: a map value of this CPU.
    neighbours::of(key).map(|port| unsafe { (*port).flags & Neighbour::HOST != 0 })
}

/// What is done at `port` with the frame whose head was copied last, at the hook and the place of the [`At`] that `at` is. A global function: the
/// verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_at_port(at: u32, port: u64, what: u32) -> u32 {
    let Some(frame) = At(at).frame() else { return SIGHT_COPY };
    let hook = hooks::hook(At(at).number());
    match what & 0xff {
        PORT_SIGHT => return beside(hook, &frame, port, true),
        PORT_LEARN => learn_at(hook, &frame, port),
        _ => count_at(hook, what >> 8 & 0xff, what >> 16, port),
    }
    SIGHT_ON_PATH
}
