//! Whether a packet belongs to the traced VM.

use hoptrace_common::{
    config::HookConfig,
    filter::addresses,
    packet::{ETHERTYPE_ARP, Frame, Packet, Reader},
};

use crate::maps::{
    config::{self, HookFacts},
    control::Gate,
};

/// How a frame belongs to the traced VM, as far as its MAC addresses tell: not at all.
pub(crate) const CLAIM_NONE: u32 = 0;
/// It does.
pub(crate) const CLAIM_OWN: u32 = 1;
/// It goes to a group the VM may be in.
pub(crate) const CLAIM_GROUP: u32 = 2;
/// It does if it is in the table already.
pub(crate) const CLAIM_IF_TRACKED: u32 = 3;

#[inline(always)]
pub(crate) fn claim(hook: HookFacts, frame: &Frame, gate: Gate) -> u32 {
    let mac = config::mac();
    if hook.direction() == 1 {
        return if frame.destination == mac {
            CLAIM_OWN
        } else if frame.is_group() && frame.source != mac {
            CLAIM_GROUP
        } else {
            CLAIM_NONE
        };
    }
    if frame.source == mac {
        return CLAIM_OWN;
    }
    // Whatever comes in at the tap comes from the VM, under whatever name.
    if hook.has(HookConfig::GUEST) {
        gate.set_foreign_source();
        return CLAIM_OWN;
    }
    if gate.foreign_source() { CLAIM_IF_TRACKED } else { CLAIM_NONE }
}

/// Of the frames for everybody, only ARP about the VM's own addresses is followed: most others end at their first
/// switch for good reasons, and would look lost.
#[inline(always)]
pub(crate) fn concerns_guest<R: Reader>(reader: &R, packet: &Packet) -> bool {
    if packet.ether_type != ETHERTYPE_ARP {
        return false;
    }
    let Some((_, target)) = addresses(reader, packet) else { return false };
    let [a, b, c, d] = config::ipv4();
    let target = target[0] as u32;
    target != 0 && (target == a || target == b || target == c || target == d)
}
