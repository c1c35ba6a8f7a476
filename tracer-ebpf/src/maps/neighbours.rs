//! Ports beside the path, by the interface, and who is behind them.

use core::ffi::c_void;

use aya_ebpf::{
    Global,
    bindings::__sk_buff,
    macros::map,
    maps::{HashMap, PerCpuHashMap},
};
use hoptrace_common::neighbour::{BEHIND, MAX_BEHIND, MAX_NEIGHBOURS, Neighbour, behind_key, port_key};

use super::layout;
use crate::{atomic, device};

/// User space fills it before the programs are attached.
#[map]
static NEIGHBOURS: PerCpuHashMap<u64, Neighbour> = PerCpuHashMap::with_max_entries(MAX_NEIGHBOURS, 0);

/// Further addresses behind the ports. User space writes those it knows; who sends from there adds its own.
#[map]
static MACS_BEHIND: HashMap<u64, u64> = HashMap::with_max_entries(MAX_BEHIND, 0);

/// 1 if some port is in another network namespace; patched in by the loader.
#[unsafe(no_mangle)]
static NAMESPACES: Global<u32> = Global::new(0);

/// Where the port is found whose interface the program runs at ([`port_key`]).
#[inline(always)]
pub(crate) fn key(skb: *mut __sk_buff) -> u64 {
    // SAFETY: the context of the running program.
    let ifindex = unsafe { (*skb).ifindex };
    let namespace = if NAMESPACES.load() == 0 { 0 } else { namespace(skb) };
    port_key(ifindex, namespace)
}

/// Whether the interface that the program runs at is in the traced network namespace.
#[inline(always)]
pub(crate) fn is_here(skb: *mut __sk_buff) -> bool {
    NAMESPACES.load() == 0 || namespace(skb) == layout::here_inum()
}

/// The same of the interface with index `ifindex` in network namespace number `namespace`. `None`: no port is in another namespace than
/// the traced one, and this is another one.
#[inline(always)]
pub(crate) fn key_in(ifindex: u32, namespace: u32) -> Option<u64> {
    if NAMESPACES.load() != 0 {
        return Some(port_key(ifindex, namespace));
    }
    if namespace == layout::here_inum() { Some(port_key(ifindex, 0)) } else { None }
}

/// The port found by `key`; of this CPU.
#[inline(always)]
pub(crate) fn of(key: u64) -> Option<*mut Neighbour> {
    NEIGHBOURS.get_ptr_mut(&key)
}

/// The number of the network namespace that the packet is in: the context of a TC program is the kernel's own
/// `struct sk_buff`.
#[inline(always)]
fn namespace(skb: *mut __sk_buff) -> u32 {
    device::of(skb.cast::<c_void>()).map_or(0, device::namespace)
}

/// Whether `mac` is known to be behind `port`. A packet for a stranger `counts` once, for the case that one turns out to be
/// there.
#[inline(always)]
pub(crate) fn has_behind(port: &Neighbour, mac: u64, counts: bool) -> bool {
    let key = behind_key(mac, port.number);
    let Some(known) = MACS_BEHIND.get_ptr_mut(&key) else {
        if counts {
            // Without room a stranger stays one.
            let _ = MACS_BEHIND.insert(&key, &1, 0);
        }
        return false;
    };
    // SAFETY: a map value, aligned to eight bytes.
    unsafe {
        if atomic::load(known) & BEHIND != 0 {
            return true;
        }
        if counts {
            atomic::fetch_add_u64(known, 1);
        }
    }
    false
}

/// A frame came from `mac` behind `port`.
#[inline(always)]
pub(crate) fn learn(port: &Neighbour, mac: u64) {
    if mac == port.mac {
        return;
    }
    let key = behind_key(mac, port.number);
    let Some(known) = MACS_BEHIND.get_ptr_mut(&key) else {
        let _ = MACS_BEHIND.insert(&key, &BEHIND, 0);
        return;
    };
    // SAFETY: a map value, aligned to eight bytes. Two CPUs may add the bit at the same time, so it is not added.
    unsafe {
        let counted = atomic::load(known);
        if counted & BEHIND == 0 {
            atomic::compare_exchange(known, counted, counted | BEHIND);
        }
    }
}
