//! What was found in each direction.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Direction, Drop, EarlyDrop, Explanation, LatePackets, Latencies, Ledger, PacketHead, PacketWay, Segment,
};

/// What one hook counted beside the packets it followed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HookReport {
    /// The hook.
    pub hook: String,
    /// Sights of packets that matched the filter and have an identity.
    pub seen: u64,
    /// Sights of packets that looked like another one on its way: counted, and not timed.
    pub ambiguous: u64,
    /// No packet has to leave the table for others before it has timed out: 0.
    pub evicted: u64,
    /// Sights that found no slot in the table.
    pub untracked: u64,
    /// Frames for groups on their way to the VM that passed here: counted where the filter names a group, and not followed.
    #[serde(default)]
    pub groups: u64,
    /// Packet records sent from here.
    pub emitted: u64,
    /// Packet records the ring buffer had no room for.
    pub ring_lost: u64,
}

/// Everything about one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectionReport {
    /// Each segment of the path, in path order; then those beside it that packets took.
    pub segments: Vec<Segment>,
    /// From the first hook to the last.
    pub total: Latencies,
    /// From the first hook to a neighbour's port, or from there to the last hook.
    pub neighbour_total: Latencies,
    /// Packets that came after the time-out, in path order. They are among the packets of segments and of the whole way.
    #[serde(default)]
    pub late: Vec<LatePackets>,
    /// Packets that died.
    pub drops: Vec<Drop>,
    /// Packets that died before the first hook.
    pub early_drops: Vec<EarlyDrop>,
    /// What each hook could not follow, in path order.
    pub hooks: Vec<HookReport>,
    /// The slowest packets, slowest first, where they were asked for.
    pub slowest: Vec<PacketWay<'static>>,
    /// The head of a packet that went through the switch, where heads were kept.
    #[serde(skip)]
    pub carried: Option<PacketHead>,
    /// What the switch's rules do with that packet, where it was asked.
    pub explain: Option<Explanation>,
    /// Where every packet went.
    pub ledger: Ledger,
}

/// Both directions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Directions {
    /// VM → wire.
    pub egress: DirectionReport,
    /// Wire → VM.
    pub ingress: DirectionReport,
}

impl Directions {
    /// One of them, to be changed.
    pub const fn get_mut(&mut self, direction: Direction) -> &mut DirectionReport {
        match direction {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }

    /// One of them.
    #[must_use]
    pub const fn get(&self, direction: Direction) -> &DirectionReport {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }
}
