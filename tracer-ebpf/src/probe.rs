//! Reads of the kernel's memory.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;

/// Reads a number from the kernel's memory, 0 where that is not possible.
#[inline(always)]
pub(crate) fn probe<T: Copy + Default>(from: *const c_void, offset: u32) -> T {
    let mut value = T::default();
    // SAFETY: a local of this size; the helper checks what it reads and fills it with zeros on failure.
    unsafe {
        bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, from.byte_add(offset as usize))
    };
    value
}
