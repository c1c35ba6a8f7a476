//! What the programs count of ports beside the path.

use std::{fs, os::unix::fs::MetadataExt as _};

use aya::{
    Ebpf,
    maps::{HashMap, MapData, PerCpuHashMap},
};
use hoptrace_common::neighbour::{BEHIND, behind_key, port_key};

use super::CollectError;
use crate::model::{MacAddr, Neighbour, OtherPort};

const NEIGHBOURS: &str = "NEIGHBOURS";
const MACS_BEHIND: &str = "MACS_BEHIND";

/// The ports' counters, and who is behind them.
pub(super) struct Neighbours {
    map: PerCpuHashMap<MapData, u64, [u64; 7]>,
    behind: HashMap<MapData, u64, u64>,
    /// The number of this network namespace, where the programs tell them apart; else 0.
    here: u32,
}

impl Neighbours {
    /// `ports` are those of the plan.
    pub(super) fn new(ports: &[OtherPort], object: &mut Ebpf) -> Result<Self, CollectError> {
        let failed = |map| move |source| CollectError::Open { map, source: Box::new(source) };
        let mut take = |map| object.take_map(map).ok_or(CollectError::Missing { map });
        let is_apart = ports.iter().any(|port| port.namespace.is_some());
        Ok(Self {
            map: take(NEIGHBOURS)?.try_into().map_err(failed(NEIGHBOURS))?,
            behind: take(MACS_BEHIND)?.try_into().map_err(failed(MACS_BEHIND))?,
            here: if is_apart { here() } else { 0 },
        })
    }

    /// The figures of the neighbour at `port`, added up over all CPUs.
    pub(super) fn of(&self, port: &OtherPort) -> Neighbour {
        let mut neighbour = Neighbour {
            ifname: port.ifname.clone(),
            kind: port.kind,
            place: port.place(),
            netns: port.namespace.as_ref().map(|namespace| namespace.name.clone()),
            mac: port.macs.first().copied(),
            hooked: true,
            ..Neighbour::default()
        };
        let namespace = port.namespace.as_ref().map_or(self.here, |namespace| namespace.inum);
        if let Ok(values) = self.map.get(&port_key(port.ifindex.0, namespace), 0) {
            for [_, _, received, copies, strays, sent, strays_in] in values.iter() {
                neighbour.received += received;
                neighbour.copies += copies;
                neighbour.strays += strays;
                neighbour.sent += sent;
                neighbour.strays_in += strays_in;
            }
        }
        neighbour
    }

    /// An address is behind the port with this place in the plan.
    pub(super) fn found_behind(&mut self, place: usize, mac: MacAddr) {
        let Some(number) = u32::try_from(place).ok().and_then(|place| place.checked_add(1)) else { return };
        let key = behind_key(mac.as_number(), number);
        let counted = self.behind.get(&key, 0).unwrap_or_default();
        // Without room a stranger stays one.
        drop(self.behind.insert(key, counted | BEHIND, 0));
    }

    /// Packets that went to a port of which it turned out only later that it was the right one.
    pub(super) fn found_later(&self) -> u64 {
        let known = self.behind.iter().flatten().map(|(_, known)| known);
        known.filter(|known| known & BEHIND != 0).map(|known| known & !BEHIND).sum()
    }
}

/// The number of the network namespace that this process is in.
fn here() -> u32 {
    fs::metadata("/proc/thread-self/ns/net")
        .ok()
        .and_then(|file| u32::try_from(file.ino()).ok())
        .unwrap_or_default()
}

impl std::fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Neighbours").finish_non_exhaustive()
    }
}
