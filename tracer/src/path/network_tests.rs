//! Which way a port's network is, by what Neutron and OVN say of it.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crate::model::{
    BridgeMappings, Chassis, Hop, LinkKind, Localnet, LogicalPort, LogicalSwitch, NeutronNetwork,
    OvsInterface, Path, ProblemKind, SourceName, Step, Topology, Traceability,
};
use crate::path::{find, testing::*};

const QVO: &str = "qvoc3d70d5c-a9";

/// The lab's VM with two provider networks, each behind a bridge of its own, and OVN asked.
fn lab_of_ovn() -> Topology {
    let mut topology = lab();
    let integration = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-int").unwrap();
    integration.ports.push(port(vec![patch("int-br-two", "phy-br-two")]));
    let ports = vec![port(vec![netdev("ens4")]), port(vec![patch("phy-br-two", "int-br-two")])];
    topology.bridges_mut().push(bridge("br-two", ports));
    add_links(&mut topology, vec![link(60, "ens4", LinkKind::Other)]);
    topology.ovs_system.system_id = Some("c8b85a".to_owned());
    topology.ovs_system.bridge_mappings = BridgeMappings::parse("physnet1:br-ex,physnet2:br-two");
    topology.sources.push(answered(SourceName::Southbound));
    topology
}

/// OVN has the VM's port in a switch with these segments.
fn in_switch(topology: &mut Topology, segments: &[(&str, Option<u16>)]) {
    let segment = |(network, vlan_tag): &(&str, Option<u16>)| Localnet {
        network: (*network).to_owned(),
        vlan_tag: *vlan_tag,
    };
    let switch = LogicalSwitch {
        name: Some("neutron-1".to_owned()),
        display_name: Some("public".to_owned()),
        tunnel_key: Some(5),
        localnets: segments.iter().map(segment).collect(),
    };
    let chassis = Some(Chassis { name: Some("c8b85a".to_owned()), hostname: None });
    topology.logical_ports.insert(PORT.to_owned(), LogicalPort { switch: Arc::new(switch), chassis });
}

fn with_tunnels(topology: &mut Topology, kinds: &[&str]) {
    let integration = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-int").unwrap();
    for kind in kinds {
        let tunnel = OvsInterface { kind: (*kind).to_owned(), ..netdev(&format!("ovn-{kind}-0")) };
        integration.ports.push(port(vec![tunnel]));
    }
}

fn note(topology: &mut Topology, kind: &str, physical_network: Option<&str>) {
    change_port(topology, QVO, |port| {
        port.network = NeutronNetwork {
            network_type: Some(kind.to_owned()),
            physical_network: physical_network.map(str::to_owned),
            segmentation_id: Some("63".to_owned()),
        };
    });
}

fn path(topology: &Topology) -> Path {
    find(topology, PORT).unwrap()
}

/// The interfaces that lead out of the host.
fn uplinks(path: &Path) -> Vec<&str> {
    path.hops().filter(|hop| hop.is_uplink()).map(|hop| hop.ifname.as_str()).collect()
}

/// The one thing that is wrong, at the integration bridge, and no way leads on from there.
fn only_problem(topology: &Topology) -> String {
    let path = path(topology);
    let [problem] = path.problems.as_slice() else { panic!("{:?}", path.problems) };
    assert_eq!((problem.at.as_str(), problem.kind), ("br-int", ProblemKind::NoUplink));
    assert_eq!(path.steps.last().map(Step::name), Some("br-int"));
    assert!(matches!(path.traceability, Traceability::Partly { .. }), "{path:?}");
    problem.what.clone()
}

#[test]
fn a_provider_network_is_behind_the_bridge_it_is_mapped_to() {
    let mut topology = lab_of_ovn();
    for (network, tag, nic, words) in [
        ("physnet2", Some(101), "ens4", "vlan 101 on physnet2, OVN switch neutron-1 (public)"),
        ("physnet1", None, "ens3", "flat on physnet1, OVN switch neutron-1 (public)"),
    ] {
        in_switch(&mut topology, &[(network, tag)]);
        // Tunnels are for other networks.
        for kinds in [&[] as &[&str], &["geneve"]] {
            with_tunnels(&mut topology, kinds);
            let path = path(&topology);
            assert_eq!((uplinks(&path), path.network.as_deref()), (vec![nic], Some(words)));
            assert_eq!((path.problems.len(), &path.traceability), (0, &Traceability::Fully), "{path:?}");
        }
    }
}

#[test]
fn of_a_network_with_a_segment_for_each_rack_the_host_has_its_own() {
    let mut topology = lab_of_ovn();
    in_switch(&mut topology, &[("physnet2", Some(7)), ("rack-8", Some(8))]);
    let path = path(&topology);
    assert_eq!((uplinks(&path), path.problems.len()), (vec!["ens4"], 0));
    assert_eq!(path.network.as_deref(), Some("vlan 7 on physnet2, OVN switch neutron-1 (public)"));
}

#[test]
fn a_port_that_nobody_knows_is_drawn_as_far_as_it_may_go() {
    let mut topology = lab_of_ovn();
    let unknown = path(&topology);
    assert_eq!((uplinks(&unknown), unknown.network.as_deref()), (vec!["ens3", "ens4"], None));
    assert!(unknown.problems.iter().any(|problem| problem.what.contains("more than one bridge")));
    with_tunnels(&mut topology, &["geneve"]);
    let why = |topology: &Topology| {
        let path = path(topology);
        assert_eq!(uplinks(&path), [""; 0]);
        path.traceability.why_not().unwrap().to_owned()
    };
    assert!(why(&topology).contains("OVN's southbound database, which does not know the port"));
    topology.sources.iter_mut().find(|it| it.name == SourceName::Southbound).unwrap().missing =
        Some("late".to_owned());
    assert!(why(&topology).contains("which gave no answer"));
    topology.sources.retain(|source| source.name != SourceName::Southbound);
    assert!(why(&topology).contains("external_ids:ovn-remote"));
}

#[test]
fn a_tunnel_network_is_never_drawn_to_a_nic() {
    let cases: [(&[&str], &str); 3] = [
        (&[], "geneve 5, OVN switch neutron-1 (public)"),
        (&["vxlan", "geneve"], "geneve 5, OVN switch neutron-1 (public)"),
        (&["vxlan"], "vxlan 5, OVN switch neutron-1 (public)"),
    ];
    for (kinds, words) in cases {
        let mut topology = lab_of_ovn();
        in_switch(&mut topology, &[]);
        with_tunnels(&mut topology, kinds);
        let path = path(&topology);
        assert_eq!((uplinks(&path), path.network.as_deref()), (Vec::new(), Some(words)));
        assert!(!path.hops().any(Hop::leads_out), "{path:?}");
        assert!(path.traceability.why_not().unwrap().contains("tunnel"), "{path:?}");
    }
}

#[test]
fn a_provider_network_without_a_bridge_here_is_told_with_the_command() {
    let mut topology = lab_of_ovn();
    in_switch(&mut topology, &[("physnet3", Some(9))]);
    let what = only_problem(&topology);
    let set = "ovs-vsctl set Open_vSwitch . external_ids:ovn-bridge-mappings=";
    assert!(what.contains(&format!("{set}physnet1:br-ex,physnet2:br-two,physnet3:BRIDGE")), "{what}");
    let words = path(&topology).network;
    assert_eq!(words.as_deref(), Some("vlan 9 on physnet3, OVN switch neutron-1 (public)"));
    // No command with a name that is none.
    in_switch(&mut topology, &[("physnet;3", None)]);
    assert!(!only_problem(&topology).contains("ovs-vsctl"));
}

#[test]
fn a_mapping_that_leads_nowhere_is_told() {
    let mut topology = lab_of_ovn();
    in_switch(&mut topology, &[("physnet2", None)]);
    topology.ovs_system.bridge_mappings = BridgeMappings::parse("physnet2:br-none");
    assert!(only_problem(&topology).contains("no bridge of that name"));
    topology.ovs_system.bridge_mappings = BridgeMappings::parse("physnet2:br-apart");
    topology.bridges_mut().push(bridge("br-apart", vec![port(vec![netdev("ens5")])]));
    assert!(only_problem(&topology).contains("no patch port leads to br-apart"));
    // In reach, and without an uplink.
    topology.ovs_system.bridge_mappings = BridgeMappings::parse("physnet2:br-two");
    let two = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-two").unwrap();
    two.ports.retain(|port| port.name != "ens4");
    let path = path(&topology);
    let [problem] = path.problems.as_slice() else { panic!("{:?}", path.problems) };
    assert_eq!((problem.at.as_str(), problem.kind), ("br-two", ProblemKind::NoUplink));
    assert_eq!(uplinks(&path), [""; 0]);
}

#[test]
fn neutron_s_note_is_narrowed_by_the_mapping_where_that_leads_somewhere() {
    let mut topology = lab_of_ovn();
    note(&mut topology, "vlan", Some("physnet2"));
    let narrowed = path(&topology);
    assert_eq!((uplinks(&narrowed), narrowed.problems.len()), (vec!["ens4"], 0));
    assert_eq!(narrowed.network.as_deref(), Some("vlan 63 on physnet2"));
    for mappings in ["", "physnet2:br-migration", "physnet1:br-ex"] {
        topology.ovs_system.bridge_mappings = BridgeMappings::parse(mappings);
        assert_eq!(uplinks(&path(&topology)), ["ens3", "ens4"], "{mappings}");
    }
}

#[test]
fn who_programs_the_switch_is_believed() {
    let mut topology = lab_of_ovn();
    note(&mut topology, "vxlan", None);
    in_switch(&mut topology, &[("physnet1", Some(101))]);
    let told = path(&topology);
    assert_eq!((uplinks(&told), told.network.as_deref()), (Vec::new(), Some("vxlan 63")));
    change_port(&mut topology, QVO, |port| port.interfaces.first_mut().unwrap().of_ovn = true);
    assert_eq!(uplinks(&path(&topology)), ["ens3"]);
    topology.logical_ports.clear();
    assert_eq!(path(&topology).network.as_deref(), Some("vxlan 63"));
}

#[test]
fn a_port_that_ovn_has_not_bound_here_is_told() {
    let mut topology = lab_of_ovn();
    in_switch(&mut topology, &[("physnet1", None)]);
    let mut told = |chassis: Option<Chassis>| {
        topology.logical_ports.get_mut(PORT).unwrap().chassis = chassis;
        let found = path(&topology);
        assert!(found.problems.iter().all(|it| it.at == QVO) && uplinks(&found) == ["ens3"], "{found:?}");
        found.problems.first().map(|problem| problem.what.clone()).unwrap_or_default()
    };
    let host =
        |name: &str| Some(Chassis { name: Some(name.to_owned()), hostname: Some("compute-2".to_owned()) });
    assert!(told(None).contains("bound this port to no host"));
    assert!(told(host("b5643d")).contains("another host, b5643d, compute-2"));
    assert_eq!((told(host("c8b85a")), told(Some(Chassis::default()))), (String::new(), String::new()));
}

#[test]
fn bad_data_is_no_network() {
    let mut topology = lab_of_ovn();
    with_tunnels(&mut topology, &["geneve"]);
    let localnets = vec![Localnet { network: String::new(), vlan_tag: None }];
    let switch = LogicalSwitch { localnets, ..LogicalSwitch::default() };
    let nameless = LogicalPort { switch: Arc::new(switch), chassis: Some(Chassis::default()) };
    topology.logical_ports.insert(PORT.to_owned(), nameless);
    assert!(only_problem(&topology).contains("provider network \"\""));
    // Its switch says nothing of itself.
    topology.logical_ports.insert(PORT.to_owned(), LogicalPort::default());
    assert_eq!(path(&topology).network.as_deref(), Some("geneve"));
}
