//! Packets that the kernel frees without delivering them: where and why they died.

mod bursts;
mod deaths;
mod early;
mod names;
mod sites;

use std::{
    collections::BTreeMap,
    io,
    thread::{self, JoinHandle},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, MapData, MapError, lpm_trie::Key},
};
use deaths::Deaths;
use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS},
    drops::{DropConfig, MAX_DEVICES},
    ports::{PortConfig, device_key},
};
use zerocopy::IntoBytes as _;

use super::{
    Host, Probe, Trace,
    devices::{Around, Devices, devices},
};
use crate::{
    attach::{AttachError, Attachable, Further, Sizes, all_below, attach_at, carriers, lower, missed_runs},
    collect::{CollectError, Maps, Reading},
    kernel::{CodePlaces, MemoryBases, drop_config, interface_index, places_and_memory},
    model::{Direction, Mechanism, Plan, PortId, Snapshot},
};

/// The program, the tracepoint it runs at, and its maps.
const PROGRAM: &str = "hop_freed";
const TRACEPOINT: &str = "kfree_skb";
const DEVICES: &str = "DEVICES";
const CODE: &str = "CODE";
const MEMORY: &str = "MEMORY";
const SITES: &str = "SITES";
const COUNTS: &str = "FREES";

/// Needs a kernel that describes its structures. Without it packets that died are lost: no reason is known.
#[derive(Debug, Default)]
pub(super) struct Frees {
    available: bool,
    why_not: Option<String>,
    config: DropConfig,
    found: BTreeMap<PortId, Devices>,
    attached: bool,
    reading: Option<CodeReading>,
}

impl Frees {
    pub(super) fn of(host: &Host<'_>) -> Self {
        match host.btf.map(drop_config) {
            None => Self::default(),
            Some(Ok(config)) => Self { available: true, config, ..Self::default() },
            Some(Err(error)) => {
                Self { why_not: Some(format!("losses will have no reason: {error}")), ..Self::default() }
            }
        }
    }
}

impl Probe for Frees {
    fn why_not(&self) -> Option<String> {
        self.why_not.clone()
    }

    fn planned(&mut self, trace: &Trace<'_>) {
        if !self.available {
            return;
        }
        if !self.attached && self.reading.is_none() {
            self.reading = Some(CodeReading::start());
        }
        if let Some(path) = trace.path {
            let around = Around {
                index_of: &interface_index,
                below: &|top| all_below(top, &lower),
                carriers: &|top| all_below(top, &carriers),
                at_tracepoints: trace.mechanism == Mechanism::Tracepoints,
            };
            let found = devices(trace.plan, path, &around);
            self.config.nowhere_after |= u32::from(found.nowhere_after.bits());
            self.found.insert(trace.share.port, found);
        }
    }

    fn read(
        &self,
        object: &Ebpf,
        maps: &Maps,
        trace: &Trace<'_>,
    ) -> Result<Option<Box<dyn Reading>>, CollectError> {
        Ok(Some(Box::new(Deaths::of(object, maps, trace.share, trace.timeout_ns())?)))
    }

    fn doubt(&self, object: &Ebpf, snapshot: &Snapshot) -> Option<String> {
        let lost = Direction::ALL.iter().any(|way| snapshot.directions.get(*way).ledger.lost > 0);
        let unseen = if lost { missed_runs(object, PROGRAM) } else { 0 };
        (unseen > 0).then(|| {
            format!(
                "{unseen} frees of packets, the VM's or others', were not looked at, because they interrupted the look at \
                 another one: so many of the lost packets may have had a reason"
            )
        })
    }
}

impl Attachable for Frees {
    fn tell_port(&self, port: PortId, _hooks: &mut [HookConfig; MAX_HOOKS], told: &mut PortConfig) {
        told.nowhere_after = self.found.get(&port).map_or(0, |found| found.nowhere_after.bits()).into();
    }

    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, sizes: Sizes) {
        object
            .override_global("DROPS", self.config.as_bytes(), true)
            .map_max_entries(COUNTS, sizes.per_cpu())
            .map_max_entries(DEVICES, MAX_DEVICES * sizes.room.ports());
    }

    fn programs(&self) -> &'static [&'static str] {
        if self.available { &[PROGRAM] } else { &[] }
    }

    fn further_interfaces(&self, port: PortId) -> Vec<Further> {
        self.found.get(&port).map_or_else(Vec::new, Devices::further)
    }

    fn introduce(&mut self, object: &mut Ebpf, port: PortId) -> Result<(), AttachError> {
        self.found.get(&port).map_or(Ok(()), |found| introduce(object, port, found))
    }

    fn forget(&mut self, object: &mut Ebpf, port: PortId) {
        if let Some(found) = self.found.remove(&port) {
            forget(object, port, &found);
        }
    }

    fn teach(&mut self, object: &mut Ebpf) -> Result<(), AttachError> {
        self.reading.take().map_or(Ok(()), |reading| teach(object, reading))
    }

    fn attach(&mut self, object: &mut Ebpf, _plan: &Plan) -> Result<(), AttachError> {
        if !self.available || std::mem::replace(&mut self.attached, true) {
            return Ok(());
        }
        attach_at(object, PROGRAM, TRACEPOINT)
    }
}

/// What places in the kernel mean, read while the programs are loaded.
#[derive(Debug)]
struct CodeReading(JoinHandle<io::Result<(CodePlaces, Option<MemoryBases>)>>);

impl CodeReading {
    fn start() -> Self {
        Self(thread::spawn(places_and_memory))
    }
}

type Known<'o> = HashMap<&'o mut MapData, u64, [u32; 2]>;

/// The interfaces as the program knows them.
fn known(ebpf: &mut Ebpf) -> Result<Known<'_>, AttachError> {
    let map = ebpf.map_mut(DEVICES).ok_or_else(|| AttachError::Missing(format!("map {DEVICES}")))?;
    map.try_into().map_err(refused)
}

fn refused(source: MapError) -> AttachError {
    AttachError::Map { map: DEVICES, source: Box::new(source) }
}

/// Tells the program the interfaces that a port's packets can die at.
fn introduce(ebpf: &mut Ebpf, port: PortId, found: &Devices) -> Result<(), AttachError> {
    let mut known = known(ebpf)?;
    for (index, device) in found.by_index.iter().take(MAX_DEVICES as usize) {
        let value: [u32; 2] = zerocopy::transmute!(*device);
        known.insert(device_key(index.0, port.0), value, 0).map_err(refused)?;
    }
    Ok(())
}

/// Takes them away again.
fn forget(ebpf: &mut Ebpf, port: PortId, found: &Devices) {
    let Ok(mut known) = known(ebpf) else { return };
    for index in found.by_index.keys() {
        // What there was no room for is not there.
        let _absent = known.remove(&device_key(index.0, port.0));
    }
}

/// Tells the program what places in the kernel mean, and where packets' pages are. Without that, a packet that was sent and is freed without a reason has
/// completed, and a capture socket's clone is taken for the packet as long as that is on its way.
fn teach(ebpf: &mut Ebpf, reading: CodeReading) -> Result<(), AttachError> {
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
