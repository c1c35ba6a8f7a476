//! Taps that are ports of the switch itself.
#![allow(clippy::unwrap_used)]

use crate::model::{
    InstanceState, LinkKind, NeutronKeys, OvsInterface, OvsPort, Path, PathKind, ProblemKind, Role,
    SourceName, Step, Topology, Traceability,
};
use crate::path::{find, list, testing::*};

const TAP: &str = "tapc3d70d5c-a9";

/// The lab's VM as the native firewall has it: no bridge, no veth pair, its tap in br-int.
fn native() -> Topology {
    let mut topology = lab();
    for name in ["qbrc3d70d5c-a9", "qvbc3d70d5c-a9", "qvoc3d70d5c-a9"] {
        remove_link(&mut topology, name);
    }
    change_link(&mut topology, TAP, |tap| (tap.master, tap.bridge_port_state) = (None, None));
    change_port(&mut topology, "qvoc3d70d5c-a9", |port| {
        port.name = TAP.to_owned();
        port.interfaces.first_mut().unwrap().name = TAP.to_owned();
    });
    let interface = topology.instances.first_mut().unwrap().interfaces.first_mut().unwrap();
    interface.source_bridge = Some("br-int".to_owned());
    topology
}

/// A row that has the port's `iface-id`.
fn row(name: &str, ofport: Option<i64>) -> OvsInterface {
    let neutron = NeutronKeys {
        iface_id: Some(PORT.to_owned()),
        vm_uuid: Some(UUID.to_owned()),
        ..NeutronKeys::default()
    };
    OvsInterface { ofport, neutron, ..netdev(name) }
}

fn path(topology: &Topology) -> Path {
    find(topology, PORT).unwrap()
}

fn roles(path: &Path) -> Vec<(Role, &str)> {
    path.hops().map(|hop| (hop.role, hop.ifname.as_str())).collect()
}

#[test]
fn the_way_is_from_the_tap_to_the_nic() {
    let path = path(&native());
    assert_eq!((path.kind, &path.traceability), (PathKind::OvsNative, &Traceability::Fully));
    assert_eq!(roles(&path), [(Role::Tap, TAP), (Role::Nic, "ens3")]);
    let names: Vec<_> = path.steps.iter().map(Step::name).collect();
    assert_eq!(names, [TAP, "br-int", "int-br-ex", "br-ex", "ens3"]);
    assert_eq!(
        (path.guests().unwrap().vlan_tag, path.problems.len(), path.other_ports.len()),
        (Some(1), 0, 0)
    );
}

#[test]
fn the_kernel_s_datapath_is_the_tap_s_master() {
    let mut topology = native();
    add_links(&mut topology, vec![link(30, "ovs-system", LinkKind::OpenVswitch)]);
    change_link(&mut topology, TAP, |tap| tap.master = Some(crate::model::IfIndex(30)));
    // Whatever libvirt was told.
    let interface = topology.instances.first_mut().unwrap().interfaces.first_mut().unwrap();
    interface.source_bridge = Some("qbrc3d70d5c-a9".to_owned());
    assert_eq!(path(&topology).kind, PathKind::OvsNative);
}

#[test]
fn a_row_with_the_tap_s_name_is_nothing_against_the_kernel_s_word() {
    let mut topology = lab();
    for ofport in [Some(-1), Some(9), None] {
        let dead = row(TAP, ofport);
        let integration = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-int").unwrap();
        integration.ports.retain(|port| port.name != TAP);
        integration.ports.push(OvsPort { tag: Some(4095), ..port(vec![dead]) });
        let path = path(&topology);
        assert_eq!((path.kind, path.hops().count()), (PathKind::OvsHybrid, 4), "{ofport:?}");
        let [problem] = path.problems.as_slice() else { panic!("{:?}", path.problems) };
        assert!(problem.what.contains("ovs-vsctl del-port br-int tapc3d70d5c-a9"), "{}", problem.what);
        assert_eq!(list(&topology).len(), 1);
    }
}

#[test]
fn a_second_row_of_another_name_makes_no_second_port() {
    let mut topology = lab();
    let dead = row("aaa", Some(-1));
    topology
        .bridges_mut()
        .iter_mut()
        .find(|bridge| bridge.name == "br-int")
        .unwrap()
        .ports
        .insert(0, port(vec![dead]));
    for instances in [topology.instances.clone(), Vec::new()] {
        topology.instances = instances;
        assert_eq!(list(&topology).len(), 1);
        for handle in [PORT, UUID, MAC, TAP, "qvoc3d70d5c-a9", "aaa"] {
            let path = find(&topology, handle).unwrap();
            assert_eq!((path.hops().count(), path.problems.len()), (4, 1), "{handle}");
        }
    }
}

#[test]
fn a_row_of_another_vm_with_the_same_id_is_that_vm_s() {
    let mut topology = native();
    let other = "1d2e3f40-83d9-4518-9055-4df2899e23af";
    let integration = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-int").unwrap();
    integration.ports.push(qvo("vnet9", PORT, other, "fa:16:3e:5c:90:d2"));
    add_links(&mut topology, vec![link(70, "vnet9", LinkKind::Tun)]);
    let named =
        |topology: &Topology| list(topology).iter().map(|row| row.uuid.clone().unwrap()).collect::<Vec<_>>();
    assert_eq!(named(&topology).len(), 2);
    assert!(find(&topology, UUID).unwrap().problems.is_empty());
    topology.instances.clear();
    assert_eq!(named(&topology).len(), 2);
}

#[test]
fn a_second_row_that_may_live_is_told_without_a_command() {
    let mut topology = native();
    remove_link(&mut topology, TAP);
    for (index, name) in [(71, "vnet8"), (72, "vnet9")] {
        let integration = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-int").unwrap();
        integration.ports.push(qvo(name, PORT, UUID, MAC));
        add_links(&mut topology, vec![link(index, name, LinkKind::Other)]);
    }
    let path = path(&topology);
    let second: Vec<_> = path.problems.iter().filter(|it| it.what.contains("a second row")).collect();
    assert_eq!(second.len(), 2, "{:?}", path.problems);
    let commands = second.iter().filter(|it| it.what.contains("del-port")).count();
    // The row of the tap that is not there is dead, and the others may be anything.
    assert_eq!(commands, 1, "{second:?}");
}

#[test]
fn a_vhost_user_row_is_no_missing_tap() {
    let mut topology = native();
    topology.instances.clear();
    remove_link(&mut topology, TAP);
    change_port(&mut topology, TAP, |port| {
        port.interfaces.first_mut().unwrap().kind = "dpdkvhostuserclient".to_owned();
    });
    let error = find(&topology, PORT).unwrap_err().to_string();
    assert!(error.contains("vhost-user"), "{error}");
}

#[test]
fn ports_behind_a_veth_pair_between_bridges_are_beside_the_path() {
    let mut topology = native();
    let veth = |index, name: &str, peer| {
        let mut link = link(index, name, LinkKind::Veth);
        link.peer = Some(crate::model::VethPeer::Here(crate::model::IfIndex(peer)));
        link
    };
    add_links(
        &mut topology,
        vec![veth(80, "int-v", 81), veth(81, "phy-v", 80), link(82, "lan", LinkKind::Other)],
    );
    for (bridge, name) in [("br-int", "int-v"), ("br-far", "phy-v"), ("br-far", "lan")] {
        if !topology.bridges().iter().any(|it| it.name == bridge) {
            topology.bridges_mut().push(self::bridge(bridge, Vec::new()));
        }
        let at = topology.bridges_mut().iter_mut().find(|it| it.name == bridge).unwrap();
        at.ports.push(port(vec![netdev(name)]));
    }
    let local = OvsInterface { kind: "internal".to_owned(), ..netdev("br-far") };
    topology.bridges_mut().iter_mut().find(|it| it.name == "br-far").unwrap().ports.push(port(vec![local]));
    add_links(&mut topology, vec![link(83, "br-far", LinkKind::OpenVswitch)]);
    let path = path(&topology);
    let beside: Vec<_> = path.other_ports.iter().map(|port| port.ifname.as_str()).collect();
    assert_eq!(beside, ["br-far"], "{path:?}");
}

#[test]
fn one_that_is_shut_off_has_a_gap_for_a_tap() {
    let mut topology = native();
    topology.instances.first_mut().unwrap().state = InstanceState::ShutOff;
    remove_link(&mut topology, TAP);
    topology.bridges_mut().iter_mut().for_each(|bridge| bridge.ports.retain(|port| port.name != TAP));
    let path = path(&topology);
    assert_eq!(path.kind, PathKind::OvsNative);
    assert!(matches!(&path.traceability, Traceability::No { why } if why.contains("shut off")), "{path:?}");
}

#[test]
fn what_the_switch_could_not_open_or_bind_is_said() {
    let mut topology = native();
    change_port(&mut topology, TAP, |port| {
        port.tag = Some(4095);
        let interface = port.interfaces.first_mut().unwrap();
        (interface.ofport, interface.error) = (Some(-1), Some("Device or resource busy".to_owned()));
    });
    let path = path(&topology);
    let kinds: Vec<_> = path.problems.iter().map(|problem| (problem.at.as_str(), problem.kind)).collect();
    assert_eq!(kinds, [(TAP, ProblemKind::NotOpened), (TAP, ProblemKind::DeadVlan)]);
}

#[test]
fn without_a_row_or_without_ovsdb_the_way_ends_at_the_tap() {
    let mut topology = native();
    topology.bridges_mut().iter_mut().for_each(|bridge| bridge.ports.retain(|port| port.name != TAP));
    let path_of = |topology: &Topology| path(topology);
    let unknown = path_of(&topology);
    assert_eq!(unknown.problems.first().unwrap().kind, ProblemKind::NotInSwitch);
    topology.bridges_mut().clear();
    topology.sources.retain(|source| source.name != SourceName::Ovsdb);
    let unasked = path_of(&topology);
    assert_eq!((unasked.kind, unasked.taken_unseen.is_some()), (PathKind::OvsNative, true));
    assert!(matches!(unasked.traceability, Traceability::No { .. }));
}

#[test]
fn ovn_with_tunnels_is_not_drawn_to_a_provider_nic() {
    let mut topology = native();
    change_port(&mut topology, TAP, |port| port.interfaces.first_mut().unwrap().of_ovn = true);
    assert_eq!((path(&topology).kind, path(&topology).hops().count()), (PathKind::Ovn, 2));
    let tunnel = OvsInterface { kind: "geneve".to_owned(), ..netdev("ovn-c8b85a-0") };
    topology
        .bridges_mut()
        .iter_mut()
        .find(|bridge| bridge.name == "br-int")
        .unwrap()
        .ports
        .push(port(vec![tunnel]));
    // Older ones, and ports that are only just coming, do not have its key.
    for of_ovn in [true, false] {
        change_port(&mut topology, TAP, |port| port.interfaces.first_mut().unwrap().of_ovn = of_ovn);
        let path = path(&topology);
        assert_eq!(roles(&path), [(Role::Tap, TAP)]);
        assert!(matches!(&path.traceability, Traceability::No { why } if why.contains("OVN")));
    }
}

#[test]
fn a_tunnel_network_ends_at_the_switch() {
    let mut topology = native();
    change_port(&mut topology, TAP, |port| port.network.network_type = Some("geneve".to_owned()));
    assert_eq!(roles(&path(&topology)), [(Role::Tap, TAP)]);
}
