//! OVN beside the lab's switch: both databases, `ovn-northd`, and `ovn-controller`, which programs a bridge of its own.

use anyhow::{Context as _, Result};

use super::{Guest, Lab, Trap};
use crate::exec::run;

/// The bridge that it programs, see [`Ovn::BRIDGE`].
const BRIDGE: &str = Ovn::BRIDGE;
/// The port by which the logical switch is joined to the provider network, as Neutron names one.
const LOCALNET: &str = "provnet-84d63c87-aad1-43d0-bdc9-dca5145b6fe6";
/// Where its files are.
const FOLDER: &str = "/run/hoptrace-ovn";
/// Its keys in the switch's database.
const KEYS: [&str; 6] =
    ["system-id", "ovn-remote", "ovn-bridge", "ovn-encap-type", "ovn-encap-ip", "ovn-bridge-mappings"];

/// OVN with one logical switch that is joined to the provider network, and a guest on it; ends when it is dropped.
#[derive(Debug)]
pub struct Ovn {
    // In this order: the controller has to see the port go.
    _plug: Trap,
    _controller: Trap,
    _daemons: Trap,
}

impl Ovn {
    /// The logical switch, as Neutron names one.
    pub const SWITCH: &str = "neutron-5f6c1fd5-3d6a-4e0f-9c9b-0d3c8b6f8a11";
    /// What people call the network.
    pub const NETWORK: &str = "public";
    /// The provider network it is joined to.
    pub const PROVIDER: &str = "physnet1";
    /// The integration bridge that it programs. Neutron's flows stay on the other one.
    pub const BRIDGE: &str = "br-ovn";

    /// Starts it, plugs the guest's tap in, and waits until the bridge has its flows.
    ///
    /// # Errors
    /// When a part of it does not start, or the port does not come up.
    pub fn with(lab: &Lab, guest: &Guest) -> Result<Self> {
        let daemons = daemons().context("OVN's databases and ovn-northd")?;
        let controller = controller(lab).context("ovn-controller")?;
        let plug = guest.plug_into(BRIDGE, "")?;
        let ovn = Self { _plug: plug, _controller: controller, _daemons: daemons };
        add_network(guest)?;
        Ok(ovn)
    }

    /// While OVN runs: a rule of the logical switch that drops what `matches`, on the way `from-lport` or `to-lport`.
    ///
    /// # Errors
    /// When the database does not take it, or the controller does not follow.
    pub fn drop_acl(way: &str, matches: &str) -> Result<Trap> {
        let database = database("nb");
        let rule =
            |action| [&database, "--wait=hv", "--timeout=20", action, Self::SWITCH, way, "1000", matches];
        Trap::set("ovn-nbctl", &[&rule("acl-add")[..], &["drop"]].concat(), &rule("acl-del"))
    }
}

/// The logical switch with the guest's port; returns when the bridge has its flows.
fn add_network(guest: &Guest) -> Result<()> {
    let (switch, port) = (Ovn::SWITCH, &guest.port_id);
    let commands = [
        format!("ls-add {switch}"),
        format!("set logical_switch {switch} external_ids:neutron\\:network_name={}", Ovn::NETWORK),
        format!("lsp-add {switch} {LOCALNET}"),
        format!("lsp-set-type {LOCALNET} localnet"),
        format!("lsp-set-addresses {LOCALNET} unknown"),
        format!("lsp-set-options {LOCALNET} network_name={}", Ovn::PROVIDER),
        format!("lsp-add {switch} {port}"),
    ];
    let database = database("nb");
    let mut words = vec![database.as_str(), "--timeout=20"];
    for command in &commands {
        words.push("--");
        words.extend(command.split(' '));
    }
    let addresses = format!("{} {} {}", guest.mac, guest.ipv4, guest.ipv6);
    words.extend(["--", "lsp-set-addresses", port, &addresses]);
    run("ovn-nbctl", &words)?;
    run("ovn-nbctl", &[&database, "--timeout=20", "wait-until", "logical_switch_port", port, "up=true"])?;
    run("ovn-nbctl", &[&database, "--timeout=20", "--wait=hv", "sync"]).map(drop)
}

/// The word that names a database to OVN's tools.
fn database(which: &str) -> String {
    format!("--db=unix:{FOLDER}/{which}.sock")
}

/// Both databases, empty, and what translates one into the other.
fn daemons() -> Result<Trap> {
    let database = |which: &str| {
        format!(
            "ovsdb-tool create {FOLDER}/{which}.db /usr/share/ovn/ovn-{which}.ovsschema
             ovsdb-server {FOLDER}/{which}.db --remote=punix:{FOLDER}/{which}.sock --unixctl={FOLDER}/{which}.ctl {}",
            detached(which)
        )
    };
    let set = format!(
        "mkdir {FOLDER}
         {}
         {}
         OVN_RUNDIR={FOLDER} ovn-northd --ovnnb-db=unix:{FOLDER}/nb.sock --ovnsb-db=unix:{FOLDER}/sb.sock {}
         ovn-nbctl {} init",
        database("nb"),
        database("sb"),
        detached("ovn-northd"),
        self::database("nb"),
    );
    // The order in which they need each other.
    let remove = format!("{}\n{}\n{}\nrm -r {FOLDER}", end("ovn-northd"), end("sb"), end("nb"));
    Trap::set("sh", &["-ec", &set], &["-c", &remove])
}

/// What programs the bridge, and its settings. The bridge with its patch ports goes with it.
fn controller(lab: &Lab) -> Result<Trap> {
    let Lab { datapath, provider_bridge: provider, .. } = lab;
    let values = [
        "compute-1".to_owned(),
        format!("unix:{FOLDER}/sb.sock"),
        BRIDGE.to_owned(),
        "geneve".to_owned(),
        "127.0.0.1".to_owned(),
        format!("{}:{provider}", Ovn::PROVIDER),
    ];
    let settings = KEYS.iter().zip(&values).map(|(key, value)| format!("external_ids:{key}={value}"));
    let settings: Vec<_> = settings.collect();
    let set = format!(
        "ovs-vsctl --timeout=20 add-br {BRIDGE} -- set bridge {BRIDGE} datapath_type={datapath} fail_mode=secure
         ovs-vsctl set open_vswitch . {}
         OVN_RUNDIR={FOLDER} ovn-controller unix:/run/openvswitch/db.sock {}",
        settings.join(" "),
        detached("ovn-controller"),
    );
    // The last command is the one that has to succeed.
    let remove = format!(
        "{}
         ovs-appctl fdb/flush
         ovs-vsctl --timeout=20 del-br {BRIDGE} -- --if-exists del-port patch-{LOCALNET}-to-{BRIDGE} -- {}",
        end("ovn-controller"),
        KEYS.map(|key| format!("remove open_vswitch . external_ids {key}")).join(" -- ")
    );
    Trap::set("sh", &["-ec", &set], &["-c", &remove])
}

/// The options of a daemon that goes into the background when it is ready.
fn detached(name: &str) -> String {
    format!("--detach --no-chdir --pidfile={FOLDER}/{name}.pid --log-file={FOLDER}/{name}.log")
}

/// The shell commands that end a daemon. Some put a number into the name of the socket where they listen for that, and each takes its pid file
/// away last.
fn end(name: &str) -> String {
    format!(
        "ovs-appctl -t {FOLDER}/{name}.*ctl exit
         timeout 20 sh -c 'while [ -e {FOLDER}/{name}.pid ]; do sleep 0.02; done'"
    )
}
