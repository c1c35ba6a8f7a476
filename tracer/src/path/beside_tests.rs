#![allow(clippy::unwrap_used)]

use super::super::{find, testing::*};
use crate::model::{
    IfIndex, Link, LinkAway, LinkKind, Namespace, OtherPort, OvsInterface, OvsPort, PortKind, Topology,
    VethPeer,
};

const DHCP: &str = "fa:16:3e:00:00:d1";

fn internal(name: &str) -> OvsPort {
    port(vec![OvsInterface { kind: "internal".to_owned(), ..netdev(name) }])
}

fn add(topology: &mut Topology, bridge: &str, port: OvsPort) {
    topology.bridges_mut().iter_mut().find(|it| it.name == bridge).unwrap().ports.push(port);
}

fn away(of: &str, link: Link) -> LinkAway {
    let namespace = Namespace { name: "qdhcp-1".to_owned(), file: "/run/netns/qdhcp-1".into(), inum: 77 };
    LinkAway { link, namespace, of: of.to_owned() }
}

fn beside(topology: &Topology) -> Vec<OtherPort> {
    find(topology, PORT).unwrap().other_ports.split_off(1)
}

fn facts(ports: &[OtherPort]) -> Vec<(String, PortKind, Option<String>)> {
    let mac = |port: &OtherPort| port.macs.first().map(ToString::to_string);
    ports.iter().map(|port| (port.place(), port.kind, mac(port))).collect()
}

#[test]
fn the_hosts_own_ports_of_all_bridges_are_beside_the_path() {
    let mut topology = lab();
    add(&mut topology, "br-ex", internal("br-ex"));
    let mac = Some(mac(DHCP));
    add_links(&mut topology, vec![Link { mac, ..link(40, "br-ex", LinkKind::Tun) }]);
    let expected = ("br-ex (local port of bridge br-ex)".to_owned(), PortKind::Local, Some(DHCP.to_owned()));
    assert_eq!(facts(&beside(&topology)), [expected]);
    assert_eq!(beside(&topology).first().unwrap().ifindex, IfIndex(40));
}

#[test]
fn a_port_in_another_namespace_is_found_there_and_named_so() {
    let mut topology = lab();
    add(&mut topology, "br-int", OvsPort { tag: Some(1), ..internal("tapdddddddd-dd") });
    assert!(beside(&topology).is_empty(), "nobody knows where it is");
    let link = Link { mac: Some(mac(DHCP)), ..link(2, "tapdddddddd-dd", LinkKind::OpenVswitch) };
    topology.links_away = vec![away("tapdddddddd-dd", link)];
    let place = "tapdddddddd-dd in netns qdhcp-1 (internal port of bridge br-int)".to_owned();
    assert_eq!(facts(&beside(&topology)), [(place, PortKind::Internal, Some(DHCP.to_owned()))]);
    // Of another network.
    change_port(&mut topology, "tapdddddddd-dd", |port| port.tag = Some(2));
    assert!(beside(&topology).is_empty());
}

#[test]
fn a_veth_has_the_address_of_its_other_end_and_may_have_more() {
    let mut topology = lab();
    add(&mut topology, "br-int", port(vec![netdev("tapmmmmmmmm-m0")]));
    let veth = |peer| Link { peer: Some(peer), ..link(41, "tapmmmmmmmm-m0", LinkKind::Veth) };
    add_links(&mut topology, vec![veth(VethPeer::OtherNamespace(IfIndex(2)))]);
    let place = "tapmmmmmmmm-m0 (port of bridge br-int)".to_owned();
    assert_eq!(facts(&beside(&topology)), [(place.clone(), PortKind::Other, None)]);
    let end = Link { mac: Some(mac(DHCP)), ..link(2, "tapmmmmmmmm-m1", LinkKind::Veth) };
    topology.links_away = vec![away("tapmmmmmmmm-m0", end)];
    assert_eq!(facts(&beside(&topology)), [(place, PortKind::Other, Some(DHCP.to_owned()))]);
}

#[test]
fn a_mirrors_output_port_is_one_whatever_else_it_is() {
    let mut topology = lab();
    add(&mut topology, "br-int", OvsPort { tag: Some(7), ..internal("mirror0") });
    add_links(&mut topology, vec![link(42, "mirror0", LinkKind::Tun)]);
    let bridge = topology.bridges_mut().iter_mut().find(|it| it.name == "br-int").unwrap();
    bridge.mirror_outputs.push("mirror0".to_owned());
    let [mirror] = beside(&topology).try_into().unwrap();
    assert!(mirror.is_mirror);
}

#[test]
fn without_a_note_libvirt_knows_who_is_behind_a_port() {
    let mut topology = lab();
    let other = "11111111-2222-3333-4444-555555555555";
    topology.instances.first_mut().unwrap().interfaces.push(interface(DHCP, other, "10.0.0.9"));
    add(&mut topology, "br-int", port(vec![netdev("qvo11111111-22")]));
    add_links(&mut topology, vec![link(43, "qvo11111111-22", LinkKind::Veth)]);
    let expected = ("qvo11111111-22".to_owned(), PortKind::Vm, Some(DHCP.to_owned()));
    assert_eq!(facts(&beside(&topology)), [expected]);
}
