//! A Linux bridge in the place of Open vSwitch: a path that is in the kernel from end to end, on kernels without OVS's
//! datapath, too. OVSDB describes it as OVS would, so that it is found like any other.

use anyhow::Result;

use super::ovs;
use crate::exec::run;
use crate::lab::Lab;

/// What the lab's description says instead of an OVS datapath.
pub(super) const DATAPATH: &str = "bridge";

/// The bridge with its ports, and the database.
pub(super) fn start(lab: &Lab) -> Result<()> {
    let bridge = &lab.integration_bridge;
    let kind = ["type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"];
    run("ip", &[&["link", "add", bridge], &kind[..]].concat())?;
    for port in lab.guests.iter().map(|guest| &guest.qvo).chain([&lab.nic]) {
        run("ip", &["link", "set", port, "master", bridge])?;
    }
    run("ip", &["link", "set", bridge, "up"])?;
    ovs::start_database(&lab.log_dir)?;
    let mut commands = vec![format!("add-br {bridge}"), format!("add-port {bridge} {}", lab.nic)];
    for guest in &lab.guests {
        commands.push(format!("add-port {bridge} {}", guest.qvo));
        commands.push(format!("set interface {} {}", guest.qvo, ovs::external_ids(guest)));
    }
    let mut words = vec!["--no-wait"];
    for command in &commands {
        words.push("--");
        words.extend(command.split(' '));
    }
    run("ovs-vsctl", &words).map(drop)
}
