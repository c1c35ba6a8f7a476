//! What all sources said about this host, joined up: the only input of the path stage.

use std::{collections::HashMap, net::IpAddr, sync::OnceLock};

use super::{
    IfIndex, Instance, Link, LogicalPort, Namespace, OvsBridge, OvsInterface, OvsPort, OvsSystem, SourceName,
    SourceStatus, TunnelOptions, VethPeer,
};

/// This host: its instances, links and OVS bridges, and which sources could be asked.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// From libvirt.
    pub instances: Vec<Instance>,
    /// Every source that was asked.
    pub sources: Vec<SourceStatus>,
    /// Links in other network namespaces that ports of Open vSwitch lead to.
    pub links_away: Vec<LinkAway>,
    /// The kinds of the queueing disciplines of each interface, its `ingress` or `clsact` among them: those that somebody has set. `None`: the
    /// kernel did not say.
    pub disciplines: Option<HashMap<IfIndex, Vec<String>>>,
    /// The host's own addresses.
    pub addresses: HashMap<IfIndex, Vec<IpAddr>>,
    /// The interfaces by which the host sends to the other ends of its tunnels.
    pub routes: HashMap<TunnelWay, IfIndex>,
    /// What Open vSwitch is told as a whole, from OVSDB.
    pub ovs_system: OvsSystem,
    /// Ports as OVN's southbound database describes them, by their `iface-id`.
    pub logical_ports: HashMap<String, LogicalPort>,
    bridges: Vec<OvsBridge>,
    /// Where in them the OVS interfaces are, by their names; made when it is asked for.
    ovs_by_name: OnceLock<HashMap<String, OvsIndex>>,
    links: Vec<Link>,
    link_by_name: HashMap<String, usize>,
    link_by_index: HashMap<IfIndex, usize>,
}

/// From which of the host's addresses, if that is set, to which.
pub type TunnelWay = (Option<IpAddr>, IpAddr);

/// An OVS interface by its place: bridge, port, interface.
type OvsIndex = (usize, usize, usize);

/// A link in another network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAway {
    /// The link as it is there.
    pub link: Link,
    /// Where.
    pub namespace: Namespace,
    /// The OVS interface that it is, or whose other end.
    pub of: String,
}

/// Where an OVS interface sits.
#[derive(Debug, Clone, Copy)]
pub struct OvsPlace<'a> {
    /// The bridge.
    pub bridge: &'a OvsBridge,
    /// The port on it.
    pub port: &'a OvsPort,
    /// The interface of that port.
    pub interface: &'a OvsInterface,
}

impl Topology {
    /// Takes the kernel's links, replacing those there were.
    pub fn set_links(&mut self, links: Vec<Link>) {
        self.link_by_name = links.iter().enumerate().map(|(at, link)| (link.name.clone(), at)).collect();
        self.link_by_index = links.iter().enumerate().map(|(at, link)| (link.index, at)).collect();
        self.links = links;
    }

    /// The kernel's links.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The link of that name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.link_by_name.get(name).and_then(|&at| self.links.get(at))
    }

    /// The link of that index.
    #[must_use]
    pub fn link_at(&self, index: IfIndex) -> Option<&Link> {
        self.link_by_index.get(&index).and_then(|&at| self.links.get(at))
    }

    /// The bridge, bond or datapath a link is a port of.
    #[must_use]
    pub fn master(&self, link: &Link) -> Option<&Link> {
        link.master.and_then(|index| self.link_at(index))
    }

    /// The links that are ports of a bridge, or members of a bond.
    pub fn ports_of(&self, master: &Link) -> impl Iterator<Item = &Link> + Clone {
        let master = Some(master.index);
        self.links.iter().filter(move |link| link.master == master)
    }

    /// The other end of a veth pair, if it is in this network namespace.
    #[must_use]
    pub fn veth_peer(&self, link: &Link) -> Option<&Link> {
        match link.peer {
            Some(VethPeer::Here(index)) => self.link_at(index),
            _ => None,
        }
    }

    /// Every OVS interface, with its port and bridge.
    pub fn ovs_interfaces(&self) -> impl Iterator<Item = OvsPlace<'_>> {
        self.bridges.iter().flat_map(OvsBridge::places)
    }

    /// The OVS interface of that name. OVS keeps names unique on a host.
    #[must_use]
    pub fn ovs_interface(&self, name: &str) -> Option<OvsPlace<'_>> {
        let (bridge, port, interface) = *self.ovs_by_name.get_or_init(|| by_name(&self.bridges)).get(name)?;
        let bridge = self.bridges.get(bridge)?;
        let port = bridge.ports.get(port)?;
        Some(OvsPlace { bridge, port, interface: port.interfaces.get(interface)? })
    }

    /// The bridges, from OVSDB.
    #[must_use]
    pub fn bridges(&self) -> &[OvsBridge] {
        &self.bridges
    }

    /// The same, to be changed.
    pub fn bridges_mut(&mut self) -> &mut Vec<OvsBridge> {
        self.ovs_by_name.take();
        &mut self.bridges
    }

    /// The link in another network namespace that an OVS interface is, or leads to.
    #[must_use]
    pub fn link_away(&self, ovs_interface: &str) -> Option<&LinkAway> {
        self.links_away.iter().find(|away| away.of == ovs_interface)
    }

    /// The interface by which the host sends to the other end of a tunnel.
    #[must_use]
    pub fn underlay(&self, tunnel: &TunnelOptions) -> Option<&Link> {
        let way = (tunnel.local, tunnel.remote?);
        self.link_at(*self.routes.get(&way)?)
    }

    /// Whether a source answered, and for all that it knows.
    #[must_use]
    pub fn knows_all(&self, name: SourceName) -> bool {
        self.sources
            .iter()
            .any(|source| source.name == name && source.missing.is_none() && source.notes.is_empty())
    }

    /// Whether a source was asked.
    #[must_use]
    pub fn asked(&self, name: SourceName) -> bool {
        self.sources.iter().any(|source| source.name == name)
    }

    /// Whether a source answered.
    #[must_use]
    pub fn answered(&self, name: SourceName) -> bool {
        self.sources.iter().any(|source| source.name == name && source.missing.is_none())
    }
}

/// The first one of a name counts.
fn by_name(bridges: &[OvsBridge]) -> HashMap<String, OvsIndex> {
    let mut by_name = HashMap::new();
    for (bridge, of_bridge) in bridges.iter().enumerate() {
        for (port, of_port) in of_bridge.ports.iter().enumerate() {
            for (at, interface) in of_port.interfaces.iter().enumerate() {
                by_name.entry(interface.name.clone()).or_insert((bridge, port, at));
            }
        }
    }
    by_name
}

impl OvsBridge {
    /// Every interface on this bridge, with its port.
    pub fn places(&self) -> impl Iterator<Item = OvsPlace<'_>> {
        self.ports.iter().flat_map(move |port| {
            port.interfaces.iter().map(move |interface| OvsPlace { bridge: self, port, interface })
        })
    }
}
