//! What a sight means: on the path, or at another VM's port.

use aya_ebpf::bindings::__sk_buff;
use hoptrace_common::{
    config::HookConfig,
    inflight::{Aside, Kind},
    packet::Frame,
};

use crate::maps::{config::HookFacts, neighbours};

const BROADCAST: u64 = 0xffff_ffff_ffff;

/// A sight at a hook on the path.
pub(crate) const SIGHT_ON_PATH: u32 = 0;
/// The packet is for the VM behind this port: its way ends here.
const SIGHT_RECEIVED: u32 = 1;
/// The packet is for somebody else.
const SIGHT_COPY: u32 = 2;
/// The packet is for everybody.
const SIGHT_BROADCAST: u32 = 3;
/// On the path, but the hook behind can not read the packet: its way ends here.
pub(crate) const SIGHT_LAST: u32 = 4;

/// What the sight of `frame` at `hook` means, as a number: one of this module's constants.
#[inline(always)]
pub(crate) fn sight(hook: HookFacts, frame: &Frame, skb: *mut __sk_buff) -> u32 {
    if !leaves_beside(hook) {
        SIGHT_ON_PATH
    } else if frame.destination == BROADCAST {
        SIGHT_BROADCAST
    } else if frame.destination == neighbours::mac(ifindex(skb)) {
        SIGHT_RECEIVED
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

/// What the rules of the table make of `sight`.
#[inline(always)]
pub(crate) const fn aside(sight: u32) -> Aside {
    match sight {
        SIGHT_COPY => Aside::Copy,
        SIGHT_BROADCAST => Aside::Broadcast,
        _ => Aside::No,
    }
}

/// Counts a sight at a neighbour's port for that neighbour.
#[inline(always)]
pub(crate) fn count(hook: HookFacts, kind: Kind, sight: u32, skb: *mut __sk_buff) {
    if !hook.has(HookConfig::NEIGHBOUR) {
        return;
    }
    if hook.direction() == 1 {
        if matches!(kind, Kind::New | Kind::Passed | Kind::Grouped) {
            neighbours::sent(ifindex(skb));
        }
    } else if matches!(kind, Kind::Passed | Kind::Grouped) && ends_here(sight) {
        neighbours::received(ifindex(skb));
    } else {
        neighbours::copied(ifindex(skb));
    }
}

/// The interface the program runs at.
#[inline(always)]
fn ifindex(skb: *mut __sk_buff) -> u32 {
    // SAFETY: the context of the running program.
    unsafe { (*skb).ifindex }
}
