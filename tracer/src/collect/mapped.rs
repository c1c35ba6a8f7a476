//! An eBPF array map in our own memory.

use std::{
    marker::PhantomData,
    os::fd::AsFd as _,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use aya::{
    Ebpf,
    maps::{Map, MapData},
};
use rustix::{
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap, munmap},
    param::page_size,
};
use zerocopy::{FromBytes, KnownLayout};

use super::CollectError;

/// The array's elements, shared with the programs that change them at any time.
#[derive(Debug)]
pub(crate) struct Mapped<T> {
    start: NonNull<T>,
    len: u32,
    bytes: usize,
    element: PhantomData<T>,
}

// SAFETY: shared memory that is only read and written by volatile and atomic accesses.
unsafe impl<T: Send> Send for Mapped<T> {}

impl<T: FromBytes + KnownLayout + Copy> Mapped<T> {
    /// Maps the object's array `name`, whose flag `BPF_F_MMAPABLE` must be set. It may be mapped as often as it has readers.
    pub(crate) fn of(object: &Ebpf, name: &'static str) -> Result<Self, CollectError> {
        match object.map(name) {
            Some(Map::Array(map)) => Self::new(map, name),
            _ => Err(CollectError::Missing { map: name }),
        }
    }

    fn new(map: &MapData, name: &'static str) -> Result<Self, CollectError> {
        let info = map
            .info()
            .map_err(|error| CollectError::Map { map: name, source: std::io::Error::other(error) })?;
        // The kernel pads elements to eight bytes.
        if (info.value_size() as usize).next_multiple_of(8) != size_of::<T>().next_multiple_of(8) {
            return Err(CollectError::Layout { map: name });
        }
        let len = info.max_entries();
        let bytes = (len as usize * size_of::<T>().next_multiple_of(8)).next_multiple_of(page_size());
        // SAFETY: a new mapping at an address the kernel chooses.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map.fd().as_fd(),
                0,
            )
        }
        .map_err(|source| CollectError::Map { map: name, source: source.into() })?;
        let start = NonNull::new(start.cast())
            .ok_or_else(|| CollectError::Map { map: name, source: Errno::FAULT.into() })?;
        Ok(Self { start, len, bytes, element: PhantomData })
    }

    /// Elements.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Where the element at `index` is.
    pub(crate) fn at(&self, index: u32) -> Option<*mut T> {
        // The stride of elements smaller than eight bytes is eight.
        let stride = size_of::<T>().next_multiple_of(8);
        (index < self.len).then(|| {
            // SAFETY: below the length, so inside the mapping.
            unsafe { self.start.as_ptr().byte_add(index as usize * stride) }
        })
    }

    /// A copy of the element at `index`. One that the kernel changes meanwhile may be torn between its fields, not
    /// inside them.
    pub(crate) fn read(&self, index: u32) -> Option<T> {
        // SAFETY: `at` gives an address inside the mapping, aligned by the page and the stride; any bytes are a `T`.
        self.at(index).map(|element| unsafe { element.read_volatile() })
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and there is no reference into it.
        let _unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// A field of shared memory as an atomic.
///
/// # Safety
/// `field` points into a live mapping, aligned to eight bytes.
pub(crate) unsafe fn atomic_u64<'m>(field: *mut u64) -> &'m AtomicU64 {
    // SAFETY: by the caller's promise.
    unsafe { AtomicU64::from_ptr(field) }
}

/// A field of shared memory as an atomic.
///
/// # Safety
/// `field` points into a live mapping, aligned to four bytes.
pub(crate) unsafe fn atomic_u32<'m>(field: *mut u32) -> &'m AtomicU32 {
    // SAFETY: by the caller's promise.
    unsafe { AtomicU32::from_ptr(field) }
}

/// The order of reads that must come before what follows.
pub(crate) const ACQUIRE: Ordering = Ordering::Acquire;
