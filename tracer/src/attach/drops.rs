//! The program where the kernel frees packets.

use std::{
    io,
    thread::{self, JoinHandle},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, lpm_trie::Key},
};
use btf_rs::Btf;
use hoptrace_common::drops::{Device, DropConfig, MAX_DEVICES};

use super::{
    AttachError,
    below::{all_below, carriers, lower},
    plan::{Around, devices},
    tracepoint,
};
use crate::{
    kernel::{BtfError, CodePlaces, MemoryBases, drop_config, interface_index, places_and_memory},
    model::{Mechanism, Path, Plan},
};

/// The program, the tracepoint it runs at, and the interfaces it knows.
pub(super) const PROGRAM: &str = "hop_freed";
const TRACEPOINT: &str = "kfree_skb";
const DEVICES: &str = "DEVICES";
const CODE: &str = "CODE";
const MEMORY: &str = "MEMORY";

/// What the program needs to know.
#[derive(Debug, Clone)]
pub struct DropOptions {
    /// About the kernel.
    pub config: DropConfig,
    /// Interfaces that packets can die at, by their index.
    pub devices: Vec<(u32, Device)>,
}

/// What places in the kernel mean, read while the programs are loaded.
pub(super) struct Reading(JoinHandle<io::Result<(CodePlaces, Option<MemoryBases>)>>);

impl Reading {
    pub(super) fn start() -> Self {
        Self(thread::spawn(places_and_memory))
    }
}

/// Everything about the running kernel and the path.
///
/// # Errors
/// When the kernel does not describe itself: then losses have no reason.
pub fn drop_options(
    btf: &Btf,
    plan: &Plan,
    path: &Path,
    mechanism: Mechanism,
) -> Result<DropOptions, BtfError> {
    let found = devices(
        plan,
        path,
        &Around {
            index_of: &interface_index,
            below: &|top| all_below(top, &lower),
            carriers: &|top| all_below(top, &carriers),
            at_tracepoints: mechanism == Mechanism::Tracepoints,
        },
    );
    Ok(DropOptions {
        config: DropConfig { nowhere_after: found.nowhere_after.into(), ..drop_config(btf)? },
        devices: found.by_index.into_iter().map(|(index, device)| (index.0, device)).collect(),
    })
}

/// Tells the program the interfaces.
pub(super) fn introduce(ebpf: &mut Ebpf, options: &DropOptions) -> Result<(), AttachError> {
    let map = ebpf.map_mut(DEVICES).ok_or_else(|| AttachError::Missing(format!("map {DEVICES}")))?;
    let failed = |source| AttachError::Map { map: DEVICES, source: Box::new(source) };
    let mut known: HashMap<_, u32, [u32; 2]> = map.try_into().map_err(failed)?;
    for (index, device) in options.devices.iter().take(MAX_DEVICES as usize) {
        let value: [u32; 2] = zerocopy::transmute!(*device);
        known.insert(index, value, 0).map_err(failed)?;
    }
    Ok(())
}

/// Tells the program what places in the kernel mean, and where packets' pages are. Without that, a packet that was sent and is freed without a reason has
/// completed, and a capture socket's clone is taken for the packet as long as that is on its way.
pub(super) fn teach(ebpf: &mut Ebpf, reading: Reading) -> Result<(), AttachError> {
    let read = reading.0.join().unwrap_or_else(|_| Err(io::Error::other("the reader panicked")));
    let (places, memory) = read.unwrap_or_else(|error| {
        log::warn!("drops without a reason are told by their interface alone: /proc/kallsyms: {error}");
        Default::default()
    });
    let map = ebpf.map_mut(CODE).ok_or_else(|| AttachError::Missing(format!("map {CODE}")))?;
    let failed = |source| AttachError::Map { map: CODE, source: Box::new(source) };
    let mut code: LpmTrie<_, [u8; 8], u32> = map.try_into().map_err(failed)?;
    for (prefix, meaning) in places.iter() {
        let key = Key::new(prefix.bits, prefix.start.to_be_bytes());
        code.insert(&key, u32::from(meaning.0), 0).map_err(failed)?;
    }
    if let Some(memory) = memory {
        let failed = |source| AttachError::Map { map: MEMORY, source: Box::new(source) };
        let map = ebpf.map_mut(MEMORY).ok_or_else(|| AttachError::Missing(format!("map {MEMORY}")))?;
        let mut bases: Array<_, [u64; 2]> = map.try_into().map_err(failed)?;
        bases.set(0, [memory.page_offset, memory.vmemmap], 0).map_err(failed)?;
    }
    Ok(())
}

/// Puts the program where the kernel frees packets.
pub(super) fn attach(ebpf: &mut Ebpf) -> Result<(), AttachError> {
    tracepoint::attach(ebpf, PROGRAM, TRACEPOINT)
}
