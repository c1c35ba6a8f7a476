//! Network devices of the kernel, as tracepoints show them.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;

use crate::{maps::layout, probe::probe};

/// The index of the device `dev`, a tracepoint's argument; 0 where it can not be read.
#[inline(always)]
pub(crate) fn ifindex(dev: *const c_void) -> u32 {
    probe(dev, layout::ifindex())
}

/// The device that `skb` belongs to, or null; `None` where that can not be read.
#[inline(always)]
pub(crate) fn of(skb: *const c_void) -> Option<*const c_void> {
    let mut device: u64 = 0;
    // SAFETY: a local of this size; the helper checks what it reads.
    let result = unsafe {
        bpf_probe_read_kernel(
            (&raw mut device).cast(),
            size_of::<u64>() as u32,
            skb.byte_add(layout::dev() as usize),
        )
    };
    if result == 0 { Some(device as *const c_void) } else { None }
}

/// Whether the device `dev` is in the network namespace that is traced.
#[inline(always)]
pub(crate) fn is_here(dev: *const c_void) -> bool {
    namespace(dev) == layout::here_inum()
}

/// The number of the network namespace that the device `dev` is in.
#[inline(always)]
pub(crate) fn namespace(dev: *const c_void) -> u32 {
    let net: u64 = probe(dev, layout::net());
    probe(net as *const c_void, layout::net_inum())
}
