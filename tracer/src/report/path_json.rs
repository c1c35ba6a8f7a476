//! A path as JSON.

use serde_json::{Value, json};

use crate::model::Path;

/// `{schema:"hoptrace.path/1", instance, path:{kind,hops}, network, nodes, problems, other_ports, traceable, why}`.
#[must_use]
pub fn path_json(path: &Path) -> Value {
    let mut object = json!({
        "schema": "hoptrace.path/1",
        "instance": path.instance,
        "path": path.summary(),
        "network": path.network,
        "nodes": path.steps,
        "problems": path.problems,
        "other_ports": path.other_ports,
    });
    if let (Value::Object(object), Ok(Value::Object(traceability))) =
        (&mut object, serde_json::to_value(&path.traceability))
    {
        object.extend(traceability);
    }
    object
}
