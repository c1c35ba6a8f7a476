//! A host with two VMs, the first of which is asked about.
#![allow(clippy::unwrap_used)]

use super::known::Known;
use crate::{
    model::{Path, Topology, VmPort},
    ovs::SwitchPort,
    path::{self, testing::two_vms},
};

pub(super) const OWN_PORT: &str = "qvoc3d70d5c-a9";
pub(super) const OTHER_PORT: &str = "qvo7be41f06-31";

/// The host, and the path of its first VM.
pub(super) struct Host {
    pub(super) topology: Topology,
    pub(super) path: Path,
    pub(super) ports: Vec<VmPort>,
}

impl Host {
    pub(super) fn new() -> Self {
        Self::of(two_vms())
    }

    pub(super) fn of(topology: Topology) -> Self {
        let path = path::find(&topology, "yjwang-test-1").unwrap();
        let ports = path::ports(&topology);
        Self { topology, path, ports }
    }

    pub(super) fn known(&self) -> Known<'_> {
        Known { path: &self.path, topology: &self.topology, ports: &self.ports }
    }
}

/// What its switch says of its ports; two tunnels share one of the datapath.
pub(super) fn switch_ports() -> Vec<SwitchPort> {
    let port = |(bridge, name, ofport, number, kind): (&str, &str, i64, Option<u32>, &str)| SwitchPort {
        bridge: bridge.to_owned(),
        name: name.to_owned(),
        ofport,
        number,
        kind: kind.to_owned(),
    };
    [
        ("br-ex", "br-ex", 65_534, Some(1), "internal"),
        ("br-ex", "ens3", 1, Some(2), "system"),
        ("br-ex", "phy-br-ex", 2, None, "patch"),
        ("br-int", "br-int", 65_534, Some(3), "internal"),
        ("br-int", "int-br-ex", 1, None, "patch"),
        ("br-int", OWN_PORT, 2, Some(4), "system"),
        ("br-int", OTHER_PORT, 3, Some(5), "system"),
        ("br-int", "vxlan-0a000002", 4, Some(6), "vxlan"),
        ("br-int", "vxlan-0a000003", 5, Some(6), "vxlan"),
    ]
    .map(port)
    .to_vec()
}
