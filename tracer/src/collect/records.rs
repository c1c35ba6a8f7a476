//! The ring buffer of packet records.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::{Map, MapData, RingBuf};
use hoptrace_common::{
    inflight::Control,
    packet::{ETHERTYPE_ARP, ETHERTYPE_IPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP},
    record::PacketRecord,
};
use rustix::time::{ClockId, clock_gettime};
use zerocopy::FromBytes as _;

use super::CollectError;
use crate::model::{Direction, Flow, PacketWay, Plan, WayPoint};

/// Records as they come; the programs never wake us, so look often.
pub struct Records {
    ring: RingBuf<MapData>,
    /// From `CLOCK_MONOTONIC` to the time since 1970.
    offset_ns: i128,
}

impl Records {
    /// Opens the ring.
    ///
    /// # Errors
    /// When it can not be mapped.
    pub fn new(map: Map) -> Result<Self, CollectError> {
        let ring = RingBuf::try_from(map)
            .map_err(|source| CollectError::Open { map: "RECORDS", source: Box::new(source) })?;
        Ok(Self { ring, offset_ns: clock_ns(ClockId::Realtime) - clock_ns(ClockId::Monotonic) })
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
            time_ns: u64::try_from(i128::from(record.slot.first_ns) + self.offset_ns).unwrap_or(0),
            len_bytes: record.len_bytes,
            flow: flow(record),
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
        }
    }
}

fn clock_ns(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

fn flow(record: &PacketRecord) -> Flow {
    let address = |halves: [u64; 2]| {
        let [low, high] = halves;
        if record.ether_type == ETHERTYPE_IPV6 {
            let bytes = u128::from(low) | (u128::from(high) << 64);
            IpAddr::from(Ipv6Addr::from(bytes.to_le_bytes()))
        } else {
            let [a, b, c, d, ..] = low.to_le_bytes();
            IpAddr::from(Ipv4Addr::new(a, b, c, d))
        }
    };
    let has_ports =
        matches!(record.protocol, PROTOCOL_TCP | PROTOCOL_UDP) && record.ether_type != ETHERTYPE_ARP;
    Flow {
        protocol: match record.protocol {
            _ if record.ether_type == ETHERTYPE_ARP => "arp".into(),
            PROTOCOL_ICMP => "icmp".into(),
            PROTOCOL_ICMPV6 => "icmpv6".into(),
            PROTOCOL_TCP => "tcp".into(),
            PROTOCOL_UDP => "udp".into(),
            other => other.to_string().into(),
        },
        source: address(record.source),
        destination: address(record.destination),
        source_port: has_ports.then_some(record.source_port),
        destination_port: has_ports.then_some(record.destination_port),
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("offset_ns", &self.offset_ns).finish_non_exhaustive()
    }
}
