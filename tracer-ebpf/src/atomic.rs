//! Shared memory that several CPUs and user space change: compare-exchange, add, and plain loads and stores that the
//! compiler neither merges nor reorders.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

/// Replaces `*target` by `new` if it is `old`; a full barrier.
///
/// # Safety
/// `target` points into a live map value, aligned to eight bytes.
#[inline(always)]
pub(crate) unsafe fn compare_exchange(target: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: by the caller's promise.
    let (before, _) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(target, old, new)
    };
    before == old
}

/// Replaces `*target` by `new` if it is `old`; a full barrier.
///
/// # Safety
/// `target` points into a live map value, aligned to four bytes.
#[inline(always)]
pub(crate) unsafe fn compare_exchange_u32(target: *mut u32, old: u32, new: u32) -> bool {
    // SAFETY: by the caller's promise.
    let (before, _) = unsafe {
        atomic_cxchg::<u32, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(target, old, new)
    };
    before == old
}

/// Adds to `*target`, wrapping, and gives the value before; a full barrier.
///
/// # Safety
/// `target` points into a live map value, aligned to eight bytes.
#[inline(always)]
pub(crate) unsafe fn fetch_add_u64(target: *mut u64, value: u64) -> u64 {
    // SAFETY: by the caller's promise.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(target, value) }
}

/// Reads `*source`, exactly once. Loads are not reordered with other loads on x86-64.
///
/// # Safety
/// `source` points into a live map value and is aligned.
#[inline(always)]
pub(crate) unsafe fn load<T: Copy>(source: *const T) -> T {
    // SAFETY: by the caller's promise.
    unsafe { source.read_volatile() }
}

/// Writes `*target`, exactly once. Stores are not reordered with other stores on x86-64.
///
/// # Safety
/// `target` points into a live map value and is aligned.
#[inline(always)]
pub(crate) unsafe fn store<T: Copy>(target: *mut T, value: T) {
    // SAFETY: by the caller's promise.
    unsafe { target.write_volatile(value) }
}
