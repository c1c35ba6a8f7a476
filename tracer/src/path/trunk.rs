//! Trunk bridges (`tbr-`): the port's own pair of patch ports (`tpt-`, `tpi-`) leads to the integration bridge beside those of its subports
//! (`spt-`, `spi-`), which are VLANs of the guest's. Which is whose, the `iface-id` of the far end says.

use super::walk::Walk;
use crate::model::{OvsInterface, OvsPlace, Printable, Topology};

/// Whether the far end of a pair is another port's than `own`'s: a subport's.
pub(super) fn is_of_other(own: &OvsInterface, far: &OvsInterface) -> bool {
    far.neutron.iface_id.is_some() && far.neutron.iface_id != own.neutron.iface_id
}

/// The pairs that lead from the port's bridge to ports of Neutron's: near and far ends.
fn pairs<'a>(topology: &'a Topology, at: OvsPlace<'a>) -> impl Iterator<Item = (OvsPlace<'a>, OvsPlace<'a>)> {
    at.bridge.places().filter(|near| near.interface.kind == "patch").filter_map(|near| {
        let far = topology.ovs_interface(near.interface.peer.as_deref()?)?;
        far.interface.neutron.iface_id.is_some().then_some((near, far))
    })
}

/// The near and far end of the port's own pair, if the one at `at` is on a trunk bridge. From elsewhere pairs lead to trunk bridges, too, whose
/// ends have the ids of other ports.
fn parent<'a>(topology: &'a Topology, at: OvsPlace<'a>) -> Option<(OvsPlace<'a>, OvsPlace<'a>)> {
    pairs(topology, at).find(|(_, far)| !is_of_other(at.interface, far.interface))
}

/// The port that has the VLAN and the network of the one at `at`: on a trunk bridge the far end of its pair.
pub(super) fn plugged<'a>(topology: &'a Topology, at: OvsPlace<'a>) -> OvsPlace<'a> {
    parent(topology, at).map_or(at, |(_, far)| far)
}

/// What is to be said of a trunk bridge: whose frames leave by it besides, and frames that leave by the wrong pair.
pub(super) fn note(walk: &mut Walk, topology: &Topology, at: OvsPlace<'_>) {
    let Some((parent, _)) = parent(topology, at) else { return };
    let subports: Vec<_> =
        pairs(topology, at).filter(|(_, far)| is_of_other(at.interface, far.interface)).collect();
    for (near, far) in &subports {
        let keys = &far.interface.neutron;
        let vlan = near.port.tag.map_or_else(|| "an unknown VLAN".to_owned(), |tag| format!("VLAN {tag}"));
        let mac = keys.attached_mac.map_or_else(String::new, |mac| format!(", MAC {mac}"));
        let id = keys.iface_id.as_deref().unwrap_or_default();
        let what = format!(
            "its subport {} (the guest's {vlan}{mac}) leaves by {} and {}: what is for that address is not followed here; --mac follows it",
            Printable(id),
            Printable(&near.interface.name),
            Printable(&far.interface.name),
        );
        walk.problem(&at.bridge.name, what);
    }
    let is_access = parent.port.tag.is_some() || parent.port.vlan_mode.as_deref() == Some("access");
    if !subports.is_empty() && !is_access {
        let what = format!(
            "without vlan_mode=access at {} the frames of its subports leave by it, too, and come back twice (Neutron's bug 2048785)",
            Printable(&parent.port.name)
        );
        walk.problem(&parent.interface.name, what);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::model::{NeutronKeys, OvsInterface, OvsPort, ProblemKind, Step, Topology};
    use crate::path::{find, testing::*};

    const SUBPORT: &str = "28c9689e-9e00-4000-8000-000000000009";

    fn with_id(interface: OvsInterface, port_id: &str, attached: &str) -> OvsInterface {
        let neutron = NeutronKeys {
            iface_id: Some(port_id.to_owned()),
            attached_mac: Some(mac(attached)),
            ..NeutronKeys::default()
        };
        OvsInterface { neutron, ..interface }
    }

    /// The lab's VM on a trunk bridge, with a subport whose pair comes first by name.
    fn trunk() -> Topology {
        let mut topology = lab();
        let integration = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-int").unwrap();
        let at = integration.ports.iter().position(|port| port.name == "qvoc3d70d5c-a9").unwrap();
        let own = OvsPort { tag: None, ..integration.ports.remove(at) };
        let parent = port(vec![with_id(patch("tpi-1", "tpt-1"), PORT, MAC)]);
        let mut sub = OvsPort {
            tag: Some(2),
            ..port(vec![with_id(patch("spi-1", "spt-1"), SUBPORT, "fa:16:3e:28:c9:68")])
        };
        sub.network.network_type = Some("vxlan".to_owned());
        integration.ports.extend([OvsPort { tag: Some(1), ..parent }, sub]);
        let near = with_id(patch("spt-1", "spi-1"), SUBPORT, "fa:16:3e:28:c9:68");
        let near = OvsPort { tag: Some(101), ..port(vec![near]) };
        let mode = Some("access".to_owned());
        let trunk = OvsPort { vlan_mode: mode, ..port(vec![with_id(patch("tpt-1", "tpi-1"), PORT, MAC)]) };
        topology.bridges_mut().push(bridge("tbr-1", vec![own, near, trunk]));
        topology
    }

    #[test]
    fn the_way_is_the_port_s_own_pair() {
        let path = find(&trunk(), PORT).unwrap();
        let pairs: Vec<_> =
            path.steps.iter().filter(|step| matches!(step, Step::Patch { .. })).map(Step::name).collect();
        assert_eq!(
            (pairs, path.hops().count(), path.network.as_deref()),
            (vec!["tpt-1", "int-br-ex"], 4, None)
        );
        let [problem] = path.problems.as_slice() else { panic!("{:?}", path.problems) };
        assert!(
            problem.at == "tbr-1" && problem.what.contains("VLAN 101, MAC fa:16:3e:28:c9:68"),
            "{}",
            problem.what
        );
    }

    #[test]
    fn its_vlan_is_the_far_end_s_and_others_have_nothing_of_it() {
        let mut topology = trunk();
        let path = find(&topology, PORT).unwrap();
        assert_eq!(path.hops().find_map(|hop| hop.vlan_tag), Some(1));
        // A port on the integration bridge itself.
        let integration = topology.bridges_mut().iter_mut().find(|bridge| bridge.name == "br-int").unwrap();
        let (other, uuid) = ("7be41f06-3134-4000-8000-0123456789ab", "1d2e3f40-83d9-4518-9055-4df2899e23af");
        integration.ports.push(qvo("tap7be41f06-31", other, uuid, "fa:16:3e:5c:90:d2"));
        add_links(&mut topology, vec![link(50, "tap7be41f06-31", crate::model::LinkKind::Tun)]);
        let path = find(&topology, other).unwrap();
        assert_eq!((path.problems.len(), path.hops().count()), (0, 2), "{:?}", path.problems);
    }

    #[test]
    fn a_dead_vlan_of_the_pair_s_far_end_is_the_port_s() {
        let mut topology = trunk();
        change_port(&mut topology, "tpi-1", |port| port.tag = Some(4095));
        let path = find(&topology, PORT).unwrap();
        assert!(path.problems.iter().any(|it| it.kind == ProblemKind::DeadVlan && it.at == "tpi-1"));
    }

    #[test]
    fn tagged_frames_at_the_wrong_pair_are_told() {
        let mut topology = trunk();
        change_port(&mut topology, "tpt-1", |port| port.vlan_mode = None);
        let path = find(&topology, PORT).unwrap();
        assert_eq!(path.problems_at("tpt-1").count(), 1);
    }

    #[test]
    fn the_network_is_that_of_the_far_end() {
        let mut topology = trunk();
        change_port(&mut topology, "tpi-1", |port| port.network.network_type = Some("vxlan".to_owned()));
        let path = find(&topology, PORT).unwrap();
        assert_eq!((path.network.as_deref(), path.hops().count()), (Some("vxlan"), 3));
    }
}
