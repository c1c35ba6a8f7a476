//! Whether a packet belongs to the traced VM.

use hoptrace_common::{
    address::{Known, is_group},
    config::HookConfig,
    filter::addresses,
    packet::{ETHERTYPE_ARP, Frame, Packet, Reader},
};

use crate::{
    clock::now_ns,
    maps::{
        addresses::{self, Passage},
        config,
        control::{self, Gate},
        hooks::HookFacts,
        several,
    },
};

/// How a frame belongs to the traced VM, as far as its MAC addresses tell: not at all.
pub(crate) const CLAIM_NONE: u32 = 0;
/// It does.
pub(crate) const CLAIM_OWN: u32 = 1;
/// It goes to a group the VM may be in: followed where it concerns the VM ([`concerns_guest`]), otherwise counted at the tap.
pub(crate) const CLAIM_GROUP: u32 = 2;
/// It does if it is in the table already.
pub(crate) const CLAIM_IF_TRACKED: u32 = 3;

/// It passes the VM's tap, for an address that is not known as the VM's: counted, not followed.
pub(crate) const CLAIM_SIGHTED: u32 = 4;
/// It comes from the VM under an address that is to be learned here.
pub(crate) const CLAIM_LEARN: u32 = 5;

/// Whether the frame goes to the VM's own address, or comes from there: almost all that belong to it do.
#[inline(always)]
pub(crate) fn is_to_or_from_vm(hook: HookFacts, frame: &Frame) -> bool {
    hook.mac() == if hook.direction() == 1 { frame.destination } else { frame.source }
}

#[inline(always)]
pub(crate) fn claim(hook: HookFacts, frame: &Frame, gate: Gate) -> u32 {
    let mac = hook.mac();
    if hook.direction() == 1 {
        return if frame.destination == mac {
            CLAIM_OWN
        } else if frame.is_group() {
            if frame.source == mac {
                CLAIM_NONE
            } else {
                if hook.has(HookConfig::SHARED) {
                    sends_elsewhere(frame.source, gate, hook.port());
                }
                CLAIM_GROUP
            }
        } else if known(frame.destination, gate, hook.port()).is_own() {
            CLAIM_OWN
        } else if hook.has(HookConfig::GUEST) {
            CLAIM_SIGHTED
        } else {
            CLAIM_NONE
        };
    }
    if frame.source == mac {
        return CLAIM_OWN;
    }
    // Whatever comes in at the tap comes from the VM, under whatever name.
    if hook.has(HookConfig::GUEST) {
        return if hook.has_trait(HookConfig::LEARNS) { CLAIM_LEARN } else { CLAIM_OWN };
    }
    // So does what came on from there. Only on interfaces that others share an address must be known first. What is for the VM and is sent
    // to another port is its packet, too.
    let beside = hook.has(HookConfig::NEIGHBOUR);
    let shared = hook.has(HookConfig::SHARED) || beside;
    let for_vm = beside & (frame.destination == mac);
    if !shared | for_vm || known(frame.source, gate, hook.port()).is_sent() {
        CLAIM_IF_TRACKED
    } else {
        CLAIM_NONE
    }
}

/// What is known about `mac` as one of the addresses of `port`, whose gate is `gate`.
#[inline(always)]
pub(crate) fn known(mac: u64, gate: Gate, port: u32) -> Known {
    if gate.knows(mac) { known_anywhere(mac, port) } else { Known(0) }
}

/// The same, for who has nothing at hand.
#[inline(always)]
pub(crate) fn known_anywhere(mac: u64, port: u32) -> Known {
    Known(hop_known(mac, port))
}

/// Global functions: the verifier looks at each once, and what comes of it is one number to their callers.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_known(mac: u64, port: u32) -> u64 {
    control::gate(port).map_or(0, |gate| gate.known(mac).0)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_room(mac: u64, port: u32) -> u32 {
    control::gate(port).map_or(0, |gate| u32::from(gate.has_room(mac)))
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_learn(mac: u64, port: u32, now_ns: u64) -> u32 {
    if let Some(gate) = control::gate(port) {
        gate.learn(mac, !addresses::is_strange(mac), now_ns);
    }
    // Only what there was room for: who invents addresses must not drive out others'.
    if config::is_of_several() && hop_known(mac, port) != 0 {
        several::learn(mac, port);
    }
    0
}

/// Another host sends from `mac`: to all, as who takes over a virtual router's address does, or from another port.
#[inline(always)]
pub(crate) fn sends_elsewhere(mac: u64, gate: Gate, port: u32) {
    if known(mac, gate, port).is_own() {
        hop_sends_elsewhere(mac, port, now_ns());
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_sends_elsewhere(mac: u64, port: u32, now_ns: u64) -> u32 {
    if let Some(gate) = control::gate(port) {
        gate.forget(mac, now_ns);
    }
    0
}

/// The address of a frame that is not the VM's own, on its side of the path; 0: it is, or it is a group's.
#[inline(always)]
fn other_address(hook: HookFacts, frame: &Frame) -> u64 {
    let address = if hook.direction() == 0 { frame.source } else { frame.destination };
    if address == hook.mac() || is_group(address) { 0 } else { address }
}

/// Counts a frame at the VM's tap if it is for or from another address, or for a group and not followed.
#[inline(always)]
pub(crate) fn count(hook: HookFacts, frame: &Frame, claim: u32) {
    if claim == CLAIM_GROUP {
        hop_sighted(frame.destination, Passage::ForGroup as u32, hook.port());
        return;
    }
    let address = other_address(hook, frame);
    if address != 0 {
        let passage = if hook.direction() == 0 {
            Passage::Sent
        } else if claim == CLAIM_SIGHTED {
            Passage::Passed
        } else {
            Passage::Followed
        };
        hop_sighted(address, passage as u32, hook.port());
    }
}

/// A global function: the verifier looks at it once, and what it needs is not on the stack of its callers.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_sighted(address: u64, passage: u32, port: u32) -> u32 {
    addresses::count(address, Passage::from_number(passage), port);
    0
}

/// Whether the packet's way ends here, because its address can not be learned: the hooks behind would not know it.
#[inline(always)]
pub(crate) fn ends_unlearned(hook: HookFacts, frame: &Frame) -> bool {
    if !hook.has_trait(HookConfig::LEARNS) || hook.direction() != 0 {
        return false;
    }
    let address = other_address(hook, frame);
    if address == 0 || hop_room(address, hook.port()) != 0 {
        return false;
    }
    hop_sighted(address, Passage::Unlearned as u32, hook.port());
    true
}

/// Learns the address of a packet of the VM that came as far as this hook.
#[inline(always)]
pub(crate) fn learn(hook: HookFacts, frame: &Frame) {
    if hook.has_trait(HookConfig::LEARNS) && hook.direction() == 0 {
        let address = other_address(hook, frame);
        if address != 0 {
            hop_learn(address, hook.port(), now_ns());
        }
    }
}

/// Of the frames for all, only ARP about the VM's own addresses is followed: most others end at their first
/// switch for good reasons, and would look lost.
#[inline(always)]
pub(crate) fn concerns_guest<R: Reader>(reader: &R, packet: &Packet, port: u32) -> bool {
    if packet.ether_type != ETHERTYPE_ARP {
        return false;
    }
    let Some((_, target)) = addresses(reader, packet) else { return false };
    let [a, b, c, d] = config::ipv4(port);
    let target = target[0] as u32;
    target != 0 && (target == a || target == b || target == c || target == d)
}
