//! How to trace.

use std::time::Duration;

use super::{error::TraceError, note::NoteTo};
use crate::{
    discover::Sources,
    model::{HookChoice, MacAddr, Mechanism, PacketFilter, Room, Settings, Tail, Timing, XdpMode},
};

/// How long a packet may stay away. Less than a second by more than the sweeper's period: requests (ARP, neighbour discovery, SYN) are sent
/// again after a second, look the same, and would be ambiguous where the first is not settled yet.
const TIMEOUT: Duration = Duration::from_millis(900);
/// Packets that can be on their way at a time.
const INFLIGHT: u32 = 65_536;

/// How to trace; by default all packets of the port, until something ends it.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct TraceOptions {
    /// Where to ask for VMs, ports and bridges.
    pub sources: Sources,
    /// Which packets.
    pub filter: PacketFilter,
    /// End after this time.
    pub duration: Option<Duration>,
    /// End after so many packets have entered the path, both directions together; of several ports, so many of each.
    pub count: Option<u64>,
    /// A packet not seen again for so long is lost.
    pub timeout: Duration,
    /// Packets that can be on their way at a time; 64 bytes of kernel memory each.
    pub inflight: u32,
    /// Whether to leave other ports of the switch alone.
    pub path_only: bool,
    /// How many ports there may be in all while it runs, those that have gone among them; `None`: as many as it begins with. Only where it
    /// begins with one and `None` is given, the programs are made for that port alone, and cost a little less.
    pub room: Option<u32>,
    /// Further MAC addresses of the port; of one port only.
    pub macs: Vec<MacAddr>,
    /// Whether to follow packets to the NIC's driver.
    pub wire: bool,
    /// Whether XDP is hooked, too.
    pub xdp: Option<XdpMode>,
    /// Where the hooks are to be; `None`: where it is best on this kernel.
    pub mechanism: Option<Mechanism>,
    /// Which of a path's interfaces get hooks.
    pub hooks: HookChoice,
    /// Which packets are timed; where packets are told one by one, all are.
    pub timing: Timing,
    /// Which packets are told one by one; of one port only.
    pub records: RecordOptions,
    /// Whether the switch is asked at the end about packets that died there, and about some that went through.
    pub explain: bool,
    /// Whether the programs shall tell what they do, in the log.
    pub debug: bool,
    /// Who is told what there is to know besides the report; by default it is not told.
    pub note: NoteTo,
}

impl TraceOptions {
    /// Whether a trace that begins with so many ports is one of several.
    ///
    /// # Errors
    /// When something else is asked for that there is of one port only, or the ports are too many.
    pub(super) fn is_of_several(&self, ports: usize) -> Result<bool, TraceError> {
        let several = ports > 1 || self.room.is_some();
        let what = match (several, self.records.tell(), self.macs.is_empty()) {
            (true, true, _) => "packets are told one by one",
            (true, _, false) => "further addresses (--mac) can be given",
            _ if ports > Room::MOST as usize => return Err(TraceError::Full { room: Room::MOST }),
            _ => return Ok(several),
        };
        Err(TraceError::OnePortOnly { what })
    }

    /// Which packets are timed: who tells packets one by one tells all their times.
    pub(super) const fn timed(&self) -> Timing {
        if self.records.tell() { Timing::Exact } else { self.timing }
    }

    /// What of them a report says.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            filter: self.filter.to_string(),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            inflight: self.inflight,
            path_only: self.path_only,
            macs: self.macs.clone(),
            wire: self.wire,
            xdp: self.xdp,
            mechanism: self.mechanism,
            hooks: self.hooks,
            timing: self.timed(),
            explain: self.explain,
        }
    }
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            sources: Sources::default(),
            filter: PacketFilter::default(),
            duration: None,
            count: None,
            timeout: TIMEOUT,
            inflight: INFLIGHT,
            path_only: false,
            room: None,
            macs: Vec::new(),
            wire: false,
            xdp: None,
            mechanism: None,
            hooks: HookChoice::All,
            timing: Timing::default(),
            records: RecordOptions::default(),
            explain: false,
            debug: false,
            note: |_| {},
        }
    }
}

/// Which packets are told one by one; by default none.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordOptions {
    /// Room for their records, in bytes.
    pub ring_bytes: u32,
    /// Those whose identity is below this.
    pub sample_below: u64,
    /// And those that are slow.
    pub tail: Tail,
}

impl RecordOptions {
    /// Whether any packet is.
    const fn tell(&self) -> bool {
        self.sample_below != 0 || !matches!(self.tail, Tail::None)
    }
}
