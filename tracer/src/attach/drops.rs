//! The program where the kernel frees packets.

use std::{fs, path::Path as FilePath};

use aya::{Ebpf, maps::HashMap};
use btf_rs::Btf;
use hoptrace_common::drops::{Device, DropConfig, MAX_DEVICES};

use super::{AttachError, plan::devices, tracepoint};
use crate::{
    kernel::{BtfError, drop_config},
    model::{IfIndex, Path, Plan},
};

/// The program, the tracepoint it runs at, and the interfaces it knows.
pub(super) const PROGRAM: &str = "hop_freed";
const TRACEPOINT: &str = "kfree_skb";
const DEVICES: &str = "DEVICES";

/// What the program needs to know.
#[derive(Debug, Clone)]
pub struct DropOptions {
    /// About the kernel.
    pub config: DropConfig,
    /// Interfaces that packets can die at, by their index.
    pub devices: Vec<(u32, Device)>,
}

/// Everything about the running kernel and the path.
///
/// # Errors
/// When the kernel does not describe itself: then losses have no reason.
pub fn drop_options(btf: &Btf, plan: &Plan, path: &Path) -> Result<DropOptions, BtfError> {
    let found = devices(plan, path, index_of);
    Ok(DropOptions {
        config: DropConfig { nowhere_after: found.nowhere_after.into(), ..drop_config(btf)? },
        devices: found.by_index.into_iter().map(|(index, device)| (index.0, device)).collect(),
    })
}

/// The index of an interface in this network namespace.
fn index_of(ifname: &str) -> Option<IfIndex> {
    let path = FilePath::new("/sys/class/net").join(ifname).join("ifindex");
    fs::read_to_string(path).ok()?.trim().parse().ok().map(IfIndex)
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

/// Puts the program where the kernel frees packets.
pub(super) fn attach(ebpf: &mut Ebpf) -> Result<(), AttachError> {
    tracepoint::attach(ebpf, PROGRAM, TRACEPOINT)
}
