//! The kernel's maps of one trace, on their way from the attach to the collect stage.

use aya::maps::{Map, MapData};

/// Each is an array map that can be mapped into memory, but for those of type [`Map`].
#[derive(Debug)]
pub struct KernelMaps {
    /// The in-flight table.
    pub slots: MapData,
    /// Spilled packets per set of the table.
    pub spilled: MapData,
    /// The gate.
    pub control: MapData,
    /// Counters per CPU and hook.
    pub counters: MapData,
    /// Exact latency figures per CPU and segment.
    pub segments: MapData,
    /// Histogram buckets per CPU and segment.
    pub latencies: MapData,
    /// Where the kernel frees packets.
    pub sites: MapData,
    /// Counters of freed packets, per CPU.
    pub frees: MapData,
    /// What passed the guest's tap for and from other MAC addresses.
    pub sightings: MapData,
    /// Open questions to the guest and of the guest.
    pub questions: MapData,
    /// What came of earlier ones, per CPU.
    pub exchanges: MapData,
    /// Counters of packets that a switch gave to user space, per CPU.
    pub upcalls: MapData,
    /// Counters of questions that the switch has answered, per CPU.
    pub answers: MapData,
    /// What was found of checksums, per CPU.
    pub checksums: MapData,
    /// Heads of packets.
    pub heads: MapData,
    /// What the programs count of neighbours.
    pub neighbours: Map,
    /// Who else is behind their ports.
    pub macs_behind: Map,
    /// Packet records.
    pub records: Map,
}
