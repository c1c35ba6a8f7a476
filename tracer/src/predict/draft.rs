//! From words to a packet and to where the switch is asked about it. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    PredictError,
    known::{Known, name},
    packet::{Addresses, BROADCAST, Packet, group_mac},
};
use crate::{
    model::{Direction, FilterProtocol, MacAddr, PacketWords, VmPort},
    ovs::{Learned, SwitchPort},
};

/// Ports where none are named: one of no service's, and `discard`.
const SOURCE_PORT: u16 = 40_000;
const DESTINATION_PORT: u16 = 9;
/// Addresses where none are known: for documentation (RFC 5737, RFC 3849).
const SOURCE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// Locally administered ones.
const SOURCE_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const DESTINATION_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// A packet as far as words and the host say what it is, and where it comes to the switch.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) direction: Direction,
    pub(super) bridge: &'a str,
    pub(super) in_port: &'a str,
    vlan: Option<u16>,
    protocol: FilterProtocol,
    addresses: Addresses,
    ports: (u16, u16),
    source_mac: MacAddr,
    /// `None`: nothing says it.
    destination_mac: Option<MacAddr>,
    assumptions: Vec<String>,
    /// What is made up, and may be why the packet goes nowhere.
    doubts: Vec<String>,
}

/// A packet, what was assumed of it, and what of that is made up.
#[derive(Debug)]
pub(super) struct Drafted {
    pub(super) packet: Packet,
    pub(super) assumptions: Vec<String>,
    pub(super) doubts: Vec<String>,
}

/// What the words say and what follows from that alone.
#[derive(Debug, Clone, Copy)]
struct Said {
    direction: Direction,
    source: Option<IpAddr>,
    destination: IpAddr,
    source_mac: Option<MacAddr>,
    destination_mac: Option<MacAddr>,
}

impl<'a> Draft<'a> {
    /// The packet that `words` mean.
    ///
    /// # Errors
    /// When they leave open where it goes, or it comes to no switch.
    pub(super) fn new(words: &PacketWords, known: Known<'a>) -> Result<Self, PredictError> {
        let said = said(words, known)?;
        let mut assumptions = Vec::new();
        let sender = said.source.filter(|_| said.direction == Direction::Ingress);
        let sender = sender.and_then(|source| known.vm_with(source));
        let entry = known.entry(said.direction, sender, &mut assumptions)?;
        let protocol = protocol(words, said.destination, &mut assumptions);
        let mut doubts = Vec::new();
        let source = said.source.unwrap_or_else(|| source(said, known, &mut assumptions, &mut doubts));
        let addresses = Addresses::of(source, said.destination).ok_or(PredictError::NoDestination)?;
        Ok(Self {
            direction: said.direction,
            bridge: entry.bridge,
            in_port: entry.in_port,
            vlan: entry.vlan,
            protocol,
            addresses,
            ports: ports(words, protocol, &mut assumptions),
            source_mac: said
                .source_mac
                .unwrap_or_else(|| source_mac(said.direction, source, sender, known, &mut assumptions)),
            destination_mac: said
                .destination_mac
                .or_else(|| destination_mac(said, protocol, known, &mut assumptions)),
            assumptions,
            doubts,
        })
    }

    /// Whether it helps to know which addresses the bridge has learned.
    pub(super) const fn wants_learned(&self) -> bool {
        self.destination_mac.is_none()
    }

    /// The packet, and what was assumed. `learned`: what its bridge has learned; `ports`: those of the switch.
    pub(super) fn packet(self, known: Known<'_>, learned: &[Learned], ports: &[SwitchPort]) -> Drafted {
        let (mut assumptions, mut doubts) = (self.assumptions, self.doubts);
        let destination_mac = self.destination_mac.unwrap_or_else(|| {
            let address = self.addresses.destination();
            let found = known.learned_beyond((self.bridge, self.in_port), learned, ports);
            let (mac, why) = if let Some((mac, port)) = found {
                (mac, format!("which {} has learned behind {}", name(self.bridge), name(port)))
            } else {
                doubts.push("the destination's MAC address is made up".to_owned());
                (DESTINATION_MAC, "which is made up".to_owned())
            };
            assumptions.push(format!(
                "the MAC address of {address} is not known here: {mac} is assumed, {why}; `ether dst MAC` gives the right one, beyond the \
                 VM's subnet that of its gateway"
            ));
            mac
        });
        let packet = Packet {
            source_mac: self.source_mac,
            destination_mac,
            vlan: self.vlan,
            protocol: self.protocol,
            addresses: self.addresses,
            ports: self.ports,
        };
        Drafted { packet, assumptions, doubts }
    }
}

fn said(words: &PacketWords, known: Known<'_>) -> Result<Said, PredictError> {
    let own = &known.path.instance;
    let (source, destination) = words.addresses.both(|address| own.ips.contains(&address));
    let (source_mac, destination_mac) = words.macs.both(|mac| mac == own.mac);
    let is_for_vm =
        destination_mac == Some(own.mac) || destination.is_some_and(|address| own.ips.contains(&address));
    // By its MAC address alone the VM is meant, too.
    let fits = |address: &&IpAddr| {
        let of_source = source.is_none_or(|source| source.is_ipv6() == address.is_ipv6());
        of_source && words.protocol.and_then(is_v6).is_none_or(|is_v6| is_v6 == address.is_ipv6())
    };
    let of_vm = || own.ips.iter().find(fits).copied().filter(|_| is_for_vm);
    Ok(Said {
        direction: if is_for_vm { Direction::Ingress } else { Direction::Egress },
        source,
        destination: destination.or_else(of_vm).ok_or(PredictError::NoDestination)?,
        source_mac,
        destination_mac,
    })
}

/// The family of a protocol that has but one.
const fn is_v6(protocol: FilterProtocol) -> Option<bool> {
    match protocol {
        FilterProtocol::Icmp | FilterProtocol::Igmp | FilterProtocol::Arp | FilterProtocol::Rarp => {
            Some(false)
        }
        FilterProtocol::Icmp6 => Some(true),
        FilterProtocol::Tcp
        | FilterProtocol::Udp
        | FilterProtocol::Sctp
        | FilterProtocol::Vrrp
        | FilterProtocol::Ip(_) => None,
    }
}

fn protocol(words: &PacketWords, destination: IpAddr, assumptions: &mut Vec<String>) -> FilterProtocol {
    words.protocol.unwrap_or_else(|| {
        let protocol = match destination {
            _ if !words.ports.is_empty() => FilterProtocol::Tcp,
            IpAddr::V4(_) => FilterProtocol::Icmp,
            IpAddr::V6(_) => FilterProtocol::Icmp6,
        };
        assumptions.push(format!("no protocol is named: {protocol} is assumed"));
        protocol
    })
}

fn ports(words: &PacketWords, protocol: FilterProtocol, assumptions: &mut Vec<String>) -> (u16, u16) {
    let (source, destination) = words.ports.both(|_| false);
    if protocol.has_ports() {
        let missing = match (source, destination) {
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some(format!("source port {SOURCE_PORT} is")),
            (Some(_), None) => Some(format!("destination port {DESTINATION_PORT} is")),
            (None, None) => Some(format!("ports {SOURCE_PORT} and {DESTINATION_PORT} are")),
        };
        assumptions.extend(missing.map(|missing| format!("{missing} assumed: the words name none")));
    }
    (source.unwrap_or(SOURCE_PORT), destination.unwrap_or(DESTINATION_PORT))
}

/// The source where no words name it. An address that port security would not let pass is a doubt.
fn source(said: Said, known: Known<'_>, assumptions: &mut Vec<String>, doubts: &mut Vec<String>) -> IpAddr {
    let own = &known.path.instance.ips;
    let of_vm = own.iter().find(|own| own.is_ipv6() == said.destination.is_ipv6()).copied();
    if let Some(own) = of_vm.filter(|_| said.direction == Direction::Egress) {
        assumptions.push(format!("source {own} is assumed: the VM's own address"));
        return own;
    }
    let source = match said.destination {
        IpAddr::V4(_) => IpAddr::V4(SOURCE_V4),
        IpAddr::V6(_) => IpAddr::V6(SOURCE_V6),
    };
    let why = match said.direction {
        Direction::Egress => {
            doubts.push("the VM's own address is not known, and one for examples is assumed".to_owned());
            "the VM's own of that kind is not known"
        }
        Direction::Ingress => "the words name none",
    };
    assumptions.push(format!("source {source} is assumed, an address for examples: {why}"));
    source
}

/// The source's MAC address where no words name it.
fn source_mac(
    direction: Direction,
    source: IpAddr,
    sender: Option<&VmPort>,
    known: Known<'_>,
    assumptions: &mut Vec<String>,
) -> MacAddr {
    match (direction, sender) {
        (Direction::Egress, _) => known.path.instance.mac,
        (Direction::Ingress, Some(sender)) => sender.id.mac,
        (Direction::Ingress, None) => {
            assumptions.push(format!(
                "the MAC address of {source} is not known here: {SOURCE_MAC} is assumed; `ether src MAC` gives the right one"
            ));
            SOURCE_MAC
        }
    }
}

/// The destination's MAC address where no words name it: the VM's, that of a group, that of another VM of this host.
fn destination_mac(
    said: Said,
    protocol: FilterProtocol,
    known: Known<'_>,
    assumptions: &mut Vec<String>,
) -> Option<MacAddr> {
    let of_group = || group_mac(said.destination);
    match (said.direction, protocol) {
        (_, FilterProtocol::Arp) => Some(BROADCAST),
        (Direction::Ingress, _) => Some(known.path.instance.mac),
        (Direction::Egress, _) => of_group().or_else(|| {
            let vm = known.vm_with(said.destination)?;
            let (mac, vm) = (vm.id.mac, name(&vm.id.title()));
            assumptions
                .push(format!("{} is {vm}'s on this host, whose MAC address is {mac}", said.destination));
            Some(mac)
        }),
    }
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
