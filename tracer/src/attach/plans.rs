//! What is to be traced: the plan of each port, and who it is.

use std::collections::BTreeMap;

use crate::model::{OtherPort, Plan, PortId, Room};

/// One port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortPlan {
    /// Its hooks and segments.
    pub plan: Plan,
    /// Its MAC address, as the programs compare it.
    pub mac: u64,
    /// Its IPv4 addresses, as the programs compare them; 0 where there is none.
    pub ipv4: [u32; 4],
}

/// All ports of a trace at its start, and how many more there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans {
    pub(super) room: Room,
    pub(super) ports: BTreeMap<PortId, PortPlan>,
    /// Ports beside their paths, each once.
    pub(super) beside: Vec<OtherPort>,
}

impl Plans {
    /// One port, and no other ever: what the programs know of it are constants.
    #[must_use]
    pub fn one(port: PortPlan) -> Self {
        Self {
            room: Room::for_one(port.plan.segment_count),
            beside: port.plan.neighbours.clone(),
            ports: BTreeMap::from([(PortId::FIRST, port)]),
        }
    }

    /// Several ports, which are numbered in their order, and room for `wanted` in all; `None`: for as many as there are. `beside` are the
    /// ports beside the paths of all of them, each once: those of their plans do not count.
    #[must_use]
    pub fn several(ports: Vec<PortPlan>, beside: Vec<OtherPort>, wanted: Option<u32>) -> Self {
        let room = Room::for_several(ports.iter().map(|port| port.plan.segment_count), wanted);
        Self { room, ports: (0..).map(PortId).zip(ports).collect(), beside }
    }

    /// How many ports there is room for.
    #[must_use]
    pub const fn room(&self) -> Room {
        self.room
    }

    /// The plans of all ports.
    pub fn iter(&self) -> impl Iterator<Item = (PortId, &Plan)> {
        self.ports.iter().map(|(port, planned)| (*port, &planned.plan))
    }

    pub(super) fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.ports.values().map(|port| &port.plan)
    }

    /// The first port's.
    pub(super) fn first(&self) -> Option<&PortPlan> {
        self.ports.values().next()
    }
}
