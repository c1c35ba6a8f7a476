//! Heads of packets that the programs keep before a switch, to be explained.

use std::{collections::BTreeMap, rc::Rc};

use aya::{Ebpf, EbpfLoader};
use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS, TraceConfig},
    filter::addresses,
    heads::{HEADS, Head},
    packet::{Frame, Packet, Reader as _, SliceReader, Window as _, parse},
    ports::{PortConfig, key_at},
};

use super::{Host, Probe, Trace, devices::before_switch};
use crate::{
    attach::{Attachable, Sizes},
    collect::{ACQUIRE, CollectError, FlowFields, Mapped, Maps, Reading, Share, atomic_u64},
    model::{Direction, Flow, HookSet, PacketHead, Plan, PortId, Snapshot},
};

const MAP: &str = "HEADS";

/// Needs explanations to be asked for, and a switch that can give them.
#[derive(Debug)]
pub(super) struct Heads {
    wanted: bool,
    /// Hooks that keep heads, of each port.
    kept_at: BTreeMap<PortId, HookSet>,
}

impl Heads {
    pub(super) const fn of(host: &Host<'_>) -> Self {
        Self { wanted: host.explain, kept_at: BTreeMap::new() }
    }
}

impl Probe for Heads {
    fn planned(&mut self, trace: &Trace<'_>) {
        let path = trace.path.filter(|_| self.wanted);
        let kept_at = path.map_or_else(HookSet::default, |path| before_switch(trace.plan, path));
        self.kept_at.insert(trace.share.port, kept_at);
    }

    fn read(
        &self,
        object: &Ebpf,
        maps: &Maps,
        trace: &Trace<'_>,
    ) -> Result<Option<Box<dyn Reading>>, CollectError> {
        Ok(Some(Box::new(KeptHeads::of(object, maps, trace.share)?)))
    }
}

impl Attachable for Heads {
    fn tell(&self, trace: &mut TraceConfig) {
        trace.keeping_heads = u16::from(self.keeps_any());
    }

    fn tell_port(&self, port: PortId, hooks: &mut [HookConfig; MAX_HOOKS], _told: &mut PortConfig) {
        let kept_at = self.kept_at.get(&port).copied().unwrap_or_default();
        for (number, hook) in hooks.iter_mut().enumerate() {
            hook.flags |= if kept_at.has(number) { HookConfig::KEEPS_HEADS } else { 0 };
        }
    }

    fn configure<'s>(&'s self, object: &mut EbpfLoader<'s>, _sizes: Sizes) {
        object.map_max_entries(MAP, if self.keeps_any() { HEADS } else { 1 });
    }
}

impl Heads {
    fn keeps_any(&self) -> bool {
        self.kept_at.values().any(|hooks| !hooks.is_empty())
    }
}

/// All heads that are kept at the moment, of which the port's are read; none, unless they were asked for.
#[derive(Debug)]
pub(super) struct KeptHeads {
    heads: Rc<Mapped<Head>>,
    share: Share,
}

impl Reading for KeptHeads {
    /// A packet that went through the switch.
    fn tell(&self, plan: &Plan, snapshot: &mut Snapshot) {
        for direction in Direction::ALL {
            let report = snapshot.directions.get_mut(direction);
            if report.ledger.completed > 0 {
                report.carried = self.carried(plan, direction);
            }
        }
    }
}

impl KeptHeads {
    pub(super) fn of(object: &Ebpf, maps: &Maps, share: Share) -> Result<Self, CollectError> {
        Ok(Self { heads: maps.array(object, MAP)?, share })
    }

    /// `None` where no heads are kept.
    fn carried(&self, plan: &Plan, direction: Direction) -> Option<PacketHead> {
        let mut hooks = (0_u8..).zip(&plan.hooks).filter(|(_, hook)| hook.direction == direction);
        hooks.find_map(|(number, hook)| Some(packet_head(&self.any(number)?, hook.label.clone())))
    }

    /// The head of packet `key`, which is not kept any longer: what stays are heads of packets that went on.
    pub(super) fn take(&self, key: u64) -> Option<Head> {
        let place = Head::place_of(key);
        let head = self.heads.read(place).filter(|head| head.key == key)?;
        let element = self.heads.at(place)?;
        // SAFETY: inside the mapping, aligned to eight bytes.
        let own = unsafe { atomic_u64(&raw mut (*element).key) };
        // If it is another packet's by now, that one stays.
        let _ = own.compare_exchange(key, 0, ACQUIRE, ACQUIRE);
        packet(&head).map(|_| head)
    }

    /// The head of some packet that `hook` saw.
    fn any(&self, hook: u8) -> Option<Head> {
        let heads = (0..self.heads.len()).filter_map(|place| self.heads.read(place));
        let is_own = |head: &Head| self.share.room.port_of_key(head.key) == self.share.port;
        heads
            .filter(|head| head.key != 0 && head.hook == hook && is_own(head))
            .find(|head| packet(head).is_some())
    }
}

/// The bytes that are set.
fn kept(head: &Head) -> &[u8] {
    head.bytes.get(..usize::from(head.kept_bytes)).unwrap_or_default()
}

/// Its headers; `None`: they are not those of the packet that it is said to be of, because it was changed meanwhile.
fn packet(head: &Head) -> Option<Packet> {
    let reader = SliceReader(kept(head));
    // Of several ports, the key has the port in its low bits.
    let is_it = |packet: &Packet| key_at(packet.identity, 0) == key_at(head.key, 0);
    parse(&reader, &Frame::read(&reader)?).ok().filter(is_it)
}

/// For the question to the switch; `label` is the hook's.
pub(super) fn packet_head(head: &Head, label: String) -> PacketHead {
    let tagged = head.vlan_tci & Head::TAGGED != 0;
    PacketHead {
        hook: label,
        vlan_tci: tagged.then_some(head.vlan_tci & !Head::TAGGED),
        bytes: kept(head).to_vec(),
    }
}

/// What the packet belongs to.
pub(super) fn flow(head: &Head) -> Option<Flow> {
    let (packet, reader) = (packet(head)?, SliceReader(kept(head)));
    let (source, destination) = addresses(&reader, &packet)?;
    let has_ports = packet.has_transport();
    let ports = has_ports.then(|| reader.window(packet.l4_offset, 4)).flatten();
    let (source_port, destination_port) = ports.map_or((0, 0), |ports| (ports.u16_be(0), ports.u16_be(2)));
    let (ether_type, protocol) = (packet.ether_type, packet.protocol);
    Some(FlowFields { ether_type, protocol, source, destination, source_port, destination_port }.flow())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram of 60 bytes, with its real identity as key.
    fn head() -> Head {
        let mut bytes = [0; 128];
        let frame = [
            &[0x52, 0x54, 0, 0x99, 0x99, 1, 0xfa, 0x16, 0x3e, 0x21, 0x1b, 0x4b, 8, 0][..],
            &[0x45, 0, 0, 46, 0x12, 0x34, 0x40, 0, 64, 17, 0, 0, 10, 99, 99, 111, 10, 99, 99, 1],
            &[0xd4, 0x31, 0x11, 0x5c, 0, 26, 0, 0],
            &[7; 18],
        ]
        .concat();
        bytes[..frame.len()].copy_from_slice(&frame);
        let reader = SliceReader(&frame);
        let key = parse(&reader, &Frame::read(&reader).unwrap()).unwrap().identity;
        let kept_bytes = u8::try_from(frame.len()).unwrap();
        Head { key, len_bytes: 60, vlan_tci: 0, kept_bytes, hook: 2, bytes }
    }

    #[test]
    fn a_head_that_was_changed_meanwhile_is_none() {
        let whole = head();
        assert!(packet(&whole).is_some());
        let mut torn = whole;
        torn.bytes[30] ^= 1;
        assert!(packet(&torn).is_none() && flow(&torn).is_none());
        assert!(packet(&Head { kept_bytes: 20, ..whole }).is_none());
        assert!(packet(&Head { kept_bytes: 200, ..whole }).is_none(), "more than there is");
    }

    #[test]
    fn what_it_belongs_to_and_its_tag() {
        let flow = flow(&head()).unwrap();
        assert_eq!(flow.protocol, "udp");
        assert_eq!(
            (flow.source.to_string(), flow.destination.to_string()),
            ("10.99.99.111".into(), "10.99.99.1".into())
        );
        assert_eq!((flow.source_port, flow.destination_port), (Some(54_321), Some(4_444)));
        let plain = packet_head(&head(), "qvo".to_owned());
        assert_eq!((plain.hook.as_str(), plain.vlan_tci, plain.bytes.len()), ("qvo", None, 60));
        let tagged = Head { vlan_tci: 0x6065 | Head::TAGGED, ..head() };
        assert_eq!(packet_head(&tagged, String::new()).vlan_tci, Some(0x6065));
        assert_eq!(packet_head(&Head { vlan_tci: Head::TAGGED, ..head() }, String::new()).vlan_tci, Some(0));
    }
}
