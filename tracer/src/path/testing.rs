//! A builder of topologies for tests: the lab's path, whole, to be damaged one piece at a time.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::hybrid_hop;
use crate::model::{
    Attachment, Bandwidth, BridgeKind, BridgePortState, Hop, IfIndex, Instance, InstanceId,
    InstanceInterface, InstanceState, Link, LinkKind, MacAddr, NeutronKeys, OvsBridge, OvsInterface, OvsPort,
    Path, PathKind, Role, SourceName, SourceStatus, Step, Topology, Traceability, VethPeer,
};

pub(super) const PORT: &str = "c3d70d5c-a9aa-4bbb-8ccc-0123456789ab";
pub(super) const UUID: &str = "9c45fce8-83d9-4518-9055-4df2899e23af";
pub(super) const MAC: &str = "fa:16:3e:21:1b:4b";

pub(super) fn mac(text: &str) -> MacAddr {
    text.parse().unwrap()
}

/// [`hybrid_hop`] by the number of its index.
pub(crate) fn hop(role: Role, ifname: &str, index: u32) -> Hop {
    hybrid_hop(role, ifname, IfIndex(index))
}

/// A hop as a port of `bridge`.
pub(crate) fn on(bridge: &str, hop: Hop) -> Step {
    Step::Interface(Hop { bridge: Some(bridge.to_owned()), ..hop })
}

/// A whole path of the hybrid layout over `[tap, qvb, qvo, nic]` and `qbr`, of no VM, nothing wrong.
pub(crate) fn hybrid_path(names: [(&str, u32); 4], qbr: &str, ovs: &BridgeKind) -> Path {
    let bridge = |name: &str, kind: &BridgeKind| Step::Bridge { name: name.to_owned(), kind: kind.clone() };
    let [tap, qvb, qvo, nic] = names;
    let qvo = Hop { vlan_tag: Some(1), ..hop(Role::Qvo, qvo.0, qvo.1) };
    Path {
        kind: PathKind::OvsHybrid,
        instance: InstanceId {
            name: None,
            uuid: None,
            display_name: None,
            mac: mac(MAC),
            ips: Vec::new(),
            port_id: None,
        },
        steps: vec![
            on(qbr, hop(Role::Tap, tap.0, tap.1)),
            bridge(qbr, &BridgeKind::Linux),
            on(qbr, hop(Role::Qvb, qvb.0, qvb.1)),
            on("br-int", qvo),
            bridge("br-int", ovs),
            Step::Patch { name: "int-br-ex".to_owned(), peer: "phy-br-ex".to_owned(), veth: false },
            bridge("br-ex", ovs),
            on("br-ex", hop(Role::Nic, nic.0, nic.1)),
        ],
        network: None,
        other_ports: Vec::new(),
        taken_unseen: None,
        problems: Vec::new(),
        traceability: Traceability::Fully,
    }
}

pub(super) fn link(index: u32, name: &str, kind: LinkKind) -> Link {
    Link {
        index: IfIndex(index),
        name: name.to_owned(),
        mac: None,
        mtu_bytes: 1500,
        queue_packets: 1000,
        admin_up: true,
        carrier: true,
        kind,
        master: None,
        peer: None,
        lower: None,
        bond: None,
        tunnel: None,
        bridge_port_state: None,
    }
}

pub(super) fn netdev(name: &str) -> OvsInterface {
    OvsInterface { name: name.to_owned(), ofport: Some(5), ..OvsInterface::default() }
}

pub(super) fn patch(name: &str, peer: &str) -> OvsInterface {
    OvsInterface { kind: "patch".to_owned(), peer: Some(peer.to_owned()), ..netdev(name) }
}

pub(super) fn port(interfaces: Vec<OvsInterface>) -> OvsPort {
    OvsPort { name: interfaces.first().unwrap().name.clone(), interfaces, ..OvsPort::default() }
}

pub(super) fn qvo(name: &str, port_id: &str, vm_uuid: &str, attached: &str) -> OvsPort {
    let neutron = NeutronKeys {
        iface_id: Some(port_id.to_owned()),
        attached_mac: attached.parse().ok(),
        vm_uuid: Some(vm_uuid.to_owned()),
        iface_status: Some("active".to_owned()),
    };
    OvsPort { tag: Some(1), ..port(vec![OvsInterface { neutron, ..netdev(name) }]) }
}

pub(super) fn bridge(name: &str, ports: Vec<OvsPort>) -> OvsBridge {
    OvsBridge { name: name.to_owned(), ports, ..OvsBridge::default() }
}

pub(super) fn interface(mac_text: &str, port_id: &str, ip: &str) -> InstanceInterface {
    let short = port_id.get(..11).unwrap_or(port_id);
    InstanceInterface {
        attachment: Attachment::Tap,
        mac: mac(mac_text),
        tap: Some(format!("tap{short}")),
        source_bridge: Some(format!("qbr{short}")),
        network: None,
        mtu_bytes: None,
        unplugged: false,
        bandwidth: Bandwidth::default(),
        port_id: Some(port_id.to_owned()),
        fixed_ips: ip.parse().into_iter().collect(),
    }
}

/// The lab's first VM, complete and healthy.
pub(super) fn lab() -> Topology {
    let mut topology = Topology::default();
    topology.sources = [SourceName::Netlink, SourceName::Ovsdb, SourceName::Libvirt].map(answered).to_vec();
    topology.instances = vec![Instance {
        name: "instance-00000025".to_owned(),
        uuid: UUID.to_owned(),
        display_name: Some("yjwang-test-1".to_owned()),
        state: InstanceState::Running,
        interfaces: vec![interface(MAC, PORT, "10.99.99.111")],
    }];
    *topology.bridges_mut() = vec![
        bridge("br-ex", vec![port(vec![netdev("ens3")]), port(vec![patch("phy-br-ex", "int-br-ex")])]),
        bridge(
            "br-int",
            vec![port(vec![patch("int-br-ex", "phy-br-ex")]), qvo("qvoc3d70d5c-a9", PORT, UUID, MAC)],
        ),
    ];
    let forwarding = Some(BridgePortState::Forwarding);
    let on_bridge = |link: Link| Link { master: Some(IfIndex(10)), bridge_port_state: forwarding, ..link };
    let veth = |link: Link, peer| Link { peer: Some(VethPeer::Here(IfIndex(peer))), ..link };
    topology.set_links(vec![
        link(1, "lo", LinkKind::Other),
        link(2, "ens3", LinkKind::Other),
        link(10, "qbrc3d70d5c-a9", LinkKind::Bridge),
        on_bridge(veth(link(11, "qvbc3d70d5c-a9", LinkKind::Veth), 12)),
        veth(link(12, "qvoc3d70d5c-a9", LinkKind::Veth), 11),
        on_bridge(link(13, "tapc3d70d5c-a9", LinkKind::Tun)),
    ]);
    topology
}

/// The same, and a second VM, `yjwang-test-2`.
pub(crate) fn two_vms() -> Topology {
    let (mac, port_id, uuid) =
        ("fa:16:3e:5c:90:d2", "7be41f06-3134-4000-8000-0123456789ab", "1d2e3f40-83d9-4518-9055-4df2899e23af");
    let mut topology = lab();
    topology.instances.push(Instance {
        name: "instance-00000026".to_owned(),
        uuid: uuid.to_owned(),
        display_name: Some("yjwang-test-2".to_owned()),
        state: InstanceState::Running,
        interfaces: vec![interface(mac, port_id, "10.99.99.112")],
    });
    let integration = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-int").unwrap();
    integration.ports.push(qvo("qvo7be41f06-31", port_id, uuid, mac));
    let on_bridge = |link: Link| Link {
        master: Some(IfIndex(20)),
        bridge_port_state: Some(BridgePortState::Forwarding),
        ..link
    };
    let veth = |link: Link, peer| Link { peer: Some(VethPeer::Here(IfIndex(peer))), ..link };
    add_links(
        &mut topology,
        vec![
            link(20, "qbr7be41f06-31", LinkKind::Bridge),
            on_bridge(veth(link(21, "qvb7be41f06-31", LinkKind::Veth), 22)),
            veth(link(22, "qvo7be41f06-31", LinkKind::Veth), 21),
            on_bridge(link(23, "tap7be41f06-31", LinkKind::Tun)),
        ],
    );
    topology
}

pub(super) fn answered(name: SourceName) -> SourceStatus {
    SourceStatus { name, asked: "here".to_owned(), missing: None, notes: Vec::new(), took: Duration::ZERO }
}

/// Changes one link.
pub(super) fn change_link(topology: &mut Topology, name: &str, change: impl FnOnce(&mut Link)) {
    let mut links = topology.links().to_vec();
    change(links.iter_mut().find(|link| link.name == name).unwrap());
    topology.set_links(links);
}

pub(crate) fn remove_link(topology: &mut Topology, name: &str) {
    topology.set_links(topology.links().iter().filter(|link| link.name != name).cloned().collect());
}

pub(super) fn add_links(topology: &mut Topology, more: Vec<Link>) {
    topology.set_links(topology.links().iter().cloned().chain(more).collect());
}

/// Changes one OVS port.
pub(super) fn change_port(topology: &mut Topology, name: &str, change: impl FnOnce(&mut OvsPort)) {
    let mut ports = topology.bridges_mut().iter_mut().flat_map(|bridge| &mut bridge.ports);
    change(ports.find(|port| port.name == name).unwrap());
}
