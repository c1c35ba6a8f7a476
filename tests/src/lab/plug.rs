//! A guest's tap elsewhere than at its own bridge.

use anyhow::Result;

use super::{Guest, Trap};

impl Guest {
    /// The shell commands that plug the tap as before. Meanwhile bridges have learned that the guest is elsewhere: they forget it.
    #[must_use]
    pub fn back_at_its_bridge(&self) -> String {
        let Self { tap, qbr, .. } = self;
        format!(
            "ip link set {tap} master {qbr}; ip link set {qbr} type bridge fdb_flush; ovs-appctl fdb/flush"
        )
    }

    /// The tap as a port of this bridge of Open vSwitch, with these settings (`tag=1`), noted there as Nova does, until the trap is dropped.
    /// What the hybrid plug made is still there, its row with the same `iface-id`: a leftover.
    ///
    /// # Errors
    /// When the bridge does not take it.
    pub fn plug_into(&self, bridge: &str, settings: &str) -> Result<Trap> {
        let tap = &self.tap;
        let ids = ["iface-id", "attached-mac", "vm-uuid", "iface-status"];
        let ids = ids.map(|key| {
            format!(r#"external_ids:{key}="$(ovs-vsctl get interface {} external_ids:{key})""#, self.qvo)
        });
        let set = format!(
            "ip link set {tap} nomaster
             ovs-vsctl add-port {bridge} {tap} {settings} -- set interface {tap} {}",
            ids.join(" ")
        );
        let remove = format!("ovs-vsctl del-port {bridge} {tap}; {}", self.back_at_its_bridge());
        Trap::set("sh", &["-ec", &set], &["-c", &remove])
    }
}
