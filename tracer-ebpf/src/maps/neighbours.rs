//! Other VMs' ports on the switch that the path leads through, by the index of the interface.

use aya_ebpf::{macros::map, maps::PerCpuHashMap};
use hoptrace_common::neighbour::{MAX_NEIGHBOURS, Neighbour};

/// User space fills it before the programs are attached.
#[map]
static NEIGHBOURS: PerCpuHashMap<u32, Neighbour> = PerCpuHashMap::with_max_entries(MAX_NEIGHBOURS, 0);

/// The neighbour behind interface `ifindex`; of this CPU.
#[inline(always)]
fn of(ifindex: u32) -> Option<*mut Neighbour> {
    NEIGHBOURS.get_ptr_mut(&ifindex)
}

/// The MAC address of the VM behind interface `ifindex`; 0 if it is not known.
#[inline(always)]
pub(crate) fn mac(ifindex: u32) -> u64 {
    // SAFETY: a map value.
    of(ifindex).map_or(0, |neighbour| unsafe { (*neighbour).mac })
}

/// Counts a packet that the neighbour behind `ifindex` sent.
#[inline(always)]
pub(crate) fn sent(ifindex: u32) {
    if let Some(neighbour) = of(ifindex) {
        // SAFETY: a map value of this CPU.
        unsafe { (*neighbour).sent += 1 };
    }
}

/// Counts a packet that was for the neighbour behind `ifindex`.
#[inline(always)]
pub(crate) fn received(ifindex: u32) {
    if let Some(neighbour) = of(ifindex) {
        // SAFETY: a map value of this CPU.
        unsafe { (*neighbour).received += 1 };
    }
}

/// Counts a packet that came by the port of the neighbour behind `ifindex`.
#[inline(always)]
pub(crate) fn copied(ifindex: u32) {
    if let Some(neighbour) = of(ifindex) {
        // SAFETY: a map value of this CPU.
        unsafe { (*neighbour).copies += 1 };
    }
}
