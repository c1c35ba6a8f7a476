//! What OVN's southbound database says of this host's ports.
//!
//! It describes the whole cloud: with ten thousand ports it has 100,000 rows and more, and every host's controller is served by the same few
//! servers. So it is asked for single rows, as the controllers ask: by monitors with conditions, of which a row has to meet one. The server looks
//! through a table once for all of them, where for a `select` of each port it would do so once for each, unless it is of those that use an index there.
//! For a hundred of 20,000 ports that is the difference between a tenth of a second and most of one, for which it serves nobody else
//! (`ovsdb-server` 3.1). The first monitor is for the ports, the second for what they refer to; none is told of changes, and both end with
//! the connection.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use ovsdb::protocol::Uuid;
use serde_json::{Map, Value, json};

use super::{column::Row, snapshot::rows};
use crate::{
    model::{Chassis, Localnet, LogicalPort, LogicalSwitch},
    ovs::{Client, OvsError},
};

/// OVN's southbound database.
const DATABASE: &str = "OVN_Southbound";
/// The type of ports that join a logical switch to a provider network.
const LOCALNET: &str = "localnet";

/// The ports that have one of these names, by their names, which are the `iface-id` of interfaces.
///
/// # Errors
/// When the server refuses, hangs up, or gives no sensible answer.
pub(in crate::discover) async fn logical_ports(
    client: &mut Client,
    iface_ids: &BTreeSet<&str>,
) -> Result<HashMap<String, LogicalPort>, OvsError> {
    let ports = client.monitor_cond(DATABASE, "hoptrace ports", port_requests(iface_ids)).await?;
    if !ports.is_object() {
        return Err(OvsError::Shape("the reply to monitor_cond is not an object of tables".to_owned()));
    }
    let Some(requests) = requests_for_referred(&ports) else { return Ok(HashMap::new()) };
    let referred = client.monitor_cond(DATABASE, "hoptrace referred", requests).await?;
    Ok(joined(&ports, &referred))
}

/// For the ports of these names, and for all that lead to provider networks: of which switch these are, no condition can ask beforehand.
fn port_requests(iface_ids: &BTreeSet<&str>) -> Value {
    let by_name = iface_ids.iter().map(|id| json!(["logical_port", "==", id]));
    let conditions: Vec<Value> = by_name.chain([json!(["type", "==", LOCALNET])]).collect();
    let columns = ["logical_port", "type", "datapath", "tag", "options", "chassis"];
    json!({"Port_Binding": [request(&columns, &conditions)]})
}

/// For the switches and hosts that the ports refer to; `None` where there are no ports.
fn requests_for_referred(ports: &Value) -> Option<Value> {
    let ports: Vec<Row<'_>> = bindings(ports).filter(|row| !is_localnet(*row)).collect();
    let by_uuid = |column| -> Vec<Value> {
        let referred: HashSet<Uuid> = ports.iter().flat_map(|row| row.references(column)).collect();
        referred.iter().map(|uuid| json!(["_uuid", "==", uuid])).collect()
    };
    let mut requests = Map::new();
    for (table, columns, conditions) in [
        ("Datapath_Binding", ["tunnel_key", "external_ids"], by_uuid("datapath")),
        ("Chassis", ["name", "hostname"], by_uuid("chassis")),
    ] {
        // Without a condition it would be all rows.
        if !conditions.is_empty() {
            requests.insert(table.to_owned(), json!([request(&columns, &conditions)]));
        }
    }
    (!requests.is_empty()).then_some(Value::Object(requests))
}

/// The rows that meet one of the conditions, as they are now.
fn request(columns: &[&str], conditions: &[Value]) -> Value {
    json!({
        "columns": columns,
        "where": conditions,
        "select": {"initial": true, "insert": false, "delete": false, "modify": false},
    })
}

/// The ports, with what they refer to. One whose switch is not there is left out.
fn joined(ports: &Value, referred: &Value) -> HashMap<String, LogicalPort> {
    let mut localnets: HashMap<Uuid, Vec<Localnet>> = HashMap::new();
    for row in bindings(ports).filter(|row| is_localnet(*row)) {
        if let (Some(switch), Some(localnet)) = (reference(row, "datapath"), localnet(row)) {
            localnets.entry(switch).or_default().push(localnet);
        }
    }
    let switches: HashMap<Uuid, Arc<LogicalSwitch>> = rows(referred, "Datapath_Binding")
        .into_iter()
        .map(|(uuid, row)| (uuid, Arc::new(switch(row, localnets.remove(&uuid).unwrap_or_default()))))
        .collect();
    let hosts = rows(referred, "Chassis");
    let port = |row: Row<'_>| {
        let switch = switches.get(&reference(row, "datapath")?)?;
        let chassis =
            reference(row, "chassis").map(|uuid| hosts.get(&uuid).copied().map(chassis).unwrap_or_default());
        Some((row.string("logical_port")?, LogicalPort { switch: Arc::clone(switch), chassis }))
    };
    bindings(ports).filter(|row| !is_localnet(*row)).filter_map(port).collect()
}

fn bindings(tables: &Value) -> impl Iterator<Item = Row<'_>> {
    rows(tables, "Port_Binding").into_values()
}

fn is_localnet(row: Row<'_>) -> bool {
    row.string("type").as_deref() == Some(LOCALNET)
}

/// The row that a column refers to.
fn reference(row: Row<'_>, column: &str) -> Option<Uuid> {
    row.references(column).first().copied()
}

fn localnet(row: Row<'_>) -> Option<Localnet> {
    Some(Localnet {
        network: row.key("options", "network_name")?.to_owned(),
        vlan_tag: row.integer("tag").and_then(|tag| tag.try_into().ok()),
    })
}

fn switch(row: Row<'_>, mut localnets: Vec<Localnet>) -> LogicalSwitch {
    localnets.sort();
    let external = |key| row.key("external_ids", key).map(str::to_owned);
    LogicalSwitch {
        name: external("name"),
        display_name: external("name2"),
        tunnel_key: row.integer("tunnel_key").and_then(|key| key.try_into().ok()),
        localnets,
    }
}

fn chassis(row: Row<'_>) -> Chassis {
    Chassis { name: row.string("name"), hostname: row.string("hostname") }
}

#[cfg(test)]
#[path = "southbound_tests.rs"]
mod tests;
