//! Rows of Open vSwitch's database that are no VM's any more.

use super::{
    command,
    ports::{is_vm_port, tap_of},
};
use crate::model::{MacAddr, OvsInterface, OvsPlace, SourceName, StaleRow, Topology};

/// The rows that a VM which is gone has left, each with the commands that remove it.
#[must_use]
pub fn leftovers(topology: &Topology) -> Vec<StaleRow> {
    let of_vms = topology.ovs_interfaces().filter(|place| is_vm_port(place.interface));
    of_vms.filter(|place| is_leftover(topology, *place)).map(row).collect()
}

/// Whether libvirt, which answered for all its domains, has no VM for the row, no tap is there that could be one's, and the row itself is dead: Open
/// vSwitch could not open it, or it is for an interface that does not exist. A row that lives may be of a VM that is only just coming, or of
/// whom libvirt does not manage.
pub(super) fn is_leftover(topology: &Topology, place: OvsPlace<'_>) -> bool {
    let keys = &place.interface.neutron;
    let mut interfaces = topology.instances.iter().flat_map(|instance| &instance.interfaces);
    let of_vm = topology.instances.iter().any(|instance| keys.vm_uuid.as_ref() == Some(&instance.uuid))
        || interfaces.any(|it| it.port_id.is_some() && it.port_id == keys.iface_id);
    topology.knows_all(SourceName::Libvirt)
        && topology.answered(SourceName::Netlink)
        && !of_vm
        && is_dead(topology, place.interface)
        && tap_of(topology, place.interface).is_none()
}

/// Whether Open vSwitch could not open it, or it is for an interface of the kernel's that does not exist.
pub(super) fn is_dead(topology: &Topology, interface: &OvsInterface) -> bool {
    interface.ofport == Some(-1) || (interface.is_netdev() && topology.link(&interface.name).is_none())
}

fn row(place: OvsPlace<'_>) -> StaleRow {
    let (interface, keys) = (place.interface, &place.interface.neutron);
    let vm = keys.vm_uuid.as_deref().map_or_else(String::new, |uuid| format!(" {uuid}"));
    let dead = if interface.ofport == Some(-1) {
        "Open vSwitch could not open it"
    } else {
        "there is no such interface"
    };
    StaleRow {
        ifname: interface.name.clone(),
        bridge: place.bridge.name.clone(),
        port_id: keys.iface_id.clone(),
        mac: keys.attached_mac,
        uuid: keys.vm_uuid.clone(),
        why: format!("no VM{vm} is known to libvirt, there is no tap, and {dead}"),
        remove: command::del_port(&place.bridge.name, &place.port.name).into_iter().collect(),
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
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use crate::model::InstanceState;
    use crate::path::{PathError, find, ports, testing::*};

    #[test]
    fn a_dead_row_without_vm_and_tap_is_a_leftover_and_no_port() {
        let mut topology = lab();
        topology.instances.clear();
        remove_link(&mut topology, "tapc3d70d5c-a9");
        // One that lives may be of a VM that is only just coming.
        assert_eq!((leftovers(&topology), ports(&topology).len()), (Vec::new(), 1));
        let living = topology.clone();
        change_port(&mut topology, "qvoc3d70d5c-a9", |port| port.interfaces[0].ofport = Some(-1));
        let mut without = living.clone();
        remove_link(&mut without, "qvoc3d70d5c-a9");
        for topology in [&topology, &without] {
            let rows = leftovers(topology);
            let [row] = rows.as_slice() else { panic!("{rows:?}") };
            assert_eq!((row.ifname.as_str(), row.remove.len()), ("qvoc3d70d5c-a9", 1));
            assert_eq!(row.remove[0], "ovs-vsctl del-port br-int qvoc3d70d5c-a9");
            assert!(ports(topology).is_empty());
            assert!(matches!(find(topology, MAC), Err(PathError::Leftover { .. })));
        }
        // libvirt could not say all.
        for source in &mut topology.sources {
            source.notes = vec!["domain x: its XML is malformed".to_owned()];
        }
        assert_eq!(leftovers(&topology), []);
    }

    #[test]
    fn a_vm_that_is_shut_off_has_left_nothing() {
        let mut topology = lab();
        for instance in &mut topology.instances {
            instance.state = InstanceState::ShutOff;
        }
        remove_link(&mut topology, "tapc3d70d5c-a9");
        remove_link(&mut topology, "qvoc3d70d5c-a9");
        assert_eq!(leftovers(&topology), []);
    }

    #[test]
    fn who_could_not_be_asked_is_not_said_to_know_of_no_vm() {
        let mut topology = lab();
        topology.instances.clear();
        topology.sources.retain(|source| source.name != SourceName::Libvirt);
        remove_link(&mut topology, "tapc3d70d5c-a9");
        remove_link(&mut topology, "qvoc3d70d5c-a9");
        assert_eq!((leftovers(&topology), ports(&topology).len()), (Vec::new(), 1));
    }
}
