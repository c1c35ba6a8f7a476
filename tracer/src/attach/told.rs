//! Writes what the programs know of several ports into the kernel's maps, while they run.
//!
//! A port that comes is known before it has a hook, and one that goes is forgotten behind its last packet: whose an interface or an address is
//! is written last, and taken away first.

use std::collections::BTreeMap;

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
};
use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS},
    ports::{MAX_PORTS, PortConfig, Whose},
};
use zerocopy::{FromZeros as _, Immutable, IntoBytes};

use super::{AttachError, whose::Ports};
use crate::model::{PortId, Room};

/// What holds for each port, and for each hook: a map for each static of the object, with one element.
const PORTS: &str = ".bss.ports";
const HOOKS: &str = ".bss.hooks";
const PORTS_BYTES: usize = size_of::<PortConfig>() * MAX_PORTS;
const HOOKS_BYTES: usize = size_of::<HookConfig>() * MAX_PORTS * MAX_HOOKS;
/// Interfaces, MAC addresses (also learned ones) and IPv4 addresses, by which a packet's port is found.
pub(super) const WHOSE: &str = "WHOSE";
pub(super) const MACS: &str = "MACS";
pub(super) const TARGETS: &str = "TARGETS";

/// Elements of these three maps, given the room for ports.
pub(super) const fn entries(room: Room) -> [(&'static str, u32); 3] {
    if room.is_for_one() {
        return [(WHOSE, 1), (MACS, 1), (TARGETS, 1)];
    }
    let ports = room.ports();
    [(WHOSE, 64 + ports * 16), (MACS, 256 + ports * 4), (TARGETS, ports * 4)]
}

/// What the kernel's maps hold, as far as user space has written it.
#[derive(Debug, Default)]
pub(super) struct Told {
    whose: BTreeMap<u32, [u32; 2]>,
    macs: BTreeMap<u64, u32>,
    targets: BTreeMap<u32, u32>,
}

impl Told {
    /// Writes what holds for each port and hook; no packet is looked at because of that.
    pub(super) fn facts(ebpf: &mut Ebpf, ports: &Ports) -> Result<(), AttachError> {
        let mut configs = vec![PortConfig::new_zeroed(); MAX_PORTS];
        for (port, config) in ports.configs() {
            if let Some(place) = configs.get_mut(index(port)) {
                *place = config;
            }
        }
        write::<_, PORTS_BYTES>(ebpf, PORTS, &configs)?;
        let mut hooks = vec![HookConfig::new_zeroed(); MAX_PORTS * MAX_HOOKS];
        for (port, of_port) in ports.hooks() {
            let places = hooks.iter_mut().skip(index(port) * MAX_HOOKS);
            places.zip(of_port).for_each(|(place, hook)| *place = *hook);
        }
        write::<_, HOOKS_BYTES>(ebpf, HOOKS, &hooks)
    }

    /// Writes by what a packet's port is found: from then on packets of new ports are seen, and none of those that have gone.
    pub(super) fn owners(&mut self, ebpf: &mut Ebpf, ports: &Ports) -> Result<(), AttachError> {
        let whose: BTreeMap<u32, [u32; 2]> =
            ports.whose().into_iter().map(|(ifindex, whose)| (ifindex, words(whose))).collect();
        update(ebpf, WHOSE, &mut self.whose, whose)?;
        update(ebpf, TARGETS, &mut self.targets, ports.targets())?;
        update(ebpf, MACS, &mut self.macs, ports.macs())
    }

    /// Forgets further addresses that the programs have learned of a port which has gone.
    pub(super) fn forget_learned(ebpf: &mut Ebpf, port: PortId) -> Result<(), AttachError> {
        let mut macs: HashMap<_, u64, u32> = map(ebpf, MACS)?;
        let learned: Vec<u64> =
            macs.iter().flatten().filter(|(_, of)| *of == port.0).map(|(mac, _)| mac).collect();
        for mac in learned {
            // It may be gone by itself.
            let _gone = macs.remove(&mac);
        }
        Ok(())
    }
}

fn words(whose: Whose) -> [u32; 2] {
    zerocopy::transmute!(whose)
}

fn index(port: PortId) -> usize {
    usize::try_from(port.0).unwrap_or(usize::MAX)
}

/// Writes a whole static, of `BYTES` bytes.
fn write<T: IntoBytes + Immutable, const BYTES: usize>(
    ebpf: &mut Ebpf,
    name: &'static str,
    values: &[T],
) -> Result<(), AttachError> {
    let found = ebpf.map_mut(name).ok_or_else(|| AttachError::Missing(format!("map {name}")))?;
    let mut statics: Array<_, [u8; BYTES]> = found.try_into().map_err(|source| refused(name, source))?;
    let bytes: Box<[u8; BYTES]> = Box::<[u8]>::from(values.as_bytes())
        .try_into()
        .map_err(|_| AttachError::Missing(format!("map {name} of that size")))?;
    statics.set(0, bytes, 0).map_err(|source| refused(name, source))
}

/// Changes a map from what it holds to what it is to hold: first what is new or other, then what is no more.
fn update<K: aya::Pod + Ord, V: aya::Pod + PartialEq>(
    ebpf: &mut Ebpf,
    name: &'static str,
    told: &mut BTreeMap<K, V>,
    wanted: BTreeMap<K, V>,
) -> Result<(), AttachError> {
    let mut map: HashMap<_, K, V> = map(ebpf, name)?;
    for (key, value) in wanted.iter().filter(|(key, value)| told.get(key) != Some(value)) {
        map.insert(key, value, 0).map_err(|source| refused(name, source))?;
    }
    for key in told.keys().filter(|key| !wanted.contains_key(key)) {
        // It may be gone by itself.
        let _gone = map.remove(key);
    }
    *told = wanted;
    Ok(())
}

fn map<'e, K: aya::Pod, V: aya::Pod>(
    ebpf: &'e mut Ebpf,
    name: &'static str,
) -> Result<HashMap<&'e mut MapData, K, V>, AttachError> {
    let found = ebpf.map_mut(name).ok_or_else(|| AttachError::Missing(format!("map {name}")))?;
    found.try_into().map_err(|source| refused(name, source))
}

fn refused(map: &'static str, source: MapError) -> AttachError {
    AttachError::Map { map, source: Box::new(source) }
}
