//! What kind of network a port is in, which decides how its packets leave the host: by a bridge to a provider network, or inside of a tunnel.
//!
//! Who programs the switch knows it: Neutron's agent notes it at the port, and OVN has it in its southbound database.

use super::{command, trunk, walk::Walk};
use crate::model::{
    Chassis, Localnet, LogicalPort, LogicalSwitch, NeutronNetwork, OvsBridge, OvsPlace, OvsSystem, Printable,
    SourceName, Topology,
};

/// The tunnels that Neutron's agent knows.
const TUNNELS: [&str; 3] = ["vxlan", "geneve", "gre"];
/// The tunnel that OVN prefers.
const OVNS_TUNNEL: &str = "geneve";

/// What kind of network a port is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Network<'a> {
    /// A provider network: packets leave by these bridges.
    Provider(Bridges<'a>),
    /// One of tunnels between hosts.
    Tunnel(Tunnelled<'a>),
    /// Nobody says.
    Unknown,
}

/// A network that is inside of tunnels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tunnelled<'a> {
    /// `vxlan`, `geneve`, `gre` or `stt`.
    pub(super) kind: &'a str,
    /// What tells it from others inside of the tunnel.
    pub(super) key: Option<String>,
    /// Whether packets can come to the tunnel under another MAC address than the VM's: OVN routes before that. Then they are not known again at its
    /// device.
    pub(super) routed: bool,
}

/// The bridges that lead to a port's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bridges<'a> {
    /// Any that leads to the wire.
    Any,
    /// This one where it is in reach, else any: OVN's controller is told so, but the port is not its own.
    Likely(&'a str),
    /// None but these, each with the segment it leads to.
    Mapped(Vec<(&'a Localnet, &'a str)>),
    /// None: this host has no bridge for any of these segments.
    Unmapped(&'a [Localnet]),
}

/// Who says which network a port is in.
enum Told<'a> {
    Neutron(&'a NeutronNetwork),
    Ovn(&'a LogicalPort),
    Nobody,
}

/// The network of the port at `place`, which is the one that has its VLAN.
pub(super) fn of<'a>(topology: &'a Topology, place: OvsPlace<'a>) -> Network<'a> {
    match told(topology, place) {
        Told::Neutron(network) => noted(topology, network),
        Told::Ovn(port) => logical(topology, place.bridge, &port.switch),
        Told::Nobody => Network::Unknown,
    }
}

/// `vlan 101 on physnet1`, and which of OVN's switches it is.
pub(super) fn in_words(topology: &Topology, place: OvsPlace<'_>) -> Option<String> {
    match told(topology, place) {
        Told::Neutron(network) => noted_in_words(network),
        Told::Ovn(port) => Some(logical_in_words(topology, place.bridge, &port.switch)),
        Told::Nobody => None,
    }
}

/// Whether two ports are in the same network: of OVN's, on the same switch; else in the same VLAN of the same bridge. Not known is no.
pub(crate) fn is_same(topology: &Topology, one: OvsPlace<'_>, other: OvsPlace<'_>) -> bool {
    let (one, other) = (trunk::plugged(topology, one), trunk::plugged(topology, other));
    let logical =
        |place: OvsPlace<'_>| topology.logical_ports.get(place.interface.neutron.iface_id.as_deref()?);
    match (logical(one), logical(other)) {
        (Some(one), Some(other)) => one.switch == other.switch,
        (None, None) => {
            let of_ovn = one.interface.of_ovn || other.interface.of_ovn;
            !of_ovn && one.bridge.name == other.bridge.name && one.port.tag == other.port.tag
        }
        _ => false,
    }
}

/// The VLAN tag that packets for the port at `place` have on the wire behind `bridge`, as far as that is known.
pub(crate) fn tag_on_wire(topology: &Topology, place: OvsPlace<'_>, bridge: &str) -> Option<u16> {
    let place = trunk::plugged(topology, place);
    match of(topology, place) {
        Network::Provider(Bridges::Mapped(mapped)) => {
            mapped.iter().find(|(_, name)| *name == bridge).and_then(|(segment, _)| segment.vlan_tag)
        }
        Network::Provider(_) => {
            let noted = &place.port.network;
            let is_vlan = noted.network_type.as_deref() == Some("vlan");
            noted.segmentation_id.as_deref().filter(|_| is_vlan)?.parse().ok()
        }
        Network::Tunnel(_) | Network::Unknown => None,
    }
}

/// Says where OVN has bound the port, if that is not this host.
pub(super) fn note_binding(walk: &mut Walk, topology: &Topology, place: OvsPlace<'_>) {
    let Told::Ovn(port) = told(topology, place) else { return };
    let what = match &port.chassis {
        None => "OVN has bound this port to no host: its controller makes no rules for it, and the switch drops its packets".to_owned(),
        Some(chassis) if is_elsewhere(&topology.ovs_system, chassis) => {
            let names: Vec<_> =
                [&chassis.name, &chassis.hostname].into_iter().flatten().map(|name| Printable(name).to_string()).collect();
            format!(
                "OVN has bound this port to another host, {}: a migration is under way, or the VM's port is there, too",
                names.join(", ")
            )
        }
        Some(_) => return,
    };
    walk.problem(&place.interface.name, what);
}

/// Why the network of a port is not known: what there is to be said of OVN's southbound database.
pub(super) fn why_unknown(topology: &Topology) -> &'static str {
    if !topology.asked(SourceName::Southbound) {
        "which is asked where Open vSwitch's database tells its place (external_ids:ovn-remote) and the port's iface-id"
    } else if topology.answered(SourceName::Southbound) {
        "which does not know the port"
    } else {
        "which gave no answer"
    }
}

impl Bridges<'_> {
    /// Whether packets of the network may leave by a bridge, which is one of those in reach.
    pub(super) fn have(&self, bridge: &str, in_reach: &[&str]) -> bool {
        match self {
            Self::Any => true,
            Self::Likely(likely) => bridge == *likely || !in_reach.contains(likely),
            Self::Mapped(mapped) => mapped.iter().any(|(_, name)| *name == bridge),
            Self::Unmapped(_) => false,
        }
    }

    /// Why packets of the network can leave by none of the bridges in reach of `start`, if so.
    pub(super) fn why_none(&self, topology: &Topology, start: &str, in_reach: &[&str]) -> Option<String> {
        match self {
            Self::Any | Self::Likely(_) => None,
            Self::Mapped(mapped) if mapped.iter().any(|(_, bridge)| in_reach.contains(bridge)) => None,
            Self::Mapped(mapped) => {
                let (segment, bridge) = mapped.first()?;
                let (network, name) = (Printable(&segment.network), Printable(bridge));
                let is_there = topology.bridges().iter().any(|it| it.name == *bridge);
                Some(if is_there {
                    let start = Printable(start);
                    format!(
                        "no patch port leads to {name}, by which ovn-bridge-mappings has {network}: OVN's controller makes a pair of them at \
                         {start} and there, if it runs"
                    )
                } else {
                    format!(
                        "ovn-bridge-mappings has {network} by {name}, but Open vSwitch has no bridge of that name"
                    )
                })
            }
            Self::Unmapped(segments) => {
                let network = &segments.first()?.network;
                let command = command::map_network(&topology.ovs_system.bridge_mappings, network);
                let to_set = command.map_or_else(String::new, |command| format!("; to set one: {command}"));
                Some(format!(
                    "OVN has the port in the provider network {}, and this host has no bridge for that (ovn-bridge-mappings): packets get \
                     to OVN's ports on other hosts only{to_set}",
                    Printable(network)
                ))
            }
        }
    }
}

/// OVN counts first where its controller has installed flows for the port, Neutron's note elsewhere: a host on its way from one to the other
/// has both.
fn told<'a>(topology: &'a Topology, place: OvsPlace<'a>) -> Told<'a> {
    let network = &place.port.network;
    let noted = network.network_type.is_some().then_some(Told::Neutron(network));
    let iface_id = place.interface.neutron.iface_id.as_deref();
    let logical = iface_id.and_then(|id| topology.logical_ports.get(id)).map(Told::Ovn);
    let told = if place.interface.of_ovn { logical.or(noted) } else { noted.or(logical) };
    told.unwrap_or(Told::Nobody)
}

fn noted<'a>(topology: &'a Topology, network: &'a NeutronNetwork) -> Network<'a> {
    if let Some(kind) = network.network_type.as_deref().filter(|kind| TUNNELS.contains(kind)) {
        let key = network.segmentation_id.clone();
        return Network::Tunnel(Tunnelled { kind, key, routed: false });
    }
    let mappings = &topology.ovs_system.bridge_mappings;
    let likely = network.physical_network.as_deref().and_then(|name| mappings.bridge(name));
    Network::Provider(likely.map_or(Bridges::Any, Bridges::Likely))
}

/// The network that a switch of OVN's is, given the bridge that its ports are on.
fn logical<'a>(topology: &'a Topology, bridge: &'a OvsBridge, switch: &'a LogicalSwitch) -> Network<'a> {
    if switch.localnets.is_empty() {
        let key = switch.tunnel_key.map(|key| key.to_string());
        return Network::Tunnel(Tunnelled { kind: tunnel_on(bridge), key, routed: true });
    }
    let mappings = &topology.ovs_system.bridge_mappings;
    let mapped =
        switch.localnets.iter().filter_map(|segment| Some((segment, mappings.bridge(&segment.network)?)));
    let mapped: Vec<_> = mapped.collect();
    // Of a network with a segment for each rack, a host has the bridge for its own.
    Network::Provider(if mapped.is_empty() {
        Bridges::Unmapped(&switch.localnets)
    } else {
        Bridges::Mapped(mapped)
    })
}

/// What OVN's tunnels on a bridge are: its preferred kind, unless there are only others.
fn tunnel_on(bridge: &OvsBridge) -> &str {
    let mut kinds = bridge
        .places()
        .filter(|place| place.interface.is_tunnel())
        .map(|place| place.interface.kind.as_str());
    let first = kinds.next();
    if first == Some(OVNS_TUNNEL) || kinds.any(|kind| kind == OVNS_TUNNEL) {
        return OVNS_TUNNEL;
    }
    first.unwrap_or(OVNS_TUNNEL)
}

fn noted_in_words(network: &NeutronNetwork) -> Option<String> {
    let mut words = network.network_type.clone()?;
    if let Some(id) = &network.segmentation_id {
        words = format!("{words} {id}");
    }
    if let Some(name) = &network.physical_network {
        words = format!("{words} on {name}");
    }
    Some(words)
}

fn logical_in_words(topology: &Topology, bridge: &OvsBridge, switch: &LogicalSwitch) -> String {
    let network = match logical(topology, bridge, switch) {
        Network::Tunnel(Tunnelled { kind, key, .. }) => {
            key.map_or_else(|| kind.to_owned(), |key| format!("{kind} {key}"))
        }
        Network::Provider(Bridges::Mapped(mapped)) => {
            mapped.iter().map(|(segment, _)| segment_in_words(segment)).collect::<Vec<_>>().join(" or ")
        }
        Network::Provider(_) | Network::Unknown => {
            switch.localnets.iter().map(segment_in_words).collect::<Vec<_>>().join(" or ")
        }
    };
    match (&switch.name, &switch.display_name) {
        (Some(name), Some(display)) => format!("{network}, OVN switch {name} ({display})"),
        (Some(name), None) | (None, Some(name)) => format!("{network}, OVN switch {name}"),
        (None, None) => network,
    }
}

fn segment_in_words(segment: &Localnet) -> String {
    let network = &segment.network;
    segment.vlan_tag.map_or_else(|| format!("flat on {network}"), |tag| format!("vlan {tag} on {network}"))
}

/// Whether a host is another one than this, as far as both are known.
fn is_elsewhere(system: &OvsSystem, chassis: &Chassis) -> bool {
    let same =
        |ours: Option<&str>, theirs: Option<&str>| ours.zip(theirs).map(|(ours, theirs)| ours == theirs);
    let by_name = same(system.system_id.as_deref(), chassis.name.as_deref());
    let by_hostname = same(system.hostname.as_deref(), chassis.hostname.as_deref());
    by_name == Some(false) && by_hostname != Some(true)
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
