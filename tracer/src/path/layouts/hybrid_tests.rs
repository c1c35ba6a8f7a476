//! Every way the hybrid path can be, and be wrong.
#![allow(clippy::unwrap_used)]

use crate::model::{
    BridgePortState, Hop, IfIndex, InstanceState, Link, LinkKind, OtherPort, Path, PathKind, PortKind, Role,
    SourceName, Step, Topology, Traceability, VethPeer,
};
use crate::path::{find, testing::*};

fn path(topology: &Topology) -> Path {
    find(topology, PORT).unwrap()
}

fn roles(path: &Path) -> Vec<(Role, &str)> {
    path.hops().map(|hop| (hop.role, hop.ifname.as_str())).collect()
}

/// The texts of the problems at one place; asserts that there are no others.
fn only_problem(path: &Path, at: &str) -> String {
    let [problem] = path.problems.as_slice() else { panic!("{:?}", path.problems) };
    assert_eq!(problem.at, at);
    problem.what.clone()
}

fn node_names(path: &Path) -> Vec<&str> {
    path.steps.iter().map(Step::name).collect()
}

#[test]
fn a_healthy_path_goes_from_the_tap_to_the_nic() {
    let path = path(&lab());
    assert_eq!((path.kind, path.instance.mac), (PathKind::OvsHybrid, mac(MAC)));
    let hop = |role, name: &str, index, bridge: &str, vlan_tag| Hop {
        bridge: Some(bridge.to_owned()),
        vlan_tag,
        ..hop(role, name, index)
    };
    let expected = [
        hop(Role::Tap, "tapc3d70d5c-a9", 13, "qbrc3d70d5c-a9", None),
        hop(Role::Qvb, "qvbc3d70d5c-a9", 11, "qbrc3d70d5c-a9", None),
        hop(Role::Qvo, "qvoc3d70d5c-a9", 12, "br-int", Some(1)),
        hop(Role::Nic, "ens3", 2, "br-ex", None),
    ];
    assert!(path.hops().eq(&expected));
    let nodes = [
        "tapc3d70d5c-a9",
        "qbrc3d70d5c-a9",
        "qvbc3d70d5c-a9",
        "qvoc3d70d5c-a9",
        "br-int",
        "int-br-ex",
        "br-ex",
        "ens3",
    ];
    assert_eq!(node_names(&path), nodes);
    assert_eq!((path.problems, path.traceability), (vec![], Traceability::Fully));
    let [bridge] = path.other_ports.as_slice() else { panic!("{:?}", path.other_ports) };
    assert_eq!((bridge.kind, bridge.ifname.as_str()), (PortKind::Bridge, "qbrc3d70d5c-a9"));
    assert_eq!(path.instance.display_name.as_deref(), Some("yjwang-test-1"));
}

#[test]
fn ovsdb_alone_is_enough() {
    let mut topology = lab();
    topology.instances.clear();
    let path = path(&topology);
    assert_eq!((path.hops().count(), &path.traceability), (4, &Traceability::Fully));
    assert_eq!((path.instance.name, path.instance.uuid.as_deref()), (None, Some(UUID)));
}

#[test]
fn libvirt_alone_gives_the_part_up_to_the_veth_pair() {
    let mut topology = lab();
    topology.bridges_mut().clear();
    topology.sources.retain(|source| source.name != SourceName::Ovsdb);
    let path = path(&topology);
    let names = [Role::Tap, Role::Qvb, Role::Qvo];
    assert_eq!(path.hops().map(|hop| hop.role).collect::<Vec<_>>(), names);
    assert!(matches!(&path.traceability, Traceability::Partly { why } if why.contains("OVSDB")));
}

#[test]
fn without_ovsdb_the_kernel_knows_whether_its_own_datapath_takes_the_packets() {
    let mut topology = lab();
    topology.bridges_mut().clear();
    topology.sources.retain(|source| source.name != SourceName::Ovsdb);
    let with_master = |topology: &mut Topology, master| {
        let mut links = topology.links().to_vec();
        links.iter_mut().filter(|link| link.name.starts_with("qvo")).for_each(|link| link.master = master);
        topology.set_links(links);
        path(topology).taken_unseen
    };
    assert_eq!(with_master(&mut topology, None), Some(IfIndex(12)));
    assert_eq!(with_master(&mut topology, Some(IfIndex(99))), None);
    // OVSDB knows it, or knows that it is nowhere.
    assert_eq!(path(&lab()).taken_unseen, None);
    let mut topology = lab();
    topology
        .bridges_mut()
        .iter_mut()
        .for_each(|bridge| bridge.ports.retain(|port| !port.name.starts_with("qvo")));
    assert_eq!(path(&topology).taken_unseen, None);
}

#[test]
fn a_shut_off_vm_has_no_tap() {
    let mut topology = lab();
    topology.instances.first_mut().unwrap().state = InstanceState::ShutOff;
    remove_link(&mut topology, "tapc3d70d5c-a9");
    let path = path(&topology);
    assert_eq!(only_problem(&path, "tapc3d70d5c-a9"), "the VM is shut off (libvirt), so it has no tap");
    assert!(matches!(&path.traceability, Traceability::No { why } if why.contains("shut off")));
    assert_eq!(path.hops().count(), 3);
}

#[test]
fn a_shut_off_and_unplugged_vm_is_explained_too() {
    let mut topology = lab();
    topology.instances.first_mut().unwrap().state = InstanceState::ShutOff;
    topology
        .bridges_mut()
        .iter_mut()
        .for_each(|bridge| bridge.ports.retain(|port| !port.name.starts_with("qvo")));
    topology.set_links(vec![]);
    let path = path(&topology);
    assert!(path.hops().next().is_none());
    assert!(matches!(&path.traceability, Traceability::No { why } if why.contains("shut off")));
}

#[test]
fn an_interface_that_is_down_or_has_no_carrier_is_named() {
    for (name, evidence) in
        [("tapc3d70d5c-a9", "no process"), ("qvoc3d70d5c-a9", "other end"), ("ens3", "cable")]
    {
        let mut topology = lab();
        change_link(&mut topology, name, |link| link.admin_up = false);
        assert!(only_problem(&path(&topology), name).contains("IFF_UP"), "{name}");
        let mut topology = lab();
        change_link(&mut topology, name, |link| link.carrier = false);
        let path = path(&topology);
        assert!(only_problem(&path, name).contains(evidence), "{name}");
        assert_eq!(path.traceability, Traceability::Fully);
    }
    let mut topology = lab();
    change_link(&mut topology, "qbrc3d70d5c-a9", |link| link.admin_up = false);
    assert!(only_problem(&path(&topology), "qbrc3d70d5c-a9").contains("bridge is down"));
}

#[test]
fn a_bridge_port_that_does_not_forward_is_named() {
    let mut topology = lab();
    let blocking = Some(BridgePortState::NotForwarding("learning"));
    change_link(&mut topology, "qvbc3d70d5c-a9", |link| link.bridge_port_state = blocking);
    assert!(only_problem(&path(&topology), "qvbc3d70d5c-a9").contains("state learning"));
    change_link(&mut topology, "qvbc3d70d5c-a9", |link| link.carrier = false);
    assert!(only_problem(&path(&topology), "qvbc3d70d5c-a9").contains("no carrier"));
}

#[test]
fn a_missing_patch_peer_is_named_and_leaves_no_uplink() {
    let mut topology = lab();
    change_port(&mut topology, "int-br-ex", |port| {
        port.interfaces.first_mut().unwrap().peer = Some("phy-gone".to_owned());
    });
    let path = path(&topology);
    assert!(
        path.problems_at("br-int").any(|problem| problem.what.contains("phy-gone, which does not exist"))
    );
    let why = "br-int has no uplink: patch port int-br-ex names the peer phy-gone, which does not exist";
    assert_eq!(path.traceability, Traceability::Partly { why: why.to_owned() });
    assert_eq!(path.hops().count(), 3);
    for (peer, evidence) in [(None, "no options:peer"), (Some("qvoc3d70d5c-a9"), "no patch port")] {
        change_port(&mut topology, "int-br-ex", |port| {
            port.interfaces.first_mut().unwrap().peer = peer.map(str::to_owned);
        });
        assert!(
            find(&topology, PORT).unwrap().problems.iter().any(|problem| problem.what.contains(evidence))
        );
    }
}

#[test]
fn a_patch_peer_that_does_not_point_back_is_named() {
    let mut topology = lab();
    change_port(&mut topology, "phy-br-ex", |port| {
        port.interfaces.first_mut().unwrap().peer = Some("other".to_owned());
    });
    let path = path(&topology);
    assert!(path.problems_at("br-int").any(|problem| problem.what.contains("whose own peer is other")));
}

#[test]
fn a_qvo_unknown_to_ovsdb_cuts_the_path() {
    let mut topology = lab();
    topology
        .bridges_mut()
        .iter_mut()
        .for_each(|bridge| bridge.ports.retain(|port| !port.name.starts_with("qvo")));
    let path = path(&topology);
    assert_eq!(roles(&path).last(), Some(&(Role::Qvo, "qvoc3d70d5c-a9")));
    assert!(only_problem(&path, "qvoc3d70d5c-a9").contains("no bridge in OVSDB has a port of this name"));
    assert!(matches!(&path.traceability, Traceability::Partly { why } if why.contains("unknown to OVSDB")));
}

#[test]
fn an_interface_ovs_could_not_open_is_named_with_its_error() {
    let mut topology = lab();
    change_port(&mut topology, "qvoc3d70d5c-a9", |port| {
        let interface = port.interfaces.first_mut().unwrap();
        interface.ofport = Some(-1);
        interface.error = Some("could not open network device\x1b[2J (No such device)".to_owned());
    });
    let what = only_problem(&path(&topology), "qvoc3d70d5c-a9");
    assert!(
        what.contains("ofport -1") && what.contains("No such device") && !what.contains('\x1b'),
        "{what}"
    );
}

#[test]
fn an_uplink_without_a_netdev_is_a_gap() {
    let mut topology = lab();
    topology.bridges_mut().first_mut().unwrap().ports.push(port(vec![netdev("eth9")]));
    let beside = path(&topology);
    assert!(only_problem(&beside, "eth9").contains("no such interface"));
    assert_eq!(beside.traceability, Traceability::Fully);
    let mut topology = lab();
    remove_link(&mut topology, "ens3");
    change_port(&mut topology, "ens3", |port| {
        let interface = port.interfaces.first_mut().unwrap();
        (interface.ofport, interface.error) = (Some(-1), Some("No such device".to_owned()));
    });
    let path = path(&topology);
    assert!(only_problem(&path, "ens3").contains("No such device"));
    assert!(matches!(path.traceability, Traceability::Partly { .. }));
}

#[test]
fn neutrons_dead_vlan_and_inactive_ports_are_named() {
    let mut topology = lab();
    change_port(&mut topology, "qvoc3d70d5c-a9", |port| port.tag = Some(4095));
    let dead = path(&topology);
    assert!(only_problem(&dead, "qvoc3d70d5c-a9").contains("4095"));
    assert_eq!(dead.traceability, Traceability::Fully);
    let mut topology = lab();
    change_port(&mut topology, "qvoc3d70d5c-a9", |port| {
        port.interfaces.first_mut().unwrap().neutron.iface_status = Some("inactive".to_owned());
    });
    assert!(only_problem(&path(&topology), "qvoc3d70d5c-a9").contains("inactive"));
}

#[test]
fn a_bridge_without_an_uplink_is_drawn_and_named() {
    let mut topology = lab();
    topology.bridges_mut().first_mut().unwrap().ports.retain(|port| port.name != "ens3");
    let path = path(&topology);
    assert_eq!(node_names(&path).last(), Some(&"br-ex"));
    assert!(only_problem(&path, "br-ex").starts_with("no uplink"));
    assert_eq!(path.traceability.why_not(), Some("br-ex has no uplink"));
}

#[test]
fn only_a_smaller_mtu_further_along_is_a_problem() {
    let mut topology = lab();
    change_link(&mut topology, "qvoc3d70d5c-a9", |link| link.mtu_bytes = 1450);
    assert!(
        only_problem(&path(&topology), "qvoc3d70d5c-a9").contains("MTU 1450 is smaller than 1500 of tap")
    );
    let mut topology = lab();
    change_link(&mut topology, "ens3", |link| link.mtu_bytes = 9000);
    assert_eq!(path(&topology).problems, []);
}

#[test]
fn a_mac_that_differs_from_attached_mac_is_named() {
    let mut topology = lab();
    change_port(&mut topology, "qvoc3d70d5c-a9", |port| {
        port.interfaces.first_mut().unwrap().neutron.attached_mac = Some(mac("fa:16:3e:00:00:99"));
    });
    let what = only_problem(&path(&topology), Path::GUEST);
    assert!(what.contains(MAC) && what.contains("fa:16:3e:00:00:99"), "{what}");
}

#[test]
fn a_tap_on_no_bridge_and_a_bridge_without_veth_are_named() {
    let mut topology = lab();
    change_link(&mut topology, "tapc3d70d5c-a9", |link| link.master = None);
    assert!(only_problem(&path(&topology), "tapc3d70d5c-a9").contains("no master"));
    let mut topology = lab();
    change_link(&mut topology, "qvbc3d70d5c-a9", |link| link.master = None);
    let path = path(&topology);
    assert!(path.problems_at("qvbc3d70d5c-a9").any(|problem| problem.what.contains("no veth port")));
    assert!(matches!(path.traceability, Traceability::Partly { .. }));
}

#[test]
fn a_veth_whose_peer_is_in_another_namespace_is_named() {
    let mut topology = lab();
    change_link(&mut topology, "qvbc3d70d5c-a9", |link| {
        link.peer = Some(VethPeer::OtherNamespace(IfIndex(12)));
    });
    assert!(path(&topology).problems_at("qvbc3d70d5c-a9").any(|problem| problem.what.contains("namespace")));
}

#[test]
fn bond_members_are_alternatives_and_a_linux_bond_is_one_nic() {
    let mut topology = lab();
    topology.bridges_mut().first_mut().unwrap().ports.push(port(vec![netdev("eth1"), netdev("eth2")]));
    topology.bridges_mut().first_mut().unwrap().ports.retain(|port| port.name != "ens3");
    add_links(&mut topology, vec![link(21, "eth1", LinkKind::Other), link(22, "eth2", LinkKind::Other)]);
    assert_eq!(roles(&path(&topology)).split_off(3), [(Role::Nic, "eth1"), (Role::Nic, "eth2")]);
    change_link(&mut topology, "eth1", |link| link.kind = LinkKind::Bond);
    assert_eq!(path(&topology).hops().count(), 5);
}

#[test]
fn ports_of_vms_and_agents_are_no_uplinks_but_other_ports() {
    let mut topology = lab();
    let other = "11111111-2222-3333-4444-555555555555";
    let ports = &mut topology.bridges_mut().last_mut().unwrap().ports;
    ports.push(qvo("qvo11111111-22", other, "ffff", "fa:16:3e:00:00:02"));
    let mut dhcp = netdev("tapdddddddd-dd");
    dhcp.kind = "internal".to_owned();
    ports.push(port(vec![dhcp]));
    add_links(&mut topology, vec![link(31, "qvo11111111-22", LinkKind::Veth)]);
    let path = path(&topology);
    let of_switch: Vec<_> = path.other_ports.iter().filter(|port| port.kind != PortKind::Bridge).collect();
    let neighbour = OtherPort {
        ifname: "qvo11111111-22".to_owned(),
        ifindex: IfIndex(31),
        macs: vec!["fa:16:3e:00:00:02".parse().unwrap()],
        bridge: Some("br-int".to_owned()),
        ofport: Some(5),
        ..OtherPort::default()
    };
    assert_eq!(of_switch, [&neighbour]);
    assert_eq!((path.hops().count(), path.problems), (4, vec![]));
}

#[test]
fn a_mirror_s_output_is_no_uplink() {
    let mut topology = lab();
    let bridge = topology.bridges_mut().last_mut().unwrap();
    bridge.ports.push(port(vec![netdev("span0")]));
    bridge.mirror_outputs.push("span0".to_owned());
    add_links(&mut topology, vec![link(32, "span0", LinkKind::Other)]);
    let path = path(&topology);
    assert_eq!((path.hops().count(), path.problems), (4, vec![]));
    assert!(path.other_ports.iter().any(|port| port.ifname == "span0" && port.is_mirror));
}

#[test]
fn two_provider_bridges_are_both_drawn_and_said() {
    let mut topology = lab();
    topology.bridges_mut().last_mut().unwrap().ports.push(port(vec![patch("int-br-b", "phy-br-b")]));
    topology
        .bridges_mut()
        .push(bridge("br-b", vec![port(vec![netdev("ens4")]), port(vec![patch("phy-br-b", "int-br-b")])]));
    add_links(&mut topology, vec![link(41, "ens4", LinkKind::Other)]);
    let path = path(&topology);
    assert_eq!(roles(&path).split_off(3), [(Role::Nic, "ens3"), (Role::Nic, "ens4")]);
    assert!(only_problem(&path, "br-int").contains("br-ex, br-b"));
}

#[test]
fn patch_ports_may_form_a_circle_or_a_chain() {
    let mut topology = lab();
    let (int, ex) = (&[patch("a1", "a2"), patch("c2", "c1")], &[patch("a2", "a1"), patch("b1", "b2")]);
    topology.bridges_mut().last_mut().unwrap().ports.extend(int.iter().map(|it| port(vec![it.clone()])));
    topology.bridges_mut().first_mut().unwrap().ports.extend(ex.iter().map(|it| port(vec![it.clone()])));
    topology
        .bridges_mut()
        .push(bridge("br-tun", vec![port(vec![patch("b2", "b1")]), port(vec![patch("c1", "c2")])]));
    assert_eq!((path(&topology).hops().count(), path(&topology).problems), (4, vec![]));
}

#[test]
fn a_provider_bridge_that_leads_to_a_linux_bridge_has_its_way_there() {
    let mut topology = lab();
    change_port(&mut topology, "ens3", |port| {
        port.name = "to-br0".to_owned();
        port.interfaces = vec![netdev("to-br0")];
    });
    let veth = |index, name, peer| Link {
        peer: Some(VethPeer::Here(IfIndex(peer))),
        ..link(index, name, LinkKind::Veth)
    };
    let far = Link { master: Some(IfIndex(82)), ..veth(81, "from-br-ex", 80) };
    add_links(&mut topology, vec![veth(80, "to-br0", 81), far, link(82, "br0", LinkKind::Bridge)]);
    let path = path(&topology);
    assert!(path.problems.is_empty(), "{:?}", path.problems);
    let why = path.traceability.why_not().unwrap();
    assert!(why.contains("leads on by to-br0 to the Linux bridge br0"), "{why}");
}

#[test]
fn a_tunnel_network_ends_at_the_integration_bridge() {
    let mut topology = lab();
    topology.bridges_mut().first_mut().unwrap().ports.retain(|port| port.name != "ens3");
    change_port(&mut topology, "qvoc3d70d5c-a9", |port| {
        port.network.network_type = Some("vxlan".to_owned());
        port.network.segmentation_id = Some("77".to_owned());
    });
    let path = path(&topology);
    assert_eq!((path.network.as_deref(), path.problems.len()), (Some("vxlan 77"), 0));
    assert!(matches!(&path.traceability, Traceability::Partly { why } if why.contains("tunnel")));
}

#[test]
fn a_tap_that_is_a_port_of_nothing_is_no_layout() {
    let mut topology = lab();
    topology.bridges_mut().clear();
    remove_link(&mut topology, "qbrc3d70d5c-a9");
    change_link(&mut topology, "tapc3d70d5c-a9", |tap| tap.master = None);
    let interface = topology.instances.first_mut().unwrap().interfaces.first_mut().unwrap();
    interface.source_bridge = None;
    let error = find(&topology, PORT).unwrap_err().to_string();
    assert!(error.contains("a port of no bridge"), "{error}");
}
