//! What the programs count of neighbours.

use aya::maps::{Map, MapData, PerCpuHashMap};

use super::CollectError;
use crate::model::{Neighbour, OtherPort};

/// The neighbours' counters.
pub(super) struct Neighbours {
    map: PerCpuHashMap<MapData, u32, [u64; 4]>,
}

impl Neighbours {
    pub(super) fn new(map: Map) -> Result<Self, CollectError> {
        let map = map
            .try_into()
            .map_err(|source| CollectError::Open { map: "NEIGHBOURS", source: Box::new(source) })?;
        Ok(Self { map })
    }

    /// The figures of the neighbour at `port`, added up over all CPUs.
    pub(super) fn of(&self, port: &OtherPort) -> Neighbour {
        let mut neighbour =
            Neighbour { ifname: port.ifname.clone(), mac: port.mac, received: 0, copies: 0, sent: 0 };
        if let Ok(values) = self.map.get(&port.ifindex.0, 0) {
            for [_, received, copies, sent] in values.iter() {
                neighbour.received += received;
                neighbour.copies += copies;
                neighbour.sent += sent;
            }
        }
        neighbour
    }
}

impl std::fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Neighbours").finish_non_exhaustive()
    }
}
