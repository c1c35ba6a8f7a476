//! Rows of Open vSwitch's database that are no VM's any more.

use super::ports::{is_vm_port, tap_of};
use crate::model::{LinkKind, MacAddr, OvsPlace, SourceName, StaleRow, Topology};

/// The rows that a VM which is gone has left, each with the commands that remove it.
#[must_use]
pub fn leftovers(topology: &Topology) -> Vec<StaleRow> {
    let of_vms = topology.ovs_interfaces().filter(|place| is_vm_port(place.interface));
    of_vms.filter(|place| is_leftover(topology, *place)).map(|place| row(topology, place)).collect()
}

/// Whether libvirt, which answered, has no VM for the row, and no tap is there that could be one's.
pub(super) fn is_leftover(topology: &Topology, place: OvsPlace<'_>) -> bool {
    let keys = &place.interface.neutron;
    let mut interfaces = topology.instances.iter().flat_map(|instance| &instance.interfaces);
    let of_vm = topology.instances.iter().any(|instance| keys.vm_uuid.as_ref() == Some(&instance.uuid))
        || interfaces.any(|it| it.port_id.is_some() && it.port_id == keys.iface_id);
    topology.answered(SourceName::Libvirt)
        && topology.answered(SourceName::Netlink)
        && !of_vm
        && tap_of(topology, place.interface).is_none()
}

fn row(topology: &Topology, place: OvsPlace<'_>) -> StaleRow {
    let (interface, keys) = (place.interface, &place.interface.neutron);
    let link = topology.link(&interface.name);
    let vm = keys.vm_uuid.as_deref().map_or_else(String::new, |uuid| format!(" {uuid}"));
    let mut why = format!("no VM{vm} is known to libvirt, and there is no tap");
    if link.is_none() {
        why.push_str(", nor an interface of the row's name");
    }
    let mut remove = vec![format!("ovs-vsctl del-port {} {}", place.bridge.name, place.port.name)];
    if let Some(veth) = link.filter(|link| link.kind == LinkKind::Veth) {
        let bridge = topology.veth_peer(veth).and_then(|peer| topology.master(peer));
        remove.push(format!("ip link del {}", veth.name));
        remove.extend(
            bridge
                .filter(|bridge| bridge.name.starts_with("qbr"))
                .map(|bridge| format!("ip link del {}", bridge.name)),
        );
    }
    StaleRow {
        ifname: interface.name.clone(),
        bridge: place.bridge.name.clone(),
        port_id: keys.iface_id.clone(),
        mac: keys.attached_mac,
        uuid: keys.vm_uuid.clone(),
        why,
        remove,
    }
}

impl StaleRow {
    /// Whether `handle` is its name, its port's, its MAC address or its VM's UUID.
    pub(super) fn is_called(&self, handle: &str) -> bool {
        let texts = [Some(&self.ifname), self.port_id.as_ref(), self.uuid.as_ref()];
        texts.into_iter().flatten().any(|text| text.eq_ignore_ascii_case(handle))
            || (self.mac.is_some() && handle.parse::<MacAddr>().ok() == self.mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InstanceState;
    use crate::path::{PathError, find, ports, testing::*};

    #[test]
    fn a_row_without_vm_and_tap_is_a_leftover_and_no_port() {
        let mut topology = lab();
        topology.instances.clear();
        assert_eq!((leftovers(&topology), ports(&topology).len()), (Vec::new(), 1));
        remove_link(&mut topology, "tapc3d70d5c-a9");
        let rows = leftovers(&topology);
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        let commands = [
            "ovs-vsctl del-port br-int qvoc3d70d5c-a9",
            "ip link del qvoc3d70d5c-a9",
            "ip link del qbrc3d70d5c-a9",
        ];
        assert_eq!(
            (row.ifname.as_str(), row.remove.as_slice()),
            ("qvoc3d70d5c-a9", &commands.map(str::to_owned)[..])
        );
        assert!(ports(&topology).is_empty());
        assert!(matches!(find(&topology, MAC), Err(PathError::Leftover { .. })));
    }

    #[test]
    fn a_vm_that_is_shut_off_has_left_nothing() {
        let mut topology = lab();
        for instance in &mut topology.instances {
            instance.state = InstanceState::ShutOff;
        }
        remove_link(&mut topology, "tapc3d70d5c-a9");
        assert_eq!(leftovers(&topology), []);
    }

    #[test]
    fn who_could_not_be_asked_is_not_said_to_know_of_no_vm() {
        let mut topology = lab();
        topology.instances.clear();
        topology.sources.retain(|source| source.name != SourceName::Libvirt);
        remove_link(&mut topology, "tapc3d70d5c-a9");
        assert_eq!((leftovers(&topology), ports(&topology).len()), (Vec::new(), 1));
    }
}
