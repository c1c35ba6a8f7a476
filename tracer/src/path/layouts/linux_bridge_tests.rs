//! Taps on a Linux bridge with a way out of its own.
#![allow(clippy::unwrap_used)]

use crate::attach::{PlanOptions, plan};
use crate::model::{
    Direction, IfIndex, InstanceState, LinkKind, Path, PathKind, PortKind, Role, Topology, Traceability,
    VethPeer,
};
use crate::path::{find, testing::*};

const TAP: &str = "tapc3d70d5c-a9";
const BRIDGE: &str = "brq6d947ca8-d4";

/// The lab's VM and `ens3` on one bridge; no Open vSwitch.
fn agent() -> Topology {
    let mut topology = lab();
    topology.bridges_mut().clear();
    for name in ["qbrc3d70d5c-a9", "qvbc3d70d5c-a9", "qvoc3d70d5c-a9"] {
        remove_link(&mut topology, name);
    }
    add_links(&mut topology, vec![link(10, BRIDGE, LinkKind::Bridge)]);
    change_link(&mut topology, "ens3", |nic| nic.master = Some(IfIndex(10)));
    let interface = topology.instances.first_mut().unwrap().interfaces.first_mut().unwrap();
    interface.source_bridge = Some(BRIDGE.to_owned());
    topology
}

fn path(topology: &Topology) -> Path {
    find(topology, PORT).unwrap()
}

fn names(path: &Path) -> Vec<(Role, &str)> {
    path.hops().map(|hop| (hop.role, hop.ifname.as_str())).collect()
}

#[test]
fn the_way_is_over_the_bridge_to_its_nic() {
    let path = path(&agent());
    assert_eq!((path.kind, &path.traceability), (PathKind::LinuxBridge, &Traceability::Fully));
    assert_eq!(names(&path), [(Role::Tap, TAP), (Role::Nic, "ens3")]);
    // Neutron's agent has the security groups on its bridges.
    let firewalls: Vec<_> = path.hops().map(|hop| hop.facts.firewall_behind).collect();
    assert_eq!(firewalls, [Some(Direction::Egress), Some(Direction::Ingress)]);
    assert_eq!((path.problems.len(), path.firewall_in_words()), (0, Some("security groups")));
}

#[test]
fn a_bridge_of_somebody_else_s_has_no_security_groups() {
    let mut topology = agent();
    change_link(&mut topology, BRIDGE, |bridge| bridge.name = "br0".to_owned());
    let path = path(&topology);
    assert_eq!((path.kind, path.hops().count(), path.firewall_in_words()), (PathKind::LinuxBridge, 2, None));
}

#[test]
fn a_veth_end_on_the_bridge_is_a_neighbour_not_the_way() {
    let mut topology = agent();
    let mut dhcp = link(40, "tapd0d0d0d0-aa", LinkKind::Veth);
    (dhcp.master, dhcp.peer) = (Some(IfIndex(10)), Some(VethPeer::OtherNamespace(IfIndex(2))));
    let mut other = link(41, "tap7be41f06-31", LinkKind::Tun);
    other.master = Some(IfIndex(10));
    add_links(&mut topology, vec![dhcp, other]);
    let mut second = topology.instances.first().unwrap().clone();
    second.uuid = "1d2e3f40-83d9-4518-9055-4df2899e23af".to_owned();
    second.interfaces =
        vec![interface("fa:16:3e:5c:90:d2", "7be41f06-3134-4000-8000-0123456789ab", "10.99.99.112")];
    topology.instances.push(second);
    let path = path(&topology);
    assert_eq!(names(&path), [(Role::Tap, TAP), (Role::Nic, "ens3")]);
    let beside: Vec<_> = path.other_ports.iter().map(|port| (port.ifname.as_str(), port.kind)).collect();
    let expected =
        [(BRIDGE, PortKind::Bridge), ("tapd0d0d0d0-aa", PortKind::Other), ("tap7be41f06-31", PortKind::Vm)];
    assert_eq!(beside, expected);
    assert_eq!(path.other_ports.last().unwrap().macs, [mac("fa:16:3e:5c:90:d2")]);
}

#[test]
fn vlan_interfaces_and_bonds_are_ways_out_and_a_tunnel_is_as_far_as_it_goes() {
    let mut topology = agent();
    for (kind, name) in [(LinkKind::Vlan, "ens3.101"), (LinkKind::Bond, "bond0")] {
        change_link(&mut topology, "ens3", |nic| nic.kind = kind);
        let path = path(&topology);
        assert_eq!(
            (path.traceability == Traceability::Fully, path.hops().last().unwrap().stacked),
            (true, true),
            "{name}"
        );
    }
    change_link(&mut topology, "ens3", |nic| nic.kind = LinkKind::Tunnel);
    let path = path(&topology);
    assert!(matches!(&path.traceability, Traceability::Partly { why } if why.contains("tunnel")));
}

#[test]
fn a_nic_and_a_tunnel_on_one_bridge_are_alternatives() {
    let mut topology = agent();
    let mut device = link(50, "vxlan-77", LinkKind::Tunnel);
    device.master = Some(IfIndex(10));
    add_links(&mut topology, vec![device]);
    let path = path(&topology);
    assert_eq!(names(&path), [(Role::Tap, TAP), (Role::Nic, "ens3"), (Role::Tunnel, "vxlan-77")]);
    let hops: Vec<_> = path.hops().collect();
    let options = PlanOptions { wire: true, ..PlanOptions::default() };
    let plan = plan(&hops, options).unwrap();
    let labels: Vec<_> = plan.hooks.iter().map(|hook| hook.label.as_str()).collect();
    assert_eq!(labels, ["tap", "nic:ens3", "tunnel:vxlan-77", "wire", "nic:ens3", "tunnel:vxlan-77", "tap"]);
    let from_tap = plan.segments.iter().filter(|segment| segment.from.place() == 0).count();
    assert_eq!(from_tap, 2);
}

#[test]
fn without_a_way_out_the_host_routes() {
    let mut topology = agent();
    change_link(&mut topology, "ens3", |nic| nic.master = None);
    let interface = topology.instances.first_mut().unwrap().interfaces.first_mut().unwrap();
    interface.network = Some("default".to_owned());
    let path = path(&topology);
    assert_eq!((path.network.as_deref(), path.problems.len()), (Some("libvirt network default"), 0));
    assert!(matches!(&path.traceability, Traceability::No { why } if why.contains("no address of the host")));
    topology.addresses.insert(IfIndex(10), vec!["192.168.122.1".parse().unwrap()]);
    let path = self::path(&topology);
    assert_eq!(names(&path), [(Role::Tap, TAP), (Role::Bridge, BRIDGE)]);
    assert!(path.hops().last().unwrap().facts.receives == Direction::Egress && path.other_ports.is_empty());
    assert!(matches!(&path.traceability, Traceability::Partly { why } if why.contains("routes")));
}

#[test]
fn one_that_is_shut_off_is_known_by_what_libvirt_was_told() {
    let mut topology = agent();
    topology.instances.first_mut().unwrap().state = InstanceState::ShutOff;
    for name in [TAP, BRIDGE] {
        remove_link(&mut topology, name);
    }
    let path = path(&topology);
    assert_eq!(path.kind, PathKind::LinuxBridge);
    assert!(matches!(&path.traceability, Traceability::No { why } if why.contains("shut off")));
}

#[test]
fn a_bridge_with_a_nic_and_other_vms_is_no_hybrid_plug_for_a_veth_end_to_the_switch() {
    let mut topology = lab();
    change_link(&mut topology, "qbrc3d70d5c-a9", |bridge| bridge.name = "br0".to_owned());
    let interface = topology.instances.first_mut().unwrap().interfaces.first_mut().unwrap();
    interface.source_bridge = Some("br0".to_owned());
    assert_eq!(path(&topology).kind, PathKind::OvsHybrid);
    let mut eth0 = link(60, "eth0", LinkKind::Other);
    eth0.master = Some(IfIndex(10));
    add_links(&mut topology, vec![eth0]);
    let path = path(&topology);
    assert_eq!((path.kind, path.hops().last().unwrap().ifname.as_str()), (PathKind::LinuxBridge, "eth0"));
}

#[test]
fn anchors_and_ends_of_veth_pairs_lead_out_of_no_host() {
    for kind in [LinkKind::Dummy, LinkKind::Veth, LinkKind::OpenVswitch] {
        let mut topology = agent();
        change_link(&mut topology, "ens3", |nic| nic.kind = kind);
        let path = path(&topology);
        assert_eq!(names(&path), [(Role::Tap, TAP)], "{kind:?}");
        let why = path.traceability.why_not().unwrap().to_owned();
        assert_eq!(why.contains("leads on by ens3"), kind != LinkKind::Dummy, "{why}");
    }
}
