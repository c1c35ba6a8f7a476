//! The one row of the table `Open_vSwitch`.

use serde_json::Value;

use super::snapshot::rows;
use crate::model::{BridgeMappings, OvsSystem};

/// What the switch is told as a whole, from a `<table-updates2>` of `initial` rows.
pub(super) fn system(tables: &Value) -> OvsSystem {
    let Some(row) = rows(tables, "Open_vSwitch").into_values().next() else { return OvsSystem::default() };
    let external = |key| row.key("external_ids", key);
    OvsSystem {
        system_id: external("system-id").map(str::to_owned),
        hostname: external("hostname").map(str::to_owned),
        ovn_remote: external("ovn-remote").map(str::to_owned),
        bridge_mappings: external("ovn-bridge-mappings").map(BridgeMappings::parse).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const UUID: &str = "06234b93-6b4b-4f92-be8a-342dd858617c";

    #[test]
    fn keys_of_ovn_are_read() {
        let keys = json!([
            "map",
            [
                ["hostname", "compute-1"],
                ["ovn-remote", "tcp:192.0.2.1:6642"],
                ["ovn-bridge-mappings", "physnet1:br-ex"],
                ["system-id", "c8b85a"]
            ]
        ]);
        let system = system(&json!({"Open_vSwitch": {UUID: {"initial": {"external_ids": keys}}}}));
        assert_eq!(
            (system.system_id.as_deref(), system.hostname.as_deref()),
            (Some("c8b85a"), Some("compute-1"))
        );
        assert_eq!(system.ovn_remote.as_deref(), Some("tcp:192.0.2.1:6642"));
        assert_eq!(system.bridge_mappings.bridge("physnet1"), Some("br-ex"));
    }

    #[test]
    fn what_is_not_told_is_not_known() {
        let row = |ids: Value| json!({"Open_vSwitch": {UUID: {"initial": {"external_ids": ids}}}});
        for odd in [
            json!({}),
            json!([]),
            json!({"Open_vSwitch": []}),
            json!({"Open_vSwitch": {UUID: {"initial": 7}}}),
            row(json!(["map", []])),
            row(json!(["map"])),
            row(json!(["map", [["ovn-remote"], ["ovn-remote", 7], ["hostname", ""], []]])),
        ] {
            assert_eq!(system(&odd), OvsSystem::default(), "{odd}");
        }
    }
}
