#![allow(clippy::unwrap_used)]
use super::*;
use crate::model::{IfIndex, LinkKind, OvsInterface, OvsPort, Path, Step, Traceability, TunnelOptions};
use crate::path::{find, testing::*};

const UNDERLAY: IfIndex = IfIndex(3);

fn end(name: &str, kind: &str, remote: &str) -> OvsInterface {
    let tunnel = TunnelOptions {
        local: "192.0.2.1".parse().ok(),
        remote: remote.parse().ok(),
        ..TunnelOptions::default()
    };
    OvsInterface { kind: kind.to_owned(), tunnel, ..netdev(name) }
}

/// The lab's VM in a tunnel network: br-tun beside br-ex, with ends to two other hosts, and the kernel's device.
fn tunnelled() -> Topology {
    let mut topology = lab();
    change_port(&mut topology, "qvoc3d70d5c-a9", |port| {
        port.network.network_type = Some("vxlan".to_owned());
        port.network.segmentation_id = Some("77".to_owned());
    });
    let integration = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-int").unwrap();
    integration.ports.push(port(vec![patch("patch-tun", "patch-int")]));
    let ends = [("vxlan-c0000202", "192.0.2.2"), ("vxlan-c0000203", "192.0.2.3")];
    let ends = ends.map(|(name, remote)| port(vec![end(name, "vxlan", remote)]));
    let tunnels = [OvsPort::clone(&port(vec![patch("patch-int", "patch-tun")]))].into_iter().chain(ends);
    topology.bridges_mut().push(bridge("br-tun", tunnels.collect()));
    add_links(&mut topology, vec![link(UNDERLAY.0, "ens4", LinkKind::Other), device("vxlan_sys_4789")]);
    change_link(&mut topology, "ens4", |link| link.mtu_bytes = 1600);
    for remote in ["192.0.2.2", "192.0.2.3"] {
        let way = ("192.0.2.1".parse().ok(), remote.parse().unwrap());
        topology.routes.insert(way, UNDERLAY);
    }
    topology
}

fn device(name: &str) -> Link {
    Link { mtu_bytes: 65_000, ..link(60, name, LinkKind::Tunnel) }
}

fn interfaces(path: &Path) -> Vec<&str> {
    path.hops().map(|hop| hop.ifname.as_str()).collect()
}

fn tunnel(path: &Path) -> &Tunnel {
    let tunnel = path.steps.iter().find_map(|step| match step {
        Step::Tunnel(tunnel) => Some(tunnel),
        _ => None,
    });
    tunnel.unwrap()
}

#[test]
fn the_way_goes_on_by_the_kernel_s_device_and_no_nic() {
    let path = find(&tunnelled(), PORT).unwrap();
    assert_eq!(interfaces(&path), ["tapc3d70d5c-a9", "qvbc3d70d5c-a9", "qvoc3d70d5c-a9", "vxlan_sys_4789"]);
    let found = tunnel(&path);
    assert_eq!((found.key.as_deref(), &found.underlay[..]), (Some("77"), &["ens4".to_owned()][..]));
    assert_eq!(found.remotes.len(), 2);
    assert!(path.problems.is_empty(), "{:?}", path.problems);
    let Traceability::Partly { why } = &path.traceability else { panic!("{:?}", path.traceability) };
    assert!(why.contains("vxlan_sys_4789"), "{why}");
}

#[test]
fn a_userspace_datapath_has_no_device() {
    let mut topology = tunnelled();
    for bridge in topology.bridges_mut() {
        bridge.datapath_type = "netdev".to_owned();
    }
    let path = find(&topology, PORT).unwrap();
    assert_eq!(interfaces(&path).last(), Some(&"qvoc3d70d5c-a9"));
    let Traceability::Partly { why } = &path.traceability else { panic!("{:?}", path.traceability) };
    assert!(why.contains("userspace datapath"), "{why}");
}

#[test]
fn each_udp_port_has_a_device_of_its_own() {
    let mut topology = tunnelled();
    change_port(&mut topology, "vxlan-c0000203", |port| {
        port.interfaces.first_mut().unwrap().tunnel.port = Some(8472);
    });
    let other = Link { index: IfIndex(61), ..device("vxlan_sys_8472") };
    add_links(&mut topology, vec![other]);
    let path = find(&topology, PORT).unwrap();
    let devices: Vec<_> = path.hops().filter(|hop| hop.is_tunnel()).collect();
    let [one, two] = devices.as_slice() else { panic!("{devices:?}") };
    assert!(one.is_alternative_to(two));
}

#[test]
fn where_there_is_no_other_host_there_is_no_end_and_that_is_no_problem() {
    let mut topology = tunnelled();
    topology.bridges_mut().retain(|bridge| bridge.name != "br-tun");
    for bridge in topology.bridges_mut() {
        bridge.ports.retain(|port| port.name != "patch-tun");
    }
    let path = find(&topology, PORT).unwrap();
    assert!(path.problems.is_empty(), "{:?}", path.problems);
    assert_eq!(interfaces(&path).last(), Some(&"qvoc3d70d5c-a9"));
    let Traceability::Partly { why } = &path.traceability else { panic!("{:?}", path.traceability) };
    assert!(why.contains("there is no other host"), "{why}");
}

#[test]
fn what_is_wrong_below_the_tunnel_is_told_at_its_first_end() {
    let mut topology = tunnelled();
    change_link(&mut topology, "ens4", |link| {
        link.admin_up = false;
        link.mtu_bytes = 1500;
    });
    let path = find(&topology, PORT).unwrap();
    let found: Vec<_> = path.problems_at("vxlan-c0000202").map(|it| (it.kind, it.what.as_str())).collect();
    let [(ProblemKind::Down, down), (ProblemKind::SmallerMtu, mtu)] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert!(down.contains("ip link set ens4 up") && mtu.contains("leaves 1450"), "{down} {mtu}");
}

#[test]
fn geneve_and_gre_have_their_own_devices() {
    for (kind, name, room) in [("geneve", "genev_sys_6081", 1450), ("gre", "gre_sys", 1458)] {
        let mut topology = tunnelled();
        change_port(&mut topology, "qvoc3d70d5c-a9", |port| {
            port.network.network_type = Some(kind.to_owned());
        });
        let tunnels = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-tun").unwrap();
        tunnels.ports.push(port(vec![end("other-1", kind, "192.0.2.2")]));
        add_links(&mut topology, vec![Link { index: IfIndex(62), ..device(name) }]);
        change_link(&mut topology, "ens4", |link| link.mtu_bytes = 1500);
        let path = find(&topology, PORT).unwrap();
        assert_eq!(interfaces(&path).last(), Some(&name));
        assert_eq!(tunnel(&path).ends, ["other-1"]);
        assert!(
            path.problems.iter().any(|it| it.what.contains(&format!("leaves {room}"))),
            "{:?}",
            path.problems
        );
    }
}
