//! The kernel's interfaces, over rtnetlink.

use std::{collections::HashMap, net::IpAddr};

use futures_util::{TryStream, TryStreamExt};
use rtnetlink::Handle;
use rtnetlink::packet_route::{
    AddressFamily,
    address::AddressAttribute,
    link::{
        BridgePortState as KernelPortState, InfoBond, InfoBridgePort, InfoData, InfoGeneve, InfoKind,
        InfoPortData, InfoVxlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
    },
    tc::TcAttribute,
};

use crate::model::{BondOptions, BridgePortState, IfIndex, Link, LinkKind, MacAddr, TunnelOptions, VethPeer};

/// The kernel's interfaces could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket.
    #[error("cannot open an rtnetlink socket: {0}")]
    Open(#[source] std::io::Error),
    /// The dump failed.
    #[error("cannot list the interfaces: {0}")]
    Dump(#[source] rtnetlink::Error),
}

/// Every interface of this network namespace.
///
/// # Errors
/// When the kernel cannot be asked.
pub async fn links() -> Result<Vec<Link>, NetlinkError> {
    let mask = vec![LinkExtentMask::SkipStats];
    let ask = |handle: &Handle| handle.link().get().set_filter_mask(AddressFamily::Unspec, mask).execute();
    Ok(all(ask).await?.into_iter().filter_map(link).collect())
}

/// All that the kernel answers to one question.
async fn all<T, S>(ask: impl FnOnce(&Handle) -> S) -> Result<Vec<T>, NetlinkError>
where
    S: TryStream<Ok = T, Error = rtnetlink::Error>,
{
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Open)?;
    let driver = tokio::spawn(connection);
    // The connection ends with the last handle.
    let answers = ask(&handle).try_collect().await;
    driver.abort();
    answers.map_err(NetlinkError::Dump)
}

/// The kinds of the queueing disciplines that somebody has set at interfaces of this network namespace.
///
/// # Errors
/// When the kernel cannot be asked.
pub(super) async fn disciplines() -> Result<HashMap<IfIndex, Vec<String>>, NetlinkError> {
    let mut disciplines: HashMap<IfIndex, Vec<String>> = HashMap::new();
    for message in all(|handle| handle.qdisc().get().execute()).await? {
        let kind = message.attributes.into_iter().find_map(|attribute| match attribute {
            TcAttribute::Kind(kind) => Some(kind),
            _ => None,
        });
        if let (Some(kind), Ok(index)) = (kind, u32::try_from(message.header.index)) {
            disciplines.entry(IfIndex(index)).or_default().push(kind);
        }
    }
    Ok(disciplines)
}

/// The addresses of all interfaces of this network namespace, but for those that each makes up for itself (link-local).
///
/// # Errors
/// When the kernel cannot be asked.
pub(super) async fn addresses() -> Result<HashMap<IfIndex, Vec<IpAddr>>, NetlinkError> {
    let mut addresses: HashMap<IfIndex, Vec<IpAddr>> = HashMap::new();
    for message in all(|handle| handle.address().get().execute()).await? {
        let own = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        });
        let own = own.filter(|address| match address {
            IpAddr::V4(address) => !address.is_link_local(),
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        });
        if let Some(address) = own {
            addresses.entry(IfIndex(message.header.index)).or_default().push(address);
        }
    }
    Ok(addresses)
}

/// One message as a link; `None` without a name.
fn link(message: LinkMessage) -> Option<Link> {
    let flags = message.header.flags;
    let mut link = Link {
        index: IfIndex(message.header.index),
        name: String::new(),
        mac: None,
        mtu_bytes: 0,
        queue_packets: 0,
        admin_up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        kind: LinkKind::Other,
        master: None,
        peer: None,
        lower: None,
        bond: None,
        tunnel: None,
        bridge_port_state: None,
    };
    let (mut lower, mut elsewhere) = (None, false);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(bytes) => link.mac = <[u8; 6]>::try_from(bytes).ok().map(MacAddr),
            LinkAttribute::Mtu(mtu) => link.mtu_bytes = mtu,
            LinkAttribute::TxQueueLen(packets) => link.queue_packets = packets,
            LinkAttribute::Controller(index) => link.master = Some(IfIndex(index)),
            LinkAttribute::Link(index) => lower = Some(IfIndex(index)),
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            LinkAttribute::LinkInfo(infos) => read_info(&mut link, &infos),
            _ => {}
        }
    }
    // IFLA_LINK of a veth is its peer's index, in the namespace IFLA_LINK_NETNSID names when that is another one.
    if link.kind == LinkKind::Veth {
        link.peer = lower
            .map(|index| if elsewhere { VethPeer::OtherNamespace(index) } else { VethPeer::Here(index) });
    }
    if link.kind == LinkKind::Vlan && !elsewhere {
        link.lower = lower;
    }
    (!link.name.is_empty()).then_some(link)
}

fn read_info(link: &mut Link, infos: &[LinkInfo]) {
    for info in infos {
        match info {
            LinkInfo::Kind(kind) => link.kind = link_kind(kind),
            LinkInfo::Data(InfoData::Vxlan(options)) => read_vxlan(link, options),
            LinkInfo::Data(InfoData::Geneve(options)) => read_geneve(link, options),
            LinkInfo::Data(InfoData::Bond(options)) => read_bond(link, options),
            LinkInfo::PortData(InfoPortData::BridgePort(attributes)) => {
                link.bridge_port_state = attributes.iter().find_map(port_state);
            }
            _ => {}
        }
    }
}

fn read_bond(link: &mut Link, options: &[InfoBond]) {
    let mut bond = BondOptions::default();
    for option in options {
        match option {
            InfoBond::Mode(mode) => bond.mode = Some(mode.to_string()),
            InfoBond::ActivePort(index) => bond.active = Some(IfIndex(*index)).filter(|index| index.0 != 0),
            _ => {}
        }
    }
    link.bond = Some(bond);
}

/// One that takes the network's number from each packet, as Open vSwitch's do, has none of its own.
fn read_vxlan(link: &mut Link, options: &[InfoVxlan]) {
    let mut tunnel = TunnelOptions { kind: Some("vxlan".to_owned()), ..TunnelOptions::default() };
    let by_packet = options.contains(&InfoVxlan::CollectMetadata(true));
    for option in options {
        match option {
            InfoVxlan::Id(id) => tunnel.key = Some(id.to_string()).filter(|_| !by_packet),
            InfoVxlan::Link(index) => link.lower = Some(IfIndex(*index)).filter(|index| index.0 != 0),
            InfoVxlan::Local(address) => tunnel.local = Some((*address).into()),
            InfoVxlan::Local6(address) => tunnel.local = Some((*address).into()),
            InfoVxlan::Group(address) => tunnel.remote = Some((*address).into()),
            InfoVxlan::Group6(address) => tunnel.remote = Some((*address).into()),
            InfoVxlan::Port(port) => tunnel.port = Some(*port),
            _ => {}
        }
    }
    link.tunnel = Some(tunnel);
}

fn read_geneve(link: &mut Link, options: &[InfoGeneve]) {
    let mut tunnel = TunnelOptions { kind: Some("geneve".to_owned()), ..TunnelOptions::default() };
    let by_packet = options.contains(&InfoGeneve::CollectMetadata);
    for option in options {
        match option {
            InfoGeneve::Id(id) => tunnel.key = Some(id.to_string()).filter(|_| !by_packet),
            InfoGeneve::Remote(address) => tunnel.remote = Some((*address).into()),
            InfoGeneve::Remote6(address) => tunnel.remote = Some((*address).into()),
            InfoGeneve::Port(port) => tunnel.port = Some(*port),
            _ => {}
        }
    }
    link.tunnel = Some(tunnel);
}

fn link_kind(kind: &InfoKind) -> LinkKind {
    match kind {
        InfoKind::Bridge => LinkKind::Bridge,
        InfoKind::Veth => LinkKind::Veth,
        InfoKind::Tun => LinkKind::Tun,
        InfoKind::Vlan => LinkKind::Vlan,
        InfoKind::Bond | InfoKind::Team => LinkKind::Bond,
        InfoKind::Dummy => LinkKind::Dummy,
        InfoKind::Vxlan | InfoKind::Geneve | InfoKind::GreTap | InfoKind::GreTap6 => LinkKind::Tunnel,
        InfoKind::Other(name) if name == "openvswitch" => LinkKind::OpenVswitch,
        _ => LinkKind::Other,
    }
}

fn port_state(attribute: &InfoBridgePort) -> Option<BridgePortState> {
    let InfoBridgePort::State(state) = attribute else { return None };
    Some(match state {
        KernelPortState::Forwarding => BridgePortState::Forwarding,
        KernelPortState::Disabled => BridgePortState::NotForwarding("disabled"),
        KernelPortState::Listening => BridgePortState::NotForwarding("listening"),
        KernelPortState::Learning => BridgePortState::NotForwarding("learning"),
        KernelPortState::Blocking => BridgePortState::NotForwarding("blocking"),
        _ => BridgePortState::NotForwarding("unknown"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn message(attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.header.flags = LinkFlags::Up;
        message.attributes = attributes;
        message
    }

    #[test]
    fn a_veth_peer_is_here_or_elsewhere() {
        let veth = || LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]);
        let name = || LinkAttribute::IfName("ens3".to_owned());
        let here = link(message(vec![name(), LinkAttribute::Link(8), veth()])).unwrap();
        assert_eq!(here.peer, Some(VethPeer::Here(IfIndex(8))));
        assert!(here.admin_up && !here.carrier);
        let away = link(message(vec![name(), LinkAttribute::Link(8), LinkAttribute::LinkNetNsId(0), veth()]))
            .unwrap();
        assert_eq!(away.peer, Some(VethPeer::OtherNamespace(IfIndex(8))));
    }

    #[test]
    fn a_vlan_lower_device_is_no_peer_and_a_nameless_link_no_link() {
        let vlan = vec![
            LinkAttribute::IfName("ens3.5".to_owned()),
            LinkAttribute::Link(2),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vlan)]),
        ];
        let vlan = link(message(vlan)).unwrap();
        assert_eq!((vlan.peer, vlan.lower), (None, Some(IfIndex(2))));
        assert_eq!(link(message(Vec::new())), None);
    }

    #[test]
    fn a_vxlan_device_has_a_number_and_what_it_is_bound_to() {
        let options = vec![
            InfoVxlan::Id(77),
            InfoVxlan::Link(2),
            InfoVxlan::Group([239, 1, 1, 1].into()),
            InfoVxlan::Local([192, 0, 2, 1].into()),
            InfoVxlan::Port(8472),
            InfoVxlan::CollectMetadata(false),
        ];
        let info = vec![LinkInfo::Kind(InfoKind::Vxlan), LinkInfo::Data(InfoData::Vxlan(options))];
        let name = LinkAttribute::IfName("vxlan-77".to_owned());
        let found = link(message(vec![name, LinkAttribute::LinkInfo(info)])).unwrap();
        let expected = TunnelOptions {
            kind: Some("vxlan".to_owned()),
            key: Some("77".to_owned()),
            local: "192.0.2.1".parse().ok(),
            remote: "239.1.1.1".parse().ok(),
            port: Some(8472),
        };
        assert_eq!(
            (found.kind, found.lower, found.tunnel),
            (LinkKind::Tunnel, Some(IfIndex(2)), Some(expected))
        );
    }

    #[tokio::test]
    async fn the_loopback_interface_is_found() {
        let links = links().await.unwrap();
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        let addresses = addresses().await.unwrap();
        // In a fresh namespace it is down and has none.
        let of_lo = addresses.get(&lo.index).cloned().unwrap_or_default();
        assert_eq!(of_lo.iter().any(IpAddr::is_loopback), lo.admin_up, "{addresses:?}");
    }
}
