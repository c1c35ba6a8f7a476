//! Open vSwitch: the two daemons, the bridges, and Neutron's flows.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::exec::{daemon, run};
use crate::lab::{Guest, Lab};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const DATABASE: &str = "/etc/openvswitch/conf.db";
const SOCKET: &str = "/run/openvswitch/db.sock";

/// `system` where the kernel has the datapath module, else `netdev`.
pub(super) fn datapath() -> &'static str {
    let loaded = || Path::new("/sys/module/openvswitch").exists();
    if loaded() || (run("modprobe", &["openvswitch"]).is_ok() && loaded()) { "system" } else { "netdev" }
}

/// Starts both daemons; each goes into the background when it is ready.
pub(super) fn start(log_dir: &Path) -> Result<()> {
    start_database(log_dir)?;
    wait_for_clock()?;
    let log = format!("--log-file={}", log_dir.join("ovs-vswitchd.log").display());
    daemon("ovs-vswitchd", &[&format!("unix:{SOCKET}"), "--pidfile", "--detach", &log])
}

/// Starts `ovsdb-server` alone, with an empty database.
pub(super) fn start_database(log_dir: &Path) -> Result<()> {
    run("ovsdb-tool", &["create", DATABASE, SCHEMA])?;
    daemon(
        "ovsdb-server",
        &[
            DATABASE,
            &format!("--remote=punix:{SOCKET}"),
            "--remote=ptcp:6640:127.0.0.1",
            "--pidfile",
            "--detach",
            &format!("--log-file={}", log_dir.join("ovsdb-server.log").display()),
        ],
    )?;
    run("ovs-vsctl", &["--no-wait", "init"]).map(drop)
}

/// In the first ten seconds of a kernel, `ovs-vswitchd` takes its cached number of CPUs, 0, for fresh, starts no thread
/// for upcalls and forwards nothing. Time has no other event to wait for.
fn wait_for_clock() -> Result<()> {
    const ENOUGH: Duration = Duration::from_secs(11);
    let text = std::fs::read_to_string("/proc/uptime").context("read /proc/uptime")?;
    let uptime_s = text.split_whitespace().next().and_then(|word| word.parse().ok()).context("no uptime")?;
    std::thread::sleep(ENOUGH.saturating_sub(Duration::from_secs_f64(uptime_s)));
    Ok(())
}

/// Bridges, ports and flows of a provider network. Returns when `ovs-vswitchd` has taken them over.
pub(super) fn configure(lab: &Lab) -> Result<()> {
    let mut words: Vec<String> = vec!["--timeout=20".into()];
    let mut add = |command: String| {
        words.push("--".into());
        words.extend(command.split(' ').map(String::from));
    };
    let (int, ex) = (&lab.integration_bridge, &lab.provider_bridge);
    for bridge in [int, ex] {
        add(format!("add-br {bridge}"));
        add(format!("set bridge {bridge} datapath_type={} fail_mode=secure", lab.datapath));
    }
    for guest in &lab.guests {
        add(format!("add-port {int} {} tag={}", guest.qvo, lab.local_vlan));
        add(format!("set interface {} {}", guest.qvo, external_ids(guest)));
    }
    for (bridge, port, peer) in [
        (int, &lab.patch_integration, &lab.patch_provider),
        (ex, &lab.patch_provider, &lab.patch_integration),
    ] {
        add(format!("add-port {bridge} {port}"));
        add(format!("set interface {port} type=patch options:peer={peer}"));
    }
    add(format!("add-port {ex} {}", lab.nic));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    run("ovs-vsctl", &words)?;
    add_flows(lab)?;
    for bridge in [int, ex] {
        run("ip", &["link", "set", bridge, "up"])?;
    }
    Ok(())
}

/// What Neutron notes at the port of a guest.
pub(in crate::lab) fn external_ids(guest: &Guest) -> String {
    format!(
        "external_ids:iface-id={} external_ids:attached-mac=\"{}\" external_ids:vm-uuid={} external_ids:iface-status=active",
        guest.port_id, guest.mac, guest.uuid
    )
}

/// Neutron's flows: the VLAN is local to the integration bridge and translated where the bridges meet.
fn add_flows(lab: &Lab) -> Result<()> {
    let (int, ex) = (&lab.integration_bridge, &lab.provider_bridge);
    let (from_provider, from_integration) = (&lab.patch_integration, &lab.patch_provider);
    let vlan = lab.local_vlan;
    let flows = [
        (
            int,
            format!(
                "priority=3,in_port={from_provider},vlan_tci=0x0000/0x1fff actions=mod_vlan_vid:{vlan},resubmit(,60)"
            ),
        ),
        (int, format!("priority=2,in_port={from_provider} actions=drop")),
        (int, "priority=0 actions=resubmit(,60)".to_owned()),
        (int, "table=60,priority=3 actions=NORMAL".to_owned()),
        (ex, format!("priority=4,in_port={from_integration},dl_vlan={vlan} actions=strip_vlan,NORMAL")),
        (ex, format!("priority=2,in_port={from_integration} actions=drop")),
        (ex, "priority=0 actions=NORMAL".to_owned()),
    ];
    for (bridge, flow) in flows {
        run("ovs-ofctl", &["add-flow", bridge, &flow])?;
    }
    Ok(())
}
