//! Every port of this host with its path's verdict.

use super::{layouts::walked, ports, walk::Extent};
use crate::model::{Hop, Instance, ListRow, Topology, Traceability, VmPort};

/// Every instance and port, those of one instance together, in the order of their names.
#[must_use]
pub fn list(topology: &Topology) -> Vec<ListRow> {
    let ports = ports(topology);
    let mut rows: Vec<ListRow> = ports.iter().map(|port| row(topology, port)).collect();
    rows.extend(topology.instances.iter().filter(|it| it.interfaces.is_empty()).map(portless));
    rows.sort_by(|one, other| {
        let key = |row: &ListRow| (row.display_name.clone(), row.name.clone(), row.uuid.clone());
        key(one).cmp(&key(other))
    });
    rows
}

fn row(topology: &Topology, port: &VmPort) -> ListRow {
    let (hops, problems, traceability) = match walked(topology, port, Extent::Way) {
        Ok(path) => (path.hops().cloned().collect(), path.problems.len(), path.traceability),
        Err(error) => (Vec::new(), 0, Traceability::No { why: error.of_port() }),
    };
    // The last one before others' packets come in is the port of the switch.
    let own = || hops.iter().rev().filter(|hop: &&Hop| !hop.facts.shared);
    ListRow {
        display_name: port.id.display_name.clone(),
        name: port.id.name.clone(),
        uuid: port.id.uuid.clone(),
        state: port.state,
        mac: Some(port.id.mac),
        ips: port.id.ips.clone(),
        port_id: port.id.port_id.clone(),
        tap: own().find(|hop| hop.is_guests()).map(|hop| hop.ifname.clone()),
        bridge: own().find_map(|hop| hop.bridge.clone()),
        vlan_tag: own().find_map(|hop| hop.vlan_tag),
        problems,
        traceability,
    }
}

fn portless(instance: &Instance) -> ListRow {
    ListRow {
        display_name: instance.display_name.clone(),
        name: Some(instance.name.clone()),
        uuid: Some(instance.uuid.clone()),
        state: Some(instance.state),
        mac: None,
        ips: Vec::new(),
        port_id: None,
        tap: None,
        bridge: None,
        vlan_tag: None,
        problems: 0,
        traceability: Traceability::No { why: "it has no network interface".to_owned() },
    }
}
