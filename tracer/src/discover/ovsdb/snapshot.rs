//! The bridges, ports and interfaces of Open vSwitch, in one consistent read.

use std::collections::HashMap;

use ovsdb::protocol::Uuid;
use serde_json::{Value, json};

use super::{
    column::{Row, uuid},
    system::system,
};
use crate::{
    model::{
        NeutronKeys, NeutronNetwork, OvsBridge, OvsInterface, OvsPort, OvsQos, OvsSystem, TunnelOptions,
    },
    ovs::{Client, OvsError, Remote},
};

/// Open vSwitch's database.
pub const DATABASE: &str = "Open_vSwitch";

/// What discovery monitors: no statistics, which would change with every packet.
#[must_use]
pub fn monitor_requests() -> Value {
    json!({
        "Open_vSwitch": [{"columns": ["external_ids"]}],
        "Bridge": [{"columns": ["name", "datapath_type", "fail_mode", "ports", "mirrors"]}],
        "Port": [{"columns": ["name", "tag", "trunks", "vlan_mode", "bond_mode", "bond_active_slave", "interfaces",
            "other_config", "qos"]}],
        "QoS": [{"columns": ["type", "other_config", "queues"]}],
        "Queue": [{"columns": ["other_config"]}],
        "Interface": [{"columns": [
            "name", "type", "ofport", "error", "options", "external_ids", "admin_state", "link_state",
            "mac_in_use", "ingress_policing_rate"
        ]}],
        "Mirror": [{"columns": ["output_port"]}],
    })
}

/// Reads the bridges, and what the switch is told as a whole, from the first of the remotes that can be connected to, and says which one that was.
///
/// # Errors
/// When none can be connected to, or the one that can gives no sensible answer.
pub async fn snapshot(remotes: &[Remote]) -> Result<(Vec<OvsBridge>, OvsSystem, Remote), OvsError> {
    let mut failures = Vec::new();
    for remote in remotes {
        match Client::connect(remote).await {
            Ok(mut client) => {
                let tables = client.monitor_cond(DATABASE, "hoptrace", monitor_requests()).await?;
                return Ok((bridges_from_updates(&tables)?, system(&tables), remote.clone()));
            }
            Err(error) => failures.push(error),
        }
    }
    Err(OvsError::Unreachable(failures))
}

/// The bridges in a `<table-updates2>` of `initial` rows. Dangling references are skipped, rows without a
/// name or a proper UUID too.
///
/// # Errors
/// [`OvsError::Shape`] when it is no object of tables.
pub fn bridges_from_updates(tables: &Value) -> Result<Vec<OvsBridge>, OvsError> {
    if !tables.is_object() {
        return Err(OvsError::Shape("the reply to monitor_cond is not an object of tables".to_owned()));
    }
    // A row belongs to one parent only. Taking it out keeps hostile data from multiplying rows.
    let mut ports = rows(tables, "Port");
    let mut interfaces = rows(tables, "Interface");
    let mut mirrors = rows(tables, "Mirror");
    let shaping = Shaping { qos: rows(tables, "QoS"), queues: rows(tables, "Queue") };
    let mut bridges = Vec::new();
    for row in rows(tables, "Bridge").into_values() {
        let Some(mut bridge) = bridge(row) else { continue };
        let mirrors = row.references("mirrors").into_iter().filter_map(|uuid| mirrors.remove(&uuid));
        let outputs: Vec<Uuid> = mirrors.flat_map(|mirror| mirror.references("output_port")).collect();
        for port_uuid in row.references("ports") {
            let Some(port_row) = ports.remove(&port_uuid) else { continue };
            if outputs.contains(&port_uuid) {
                bridge.mirror_outputs.extend(port_row.string("name"));
            }
            let children = port_row.references("interfaces").into_iter();
            let children =
                children.filter_map(|uuid| interfaces.remove(&uuid)).filter_map(interface).collect();
            bridge.ports.extend(port(port_row, children, &shaping));
        }
        bridge.ports.sort_by(|one, other| one.name.cmp(&other.name));
        bridges.push(bridge);
    }
    bridges.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(bridges)
}

/// The rows of a table in a `<table-updates2>` of `initial` rows.
pub(super) fn rows<'a>(tables: &'a Value, table: &str) -> HashMap<Uuid, Row<'a>> {
    let Some(Value::Object(rows)) = tables.get(table) else { return HashMap::new() };
    rows.iter().filter_map(|(text, update)| Some((uuid(text)?, Row(update.get("initial")?)))).collect()
}

fn bridge(row: Row<'_>) -> Option<OvsBridge> {
    Some(OvsBridge {
        name: row.string("name")?,
        datapath_type: row.string("datapath_type").unwrap_or_default(),
        fail_mode: row.string("fail_mode"),
        ports: Vec::new(),
        mirror_outputs: Vec::new(),
    })
}

/// The rows that say how ports are shaped. Several ports may share one.
struct Shaping<'a> {
    qos: HashMap<Uuid, Row<'a>>,
    queues: HashMap<Uuid, Row<'a>>,
}

impl Shaping<'_> {
    fn of(&self, port: Row<'_>) -> Option<OvsQos> {
        let qos = port.references("qos").iter().find_map(|uuid| self.qos.get(uuid))?;
        let queue = qos.reference_at("queues", 0).and_then(|uuid| self.queues.get(&uuid));
        let rate =
            |row: &Row<'_>| row.key("other_config", "max-rate")?.parse::<u64>().ok().filter(|rate| *rate > 0);
        // Neither lets through what the other one does not.
        let bits_per_second = [Some(qos), queue].into_iter().flatten().filter_map(rate).min();
        Some(OvsQos { kind: qos.string("type")?, bits_per_second })
    }
}

fn port(row: Row<'_>, interfaces: Vec<OvsInterface>, shaping: &Shaping<'_>) -> Option<OvsPort> {
    let config = |key| row.key("other_config", key).map(str::to_owned);
    Some(OvsPort {
        name: row.string("name")?,
        tag: row.integer("tag").and_then(|tag| tag.try_into().ok()),
        trunks: row.set("trunks").iter().filter_map(|vlan| vlan.as_u64()?.try_into().ok()).collect(),
        vlan_mode: row.string("vlan_mode"),
        bond_mode: row.string("bond_mode"),
        bond_active: row.string("bond_active_slave").and_then(|mac| mac.parse().ok()),
        interfaces,
        qos: shaping.of(row),
        network: NeutronNetwork {
            network_type: config("network_type"),
            physical_network: config("physical_network"),
            segmentation_id: config("segmentation_id"),
        },
    })
}

fn interface(row: Row<'_>) -> Option<OvsInterface> {
    let external = |key| row.key("external_ids", key);
    let option = |key| row.key("options", key);
    // Else flows set it for each packet.
    let is_set = |value: &&str| *value != "flow";
    let is_up = |column| row.string(column).map(|state| state == "up");
    Some(OvsInterface {
        name: row.string("name")?,
        kind: row.string("type").unwrap_or_default(),
        ofport: row.integer("ofport"),
        error: row.string("error"),
        mac_in_use: row.string("mac_in_use").and_then(|mac| mac.parse().ok()),
        of_ovn: external("ovn-installed").is_some(),
        peer: option("peer").map(str::to_owned),
        tunnel: TunnelOptions {
            kind: None,
            key: option("key").filter(is_set).map(str::to_owned),
            local: option("local_ip").and_then(|ip| ip.parse().ok()),
            remote: option("remote_ip").and_then(|ip| ip.parse().ok()),
            port: option("dst_port").and_then(|port| port.parse().ok()),
        },
        policed_bits_per_second: row
            .integer("ingress_policing_rate")
            .and_then(|kilobits| u64::try_from(kilobits).ok()?.checked_mul(1000))
            .filter(|rate| *rate > 0),
        admin_up: is_up("admin_state"),
        link_up: is_up("link_state"),
        neutron: NeutronKeys {
            iface_id: external("iface-id").map(str::to_ascii_lowercase),
            attached_mac: external("attached-mac").and_then(|mac| mac.parse().ok()),
            // os-vif's plug writes the one, libvirt's own the other.
            vm_uuid: external("vm-uuid").or_else(|| external("vm-id")).map(str::to_ascii_lowercase),
            iface_status: external("iface-status").map(str::to_owned),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const BRIDGE: &str = "06234b93-6b4b-4f92-be8a-342dd858617c";
    const OTHER_BRIDGE: &str = "1ef13326-744a-4065-82ee-0998ff56dcc8";
    const PORT: &str = "67087d8a-1b61-408a-a448-a239248b9f7d";
    const INTERFACE: &str = "c16f3aaa-907f-4e81-86c9-4ef845b8990e";
    const OTHER_INTERFACE: &str = "d05c07dd-3455-48a4-8e9e-d1f0236375b8";
    const GONE: &str = "d3bbf06e-e460-4162-93cf-7237bb326630";

    fn tables() -> Value {
        json!({
            "Bridge": {BRIDGE: {"initial": {"name": "br-int", "fail_mode": "secure",
                "ports": ["set", [["uuid", PORT], ["uuid", GONE]]]}}},
            "Port": {PORT: {"initial": {"name": "qvo1", "tag": 4095, "interfaces": ["uuid", INTERFACE],
                "other_config": ["map", [["network_type", "vlan"], ["segmentation_id", "101"]]]}}},
            "Interface": {INTERFACE: {"initial": {"name": "qvo1", "ofport": -1, "error": "no such device",
                "external_ids": ["map", [["iface-id", "C3D7"], ["attached-mac", "fa:16:3e:21:1b:4b"]]]}}},
        })
    }

    #[test]
    fn rows_are_joined() {
        let bridges = bridges_from_updates(&tables()).unwrap();
        let port = &bridges[0].ports[0];
        assert_eq!((bridges[0].name.as_str(), port.tag), ("br-int", Some(4095)));
        assert_eq!(port.network.segmentation_id.as_deref(), Some("101"));
        let interface = &port.interfaces[0];
        assert_eq!((interface.ofport, interface.error.as_deref()), (Some(-1), Some("no such device")));
        assert_eq!(interface.neutron.iface_id.as_deref(), Some("c3d7"));
        assert!(interface.is_netdev() && interface.link_up.is_none());
    }

    #[test]
    fn a_tunnel_s_options_are_read_and_those_that_flows_set_are_absent() {
        let mut tunnelled = tables();
        let options = |pairs: [[&str; 2]; 4]| json!(["map", pairs]);
        let port = |tables: &Value| bridges_from_updates(tables).unwrap()[0].ports[0].interfaces[0].clone();
        let set =
            [["key", "flow"], ["local_ip", "192.0.2.1"], ["remote_ip", "192.0.2.2"], ["dst_port", "8472"]];
        tunnelled["Interface"][INTERFACE]["initial"]["options"] = options(set);
        let expected = TunnelOptions {
            kind: None,
            key: None,
            local: "192.0.2.1".parse().ok(),
            remote: "192.0.2.2".parse().ok(),
            port: Some(8472),
        };
        assert_eq!(port(&tunnelled).tunnel, expected);
        let odd = [["key", "77"], ["local_ip", "flow"], ["remote_ip", "some.host"], ["dst_port", "99999"]];
        tunnelled["Interface"][INTERFACE]["initial"]["options"] = options(odd);
        let expected = TunnelOptions { key: Some("77".to_owned()), ..TunnelOptions::default() };
        assert_eq!(port(&tunnelled).tunnel, expected);
    }

    #[test]
    fn limits_are_read_from_the_rows_that_have_them() {
        let port = |tables: &Value| bridges_from_updates(tables).unwrap()[0].ports[0].clone();
        let mut limited = tables();
        let plain = port(&limited);
        assert_eq!((plain.qos, plain.interfaces[0].policed_bits_per_second), (None, None));
        limited["Interface"][INTERFACE]["initial"]["ingress_policing_rate"] = json!(1024);
        limited["Port"][PORT]["initial"]["qos"] = json!(["uuid", GONE]);
        let max = |rate: &str| json!(["map", [["max-rate", rate]]]);
        limited["QoS"] = json!({GONE: {"initial": {"type": "linux-htb", "other_config": max("20000000"),
            "queues": ["map", [[0, ["uuid", OTHER_INTERFACE]], [7, ["uuid", GONE]]]]}}});
        let of_all = OvsQos { kind: "linux-htb".to_owned(), bits_per_second: Some(20_000_000) };
        assert_eq!(port(&limited).qos, Some(of_all.clone()));
        assert_eq!(port(&limited).interfaces[0].policed_bits_per_second, Some(1_024_000));
        limited["Queue"] = json!({OTHER_INTERFACE: {"initial": {"other_config": max("10000000")}}});
        assert_eq!(port(&limited).qos, Some(OvsQos { bits_per_second: Some(10_000_000), ..of_all.clone() }));
        limited["Queue"][OTHER_INTERFACE]["initial"]["other_config"] = max("much");
        assert_eq!(port(&limited).qos, Some(of_all));
    }

    #[test]
    fn the_output_port_of_a_mirror_is_known() {
        let mut mirrored = tables();
        assert!(bridges_from_updates(&mirrored).unwrap()[0].mirror_outputs.is_empty());
        mirrored["Bridge"][BRIDGE]["initial"]["mirrors"] = json!(["uuid", GONE]);
        mirrored["Mirror"] = json!({GONE: {"initial": {"output_port": ["uuid", PORT]}}});
        assert_eq!(bridges_from_updates(&mirrored).unwrap()[0].mirror_outputs, ["qvo1"]);
    }

    #[test]
    fn malformed_tables_lose_what_is_malformed_and_nothing_else() {
        assert!(bridges_from_updates(&json!([])).is_err());
        assert!(bridges_from_updates(&json!(null)).is_err());
        assert_eq!(bridges_from_updates(&json!({"Bridge": 7, "Port": []})).unwrap(), []);
        let mut odd = tables();
        odd["Port"][PORT]["initial"]["tag"] = json!(70_000);
        odd["Interface"][INTERFACE]["initial"]["external_ids"] = json!(["map"]);
        odd["Interface"][OTHER_INTERFACE] = json!("x");
        odd["Bridge"][OTHER_BRIDGE] = json!({"initial": {"ports": ["uuid"]}});
        odd["Bridge"]["not a UUID"] = json!({"initial": {"name": "br-x"}});
        let bridges = bridges_from_updates(&odd).unwrap();
        assert_eq!((bridges.len(), bridges[0].ports[0].tag), (1, None));
        assert_eq!(bridges[0].ports[0].interfaces[0].neutron, NeutronKeys::default());
    }

    #[test]
    fn a_row_that_many_refer_to_is_used_once() {
        let mut odd = tables();
        odd["Bridge"][OTHER_BRIDGE] =
            json!({"initial": {"name": "br-x", "ports": ["set", [["uuid", PORT], ["uuid", PORT]]]}});
        let bridges = bridges_from_updates(&odd).unwrap();
        assert_eq!(bridges.iter().map(|bridge| bridge.ports.len()).sum::<usize>(), 1);
    }
}
