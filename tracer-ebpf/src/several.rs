//! Whose packet it is, in a trace of several ports: at a port's own interface the interface tells, at others the packet's addresses.

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_skb_load_bytes, bpf_xdp_load_bytes},
};
use hoptrace_common::{
    address::is_group,
    packet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame, Reader as _, Window as _},
    ports::{PortConfig, Whose, number_of},
};

use crate::{
    maps::{
        config, neighbours,
        room::{self, Owner},
        several,
    },
    neighbour::is_inward,
    raw::RawSkb,
    reader::{Copied, Direct, SkbReader as _},
};

/// Where the target's address stands in an ARP packet, behind its Ethernet header.
pub(crate) const ARP_TARGET: u32 = 24;
/// Length of a VLAN tag in a frame.
const TAG_LEN: u32 = 4;
const ETHERNET_LEN: u32 = 14;

/// The addresses of a frame.
struct Macs {
    destination: u64,
    source: u64,
}

/// The port whose packet it is that goes in `direction`, 0 out, 1 in; `target` is asked for the address that an ARP packet is about, 0: none.
#[inline(always)]
fn port_of(macs: &Macs, direction: usize, target: impl FnOnce() -> u32) -> Option<u32> {
    if direction == 0 {
        return several::port_with_mac(macs.source);
    }
    if !is_group(macs.destination) {
        return several::port_with_mac(macs.destination);
    }
    // Who sends to all from an address that a port has learned has taken it over: that is for this port, if it is about no other one.
    match target() {
        0 => None,
        target => several::port_with_ipv4(target),
    }
    .or_else(|| several::port_with_mac(macs.source))
}

#[inline(always)]
fn number(port: u32, place: u8) -> Option<u32> {
    if place == PortConfig::NO_HOOK { None } else { Some(number_of(port, u32::from(place))) }
}

/// The number of the hook that is on `side` of the interface that is `whose`, for a packet that [`port_of`] tells the port of.
#[inline(always)]
fn number_at(whose: Whose, side: usize, port: impl FnOnce(usize) -> Option<u32>) -> Option<u32> {
    if whose.port != Whose::SHARED {
        let [ingress, egress, xdp, wire] = whose.sides;
        let place = match side {
            Whose::INGRESS => ingress,
            Whose::EGRESS => egress,
            Whose::XDP => xdp,
            _ => wire,
        };
        return number(whose.port, place);
    }
    if whose.shared() == PortConfig::NO_HOOK {
        return None;
    }
    let receives = side == Whose::INGRESS || side == Whose::XDP;
    let port = port(usize::from(receives != whose.receives_egress()))?;
    number(port, several::place_at(port, whose.shared(), side))
}

/// The bytes of a frame, from the context of the running program.
trait Bytes: Copy {
    /// Those that can be read where they are.
    fn in_place(self) -> Direct;

    /// Copies `len` bytes at `offset` to `target`; `false`: they are not there.
    ///
    /// # Safety
    /// `target` has room for them.
    unsafe fn load(self, offset: u32, target: *mut c_void, len: u32) -> bool;
}

impl Bytes for *mut __sk_buff {
    #[inline(always)]
    fn in_place(self) -> Direct {
        // SAFETY: the context of the running program; nothing that needs a scratch word is asked of it.
        unsafe { Direct::new(self, ptr::null_mut()) }
    }

    #[inline(always)]
    unsafe fn load(self, offset: u32, target: *mut c_void, len: u32) -> bool {
        // SAFETY: the context of the running program; the caller's.
        unsafe { bpf_skb_load_bytes(self.cast(), offset, target, len) == 0 }
    }
}

impl Bytes for *mut xdp_md {
    #[inline(always)]
    fn in_place(self) -> Direct {
        // SAFETY: as above.
        unsafe { Direct::at_xdp(self, ptr::null_mut()) }
    }

    #[inline(always)]
    unsafe fn load(self, offset: u32, target: *mut c_void, len: u32) -> bool {
        // SAFETY: the context of the running program; the caller's.
        unsafe { bpf_xdp_load_bytes(self, offset, target, len) == 0 }
    }
}

/// Whether the frame is certainly no traced port's, as far as one glance tells: most that come by an interface which many share are not.
#[inline(always)]
fn is_foreign<B: Bytes>(bytes: B) -> bool {
    let Some(frame) = bytes.in_place().frame() else { return false };
    // In a tag, too, which is not looked behind here.
    if is_group(frame.destination)
        && !matches!(frame.ether_type, ETHERTYPE_IPV4 | ETHERTYPE_IPV6 | ETHERTYPE_ARP)
    {
        return false;
    }
    // What asks all hosts for a port's address is for that.
    let is_asked = is_group(frame.destination) && frame.ether_type == ETHERTYPE_ARP;
    let is_about_one = is_asked && {
        let target = bytes.in_place().window(frame.l3_offset + ARP_TARGET, 4);
        target.is_none_or(|target| several::may_be_target(target.u32(0)))
    };
    !is_about_one && !several::may_be_known(frame.destination) && !several::may_be_known(frame.source)
}

/// The number of the hook on the path at `side` of interface `ifindex`, which the running program is at.
#[inline(always)]
fn own_number_in<B: Bytes>(bytes: B, ifindex: u32, side: usize) -> Option<u32> {
    // What comes by a port's own interface is its, whatever address it is from.
    if !several::may_be_own(ifindex) && is_foreign(bytes) {
        return None;
    }
    let whose = several::whose(ifindex)?;
    number_at(whose, side, |direction| port_of(&macs(bytes)?, direction, || arp_target(bytes)))
}

/// That of a TC program.
#[inline(always)]
pub(crate) fn own_number(skb: *mut __sk_buff, side: usize) -> Option<u32> {
    // SAFETY: the context of the running program.
    own_number_in(skb, unsafe { (*skb).ifindex }, side)
}

/// That of an XDP program.
#[inline(always)]
pub(crate) fn own_number_at_xdp(ctx: *mut xdp_md, ifindex: u32) -> Option<u32> {
    own_number_in(ctx, ifindex, Whose::XDP)
}

/// The number of the hook beside the path at `side` of the neighbour's port that a TC program runs at. `None`: it is no traced port's packet,
/// or the port is its own.
#[inline(always)]
pub(crate) fn number_beside(skb: *mut __sk_buff, side: usize) -> Option<u32> {
    if is_foreign(skb) {
        return None;
    }
    let port = port_beside(&macs(skb)?, side, || arp_target(skb))?;
    // SAFETY: the context of the running program.
    let is_own = neighbours::is_here(skb) && is_own(unsafe { (*skb).ifindex }, port);
    if is_own { None } else { beside(port, side) }
}

/// Whether the interface with this index has hooks of the path of `port`: there it is not beside that.
#[inline(always)]
fn is_own(ifindex: u32, port: u32) -> bool {
    let Some(whose) = several::whose(ifindex) else { return false };
    if whose.port != Whose::SHARED {
        return whose.port == port && whose.sides.into_iter().any(is_hook);
    }
    // At a NIC of its path, too; another port's path may end before it.
    whose.shared() != PortConfig::NO_HOOK
        && [Whose::INGRESS, Whose::EGRESS, Whose::XDP, Whose::WIRE]
            .into_iter()
            .any(|side| is_hook(several::place_at(port, whose.shared(), side)))
}

#[inline(always)]
fn is_hook(place: u8) -> bool {
    place != PortConfig::NO_HOOK
}

#[inline(always)]
fn beside(port: u32, side: usize) -> Option<u32> {
    let [ingress, egress] = config::beside(port);
    number(port, if side == Whose::INGRESS { ingress } else { egress })
}

/// What leaves the switch there is from the port, or else it was to come to it; what comes in is for it.
#[inline(always)]
fn port_beside(macs: &Macs, side: usize, target: impl FnOnce() -> u32) -> Option<u32> {
    if side == Whose::INGRESS {
        return port_of(macs, 1, target);
    }
    several::port_with_mac(macs.source).or_else(|| several::port_with_mac(macs.destination))
}

#[inline(always)]
fn macs<B: Bytes>(bytes: B) -> Option<Macs> {
    if let Some(frame) = bytes.in_place().frame() {
        return Some(Macs { destination: frame.destination, source: frame.source });
    }
    const MAC: u64 = 0xffff_ffff_ffff;
    let mut head = [0_u64; 2];
    // SAFETY: room for the addresses.
    let is_there = unsafe { bytes.load(0, head.as_mut_ptr().cast(), 12) };
    let [first, second] = head;
    is_there.then_some(Macs { destination: first & MAC, source: (first >> 48 | second << 16) & MAC })
}

/// The address that an ARP packet is about; 0: it is none.
#[inline(always)]
fn arp_target<B: Bytes>(bytes: B) -> u32 {
    let load = |offset: u32, len: u32| {
        let mut word = 0_u32;
        // SAFETY: room for four bytes.
        if unsafe { bytes.load(offset, (&raw mut word).cast(), len) } { word } else { 0 }
    };
    let ether_type = |offset: u32| (load(offset, 2) as u16).swap_bytes();
    let tag = if ether_type(ETHERNET_LEN - 2) == ETHERTYPE_ARP { 0 } else { TAG_LEN };
    if tag != 0 && ether_type(ETHERNET_LEN - 2 + TAG_LEN) != ETHERTYPE_ARP {
        return 0;
    }
    load(ETHERNET_LEN + tag + ARP_TARGET, 4)
}

/// No number.
const NONE: u64 = u64::MAX;

/// The number of the hook on the path at `side` of interface `ifindex`, for the packet `skb` at a tracepoint.
#[inline(always)]
pub(crate) fn own_number_of(skb: *const c_void, owner: Owner, ifindex: u32, side: usize) -> Option<u32> {
    let at = u64::from(ifindex) << 32 | (side as u64) << 8 | owner as u64;
    some(hop_own_number(skb as u64, at))
}

/// Likewise beside the path, at `side` of the port that `port` finds ([`neighbours::key_in`]). `ifindex` is that of its interface, if that is
/// in the traced network namespace; else 0.
#[inline(always)]
pub(crate) fn number_beside_of(skb: *const c_void, port: u64, ifindex: u32, side: usize) -> Option<u32> {
    some(hop_number_beside(skb as u64, port, u64::from(ifindex) << 32 | side as u64))
}

#[inline(always)]
const fn some(number: u64) -> Option<u32> {
    if number == NONE { None } else { Some(number as u32) }
}

/// `at` is the interface, the side, and the room for the packet's head. Global functions: the verifier looks at each once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_own_number(skb: u64, at: u64) -> u64 {
    let Some(whose) = several::whose((at >> 32) as u32) else { return NONE };
    let (side, owner) = ((at >> 8 & 3) as usize, at as u32 & 3);
    let of_frame = |direction| {
        let (macs, target) = head_of(skb, owner)?;
        port_of(&macs, direction, || target)
    };
    number_at(whose, side, of_frame).map_or(NONE, u64::from)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_number_beside(skb: u64, port: u64, at: u64) -> u64 {
    let Some(inward) = is_inward(port) else { return NONE };
    let side = (at & 1) as usize;
    let side = if inward { 1 - side } else { side };
    let Some((macs, target)) = head_of(skb, Owner::Hooks as u32) else { return NONE };
    let Some(port) = port_beside(&macs, side, || target) else { return NONE };
    let ifindex = (at >> 32) as u32;
    if ifindex != 0 && is_own(ifindex, port) {
        return NONE;
    }
    beside(port, side).map_or(NONE, u64::from)
}

/// The addresses of the packet `skb` at a tracepoint, and what it is about if it is an ARP packet.
#[inline(always)]
fn head_of(skb: u64, owner: u32) -> Option<(Macs, u32)> {
    let room = room::numbered(owner)?;
    let raw = RawSkb::read(skb as *const c_void, room, owner)?;
    let frame = raw.head.frame()?;
    Some((Macs { destination: frame.destination, source: frame.source }, target_of(&raw.head, &frame)))
}

/// No port.
pub(crate) const NO_PORT: u32 = u32::MAX;

/// The port that a frame with this head comes from; [`NO_PORT`]: no traced one.
#[inline(always)]
pub(crate) fn sender(frame: &Frame) -> u32 {
    hop_port(frame.source, 0)
}

/// The port that it is for, likewise.
#[inline(always)]
pub(crate) fn receiver(head: &Copied, frame: &Frame) -> u32 {
    hop_port(frame.destination, target_of(head, frame))
}

/// The port with this address, or if it is that of a group with IPv4 address `target`. A global function: the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_port(mac: u64, target: u32) -> u32 {
    port_of(&Macs { destination: mac, source: 0 }, 1, || target).unwrap_or(NO_PORT)
}

/// The port whose own the interface with this index is; [`NO_PORT`]: it is shared, or none.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hop_owner(ifindex: u32) -> u32 {
    // That a shared one has is no port's number, either.
    several::whose(ifindex).map_or(NO_PORT, |whose| whose.port)
}

const _: () = assert!(NO_PORT == Whose::SHARED);

/// The address that the ARP packet with this head is about; 0: it is none.
#[inline(always)]
fn target_of(head: &Copied, frame: &Frame) -> u32 {
    if frame.ether_type != ETHERTYPE_ARP {
        return 0;
    }
    head.window(frame.l3_offset + ARP_TARGET, 4).map_or(0, |window| window.u32(0))
}
