//! The ring buffer of packet records.

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use hoptrace_common::{inflight::Control, record::PacketRecord};
use zerocopy::FromBytes as _;

use super::{CollectError, clock::WallClock, flow::FlowFields};
use crate::model::{Direction, PacketWay, Plan, WayPoint};

const RING: &str = "RECORDS";

/// Records as they come; the programs never wake us, so look often.
pub struct Records {
    ring: RingBuf<MapData>,
    clock: WallClock,
}

impl Records {
    /// Takes the ring out of the object.
    ///
    /// # Errors
    /// When it can not be mapped.
    pub(super) fn new(object: &mut Ebpf) -> Result<Self, CollectError> {
        let map = object.take_map(RING).ok_or(CollectError::Missing { map: RING })?;
        let ring = RingBuf::try_from(map)
            .map_err(|source| CollectError::Open { map: RING, source: Box::new(source) })?;
        Ok(Self { ring, clock: WallClock::new() })
    }

    /// The next record, if there is one. `plan` names the hooks.
    pub fn next<'p>(&mut self, plan: &'p Plan) -> Option<PacketWay<'p>> {
        let record = self.ring.next().and_then(|bytes| PacketRecord::read_from_bytes(&bytes).ok())?;
        Some(self.way(&record, plan))
    }

    fn way<'p>(&self, record: &PacketRecord, plan: &'p Plan) -> PacketWay<'p> {
        let control = Control(record.slot.control);
        let hops =
            record.slot.deltas_ns.iter().zip(0_u32..).take_while(|(_, position)| *position < control.count());
        PacketWay {
            direction: if control.direction() == 0 { Direction::Egress } else { Direction::Ingress },
            identity: record.slot.key,
            time_ns: self.clock.at(record.slot.first_ns),
            len_bytes: record.len_bytes,
            flow: FlowFields {
                ether_type: record.ether_type,
                protocol: record.protocol,
                source: record.source,
                destination: record.destination,
                source_port: record.source_port,
                destination_port: record.destination_port,
            }
            .flow(),
            hops: hops
                .map(|(at_ns, position)| {
                    let hook = (record.slot.hooks >> (position * 4)) & 0xf;
                    WayPoint {
                        hook: plan.hooks.get(hook as usize).map_or("?", |plan| plan.label.as_str()).into(),
                        at_ns: *at_ns,
                    }
                })
                .collect(),
            sampled: record.causes & PacketRecord::SAMPLED != 0,
            slow: record.causes & PacketRecord::SLOW != 0,
            upcall: control.slow(),
        }
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("clock", &self.clock).finish_non_exhaustive()
    }
}
