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
    ports::{GLANCE_WORDS, MAX_PORTS, MAX_SHARED, PortConfig, Whose, mac_bit, own_bit, target_bit},
};
use rustix::thread::{MembarrierCommand, membarrier};
use zerocopy::{Immutable, IntoBytes};

use super::{AttachError, whose::Ports};
use crate::model::{PortId, Room};

/// What holds for each port, and for each hook: a map for each static of the object, with one element.
const PORTS: &str = ".bss.ports";
const HOOKS: &str = ".bss.hooks";
const GLANCE: &str = ".bss.glance";
const PORTS_BYTES: usize = size_of::<PortConfig>() * MAX_PORTS;
const HOOKS_BYTES: usize = size_of::<HookConfig>() * MAX_PORTS * MAX_HOOKS;
const GLANCE_KINDS: usize = 3;
const GLANCE_BYTES: usize = size_of::<[u64; GLANCE_WORDS]>() * GLANCE_KINDS;
/// Interfaces, MAC addresses and IPv4 addresses, by which a packet's port is found.
pub(super) const WHOSE: &str = "WHOSE";
pub(super) const MACS: &str = "MACS";
pub(super) const TARGETS: &str = "TARGETS";
/// Further addresses, which the programs learn.
const LEARNED: &str = "LEARNED";

/// Elements of these maps, given the room for ports.
pub(super) const fn entries(room: Room) -> [(&'static str, u32); 4] {
    if room.is_for_one() {
        return [(WHOSE, 1), (MACS, 1), (TARGETS, 1), (LEARNED, 1)];
    }
    let ports = room.ports();
    [(WHOSE, 64 + ports * 16), (MACS, ports), (TARGETS, ports * 4), (LEARNED, 256 + ports * 64)]
}

/// Bits of the ports' MAC addresses, of their own interfaces, and of their IPv4 addresses.
type Glance = Vec<u64>;

/// What the kernel's maps hold, as far as user space has written it.
#[derive(Debug)]
pub(super) struct Told {
    /// Those of ports that have gone stay: programs may be looking at them still, and no other port gets their numbers.
    configs: Vec<PortConfig>,
    hooks: Vec<HookConfig>,
    glance: Glance,
    whose: BTreeMap<u32, [u32; 2]>,
    macs: BTreeMap<u64, u32>,
    targets: BTreeMap<u32, u32>,
}

impl Default for Told {
    fn default() -> Self {
        let nothing = PortConfig {
            beside: [PortConfig::NO_HOOK; 2],
            shared: [[PortConfig::NO_HOOK; 4]; MAX_SHARED],
            ..PortConfig::default()
        };
        Self {
            configs: vec![nothing; MAX_PORTS],
            hooks: vec![HookConfig::NONE; MAX_PORTS * MAX_HOOKS],
            glance: vec![0; GLANCE_WORDS * GLANCE_KINDS],
            whose: BTreeMap::new(),
            macs: BTreeMap::new(),
            targets: BTreeMap::new(),
        }
    }
}

impl Told {
    /// Writes what holds for each port and hook; no packet is looked at because of that.
    pub(super) fn facts(&mut self, ebpf: &mut Ebpf, ports: &Ports) -> Result<(), AttachError> {
        for (port, config) in ports.configs() {
            if let Some(place) = self.configs.get_mut(index(port)) {
                *place = config;
            }
        }
        write::<_, PORTS_BYTES>(ebpf, PORTS, &self.configs)?;
        for (port, of_port) in ports.hooks() {
            let places = self.hooks.iter_mut().skip(index(port) * MAX_HOOKS);
            places.zip(of_port).for_each(|(place, hook)| *place = *hook);
        }
        write::<_, HOOKS_BYTES>(ebpf, HOOKS, &self.hooks)
    }

    /// Writes by what a packet's port is found: from then on packets of new ports are seen, and none of those that have gone.
    pub(super) fn owners(&mut self, ebpf: &mut Ebpf, ports: &Ports) -> Result<(), AttachError> {
        let whose: BTreeMap<u32, [u32; 2]> =
            ports.whose().into_iter().map(|(ifindex, whose)| (ifindex, words(whose))).collect();
        let (macs, targets) = (ports.macs(), ports.targets());
        let glance = glance(&whose, macs.keys().copied(), targets.keys().copied());
        // Bits are set before what they stand for is there.
        write::<_, GLANCE_BYTES>(ebpf, GLANCE, &both(&self.glance, &glance))?;
        let gone = update(ebpf, WHOSE, &mut self.whose, &whose)?
            | update(ebpf, TARGETS, &mut self.targets, &targets)?
            | update(ebpf, MACS, &mut self.macs, &macs)?;
        write::<_, GLANCE_BYTES>(ebpf, GLANCE, &glance)?;
        self.glance = glance;
        if gone {
            await_programs();
        }
        Ok(())
    }

    /// Forgets further addresses that the programs have learned of a port which has gone.
    pub(super) fn forget_learned(ebpf: &mut Ebpf, port: PortId) -> Result<(), AttachError> {
        let mut macs: HashMap<_, u64, u32> = map(ebpf, LEARNED)?;
        let learned: Vec<u64> =
            macs.iter().flatten().filter(|(_, of)| *of == port.0).map(|(mac, _)| mac).collect();
        for mac in learned {
            // It may be gone by itself.
            let _gone = macs.remove(&mac);
        }
        Ok(())
    }
}

/// The bits of these interfaces, with whose they are, and addresses.
fn glance(
    whose: &BTreeMap<u32, [u32; 2]>,
    macs: impl Iterator<Item = u64>,
    targets: impl Iterator<Item = u32>,
) -> Glance {
    let own = whose.iter().filter(|(_, [port, _])| *port != Whose::SHARED);
    let own = own.map(|(ifindex, _)| own_bit(*ifindex));
    let kinds = [words_of(macs.map(mac_bit)), words_of(own), words_of(targets.map(target_bit))];
    kinds.concat()
}

/// Where these bits are set, given the word of each.
fn words_of(bits: impl Iterator<Item = (usize, u64)>) -> Vec<u64> {
    let mut words = vec![0; GLANCE_WORDS];
    for (word, bit) in bits {
        if let Some(word) = words.get_mut(word) {
            *word |= bit;
        }
    }
    words
}

/// What is set in one or the other.
fn both(one: &[u64], other: &[u64]) -> Glance {
    one.iter().zip(other).map(|(word, more)| word | more).collect()
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

/// Waits until no program is running that was when this was called: what such a one has found in a map may be gone by now, and would be
/// another port's as soon as that takes its place there. (The kernel waits for its readers, `membarrier(2)`. With `nohz_full` it refuses, and a packet
/// that is looked at while a port goes and the next one comes, both within that moment, can be counted for the wrong one.)
fn await_programs() {
    if let Err(error) = membarrier(MembarrierCommand::Global) {
        log::debug!("not waited for programs that are running: {error}");
    }
}

/// Changes a map from what it holds to what it is to hold: first what is new or other, then what is no more. Whether there was such.
fn update<K: aya::Pod + Ord, V: aya::Pod + PartialEq>(
    ebpf: &mut Ebpf,
    name: &'static str,
    told: &mut BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) -> Result<bool, AttachError> {
    let mut map: HashMap<_, K, V> = map(ebpf, name)?;
    for (key, value) in wanted {
        if told.get(key) != Some(value) {
            map.insert(key, value, 0).map_err(|source| refused(name, source))?;
            // Known at once, should the next one fail.
            told.insert(*key, *value);
        }
    }
    let known = told.len();
    told.retain(|key, _| {
        let stays = wanted.contains_key(key);
        if !stays {
            // It may be gone by itself.
            let _gone = map.remove(key);
        }
        stays
    });
    Ok(told.len() < known)
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
