//! The OVSDB client against a real `ovsdb-server`. Needs no root, only the package `openvswitch-common` or
//! `openvswitch-switch`; without it these tests fail and say so.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hoptrace::{
    discover::ovsdb::{self, DATABASE, monitor_requests},
    ovs::{Client, OvsError, Remote},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const LIMIT: Duration = Duration::from_secs(10);

/// A server in a folder of its own; killed on drop.
struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("conf.db");
        let made = tool("ovsdb-tool").arg("create").arg(&database).arg(SCHEMA).status();
        assert!(
            made.as_ref().is_ok_and(std::process::ExitStatus::success),
            "{MISSING}: ovsdb-tool: {made:?}"
        );
        let socket = folder.path().join("db.sock");
        let mut remote = std::ffi::OsString::from("--remote=punix:");
        remote.push(&socket);
        let child = tool("ovsdb-server")
            .arg(&database)
            .arg(remote)
            .arg("--remote=db:Open_vSwitch,Open_vSwitch,manager_options")
            .arg("--unixctl=none")
            .env("OVS_RUNDIR", folder.path())
            .spawn()
            .unwrap_or_else(|error| panic!("{MISSING}: ovsdb-server: {error}"));
        let server = Self { child, folder };
        wait_for(&socket);
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("db.sock")
    }

    fn remote(&self) -> Remote {
        Remote::Unix(self.socket())
    }

    fn vsctl(&self, arguments: &[&str]) {
        let output = tool("ovs-vsctl")
            .arg(format!("--db=unix:{}", self.socket().display()))
            .args(["--no-wait", "--timeout=10"])
            .args(arguments)
            .stderr(Stdio::piped())
            .output()
            .unwrap_or_else(|error| panic!("{MISSING}: ovs-vsctl: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a server listens there. There is no event to wait for but the socket itself.
fn wait_for(socket: &Path) {
    let end = Instant::now() + LIMIT;
    while UnixStream::connect(socket).is_err() {
        assert!(Instant::now() < end, "ovsdb-server does not listen at {}", socket.display());
        std::thread::yield_now();
    }
}

const MISSING: &str = "this test needs Open vSwitch's programs (Debian: openvswitch-switch)";

fn tool(name: &str) -> Command {
    let paths = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = paths.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    let mut command = Command::new(found.unwrap_or_else(|| name.into()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

async fn within<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, answer).await.expect("ovsdb-server did not answer in time")
}

#[tokio::test]
async fn the_snapshot_has_neutrons_rows() {
    let server = Server::start();
    server.vsctl(&["init"]);
    server.vsctl(&[
        "--",
        "add-br",
        "br-int",
        "--",
        "set",
        "bridge",
        "br-int",
        "datapath_type=netdev",
        "fail_mode=secure",
        "--",
        "add-port",
        "br-int",
        "qvo1",
        "tag=7",
        "--",
        "set",
        "interface",
        "qvo1",
        "external_ids:iface-id=c3d70d5c-a9aa-4bbb-8ccc-0123456789ab",
        "external_ids:attached-mac=\"fa:16:3e:21:1b:4b\"",
        "external_ids:vm-uuid=9c45fce8",
        "external_ids:iface-status=active",
        "--",
        "set",
        "port",
        "qvo1",
        "other_config:network_type=flat",
        "other_config:physical_network=physnet1",
        "--",
        "add-port",
        "br-int",
        "int-br-ex",
        "--",
        "set",
        "interface",
        "int-br-ex",
        "type=patch",
        "options:peer=phy-br-ex",
        "--",
        "add-bond",
        "br-int",
        "bond0",
        "eth1",
        "eth2",
        "--",
        "set",
        "port",
        "bond0",
        "trunks=5,6",
    ]);
    // A name made to confuse a scanner of JSON.
    server.vsctl(&["--", "set", "bridge", "br-int", "external_ids:odd=\"}]\\\"{[\\\\\""]);
    server.vsctl(&[
        "--",
        "set",
        "Open_vSwitch",
        ".",
        "external_ids:ovn-remote=tcp:192.0.2.1:6642,tcp:192.0.2.2:6642",
        "external_ids:ovn-bridge-mappings=physnet1:br-ex",
    ]);
    let (bridges, system, remote) =
        within(ovsdb::snapshot(&[Remote::Unix("/nonexistent".into()), server.remote()])).await.unwrap();
    assert_eq!(remote, server.remote());
    assert_eq!(system.ovn_remote.as_deref(), Some("tcp:192.0.2.1:6642,tcp:192.0.2.2:6642"));
    assert_eq!(system.bridge_mappings.pairs().collect::<Vec<_>>(), [("physnet1", "br-ex")]);
    assert_eq!(bridges.len(), 1);
    let bridge = &bridges[0];
    assert_eq!((bridge.name.as_str(), bridge.datapath_type.as_str()), ("br-int", "netdev"));
    assert_eq!(bridge.fail_mode.as_deref(), Some("secure"));
    let names: Vec<_> = bridge.ports.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["bond0", "br-int", "int-br-ex", "qvo1"]);
    assert_eq!((bridge.ports[0].interfaces.len(), bridge.ports[0].trunks.as_slice()), (2, [5, 6].as_slice()));
    assert_eq!(bridge.ports[1].interfaces[0].kind, "internal");
    assert_eq!(bridge.ports[2].interfaces[0].peer.as_deref(), Some("phy-br-ex"));
    let (qvo, keys) = (&bridge.ports[3], &bridge.ports[3].interfaces[0].neutron);
    assert_eq!((qvo.tag, qvo.network.physical_network.as_deref()), (Some(7), Some("physnet1")));
    assert_eq!(keys.iface_id.as_deref(), Some("c3d70d5c-a9aa-4bbb-8ccc-0123456789ab"));
    assert_eq!(keys.attached_mac.map(|mac| mac.to_string()).as_deref(), Some("fa:16:3e:21:1b:4b"));
    assert_eq!((keys.vm_uuid.as_deref(), keys.iface_status.as_deref()), (Some("9c45fce8"), Some("active")));
}

#[tokio::test]
async fn changes_are_notified() {
    let server = Server::start();
    server.vsctl(&["init"]);
    let mut client = within(Client::connect(&server.remote())).await.unwrap();
    let first = within(client.monitor_cond(DATABASE, "m", monitor_requests())).await.unwrap();
    assert!(ovsdb::bridges_from_updates(&first).unwrap().is_empty());
    server.vsctl(&["add-br", "br-new"]);
    let update = within(client.next_update()).await.unwrap();
    assert_eq!(update.monitor, json!("m"));
    let rows = update.tables["Bridge"].as_object().unwrap();
    assert!(rows.values().any(|row| row["insert"]["name"] == "br-new"), "{rows:?}");
}

#[tokio::test]
async fn large_replies_and_refusals_are_read() {
    let server = Server::start();
    server.vsctl(&["init"]);
    let mut arguments = vec!["--".to_owned(), "add-br".to_owned(), "br-int".to_owned()];
    for port in 0..500 {
        arguments.extend(["--", "add-port", "br-int"].map(str::to_owned));
        arguments.push(format!("qvo{port}"));
    }
    server.vsctl(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut client = within(Client::connect(&server.remote())).await.unwrap();
    let refused = within(client.call("no_such_method", json!([]))).await.unwrap_err();
    assert!(matches!(refused, OvsError::Refused { .. }), "{refused}");
    let refused = within(client.monitor_cond("No_Such_Database", "m", json!({}))).await.unwrap_err();
    assert!(matches!(refused, OvsError::Refused { .. }), "{refused}");
    // The connection survives a refusal.
    let rows = within(client.monitor_cond(DATABASE, "m", monitor_requests())).await.unwrap();
    assert_eq!(ovsdb::bridges_from_updates(&rows).unwrap()[0].ports.len(), 501);
}

/// The server probes an idle client after the remote's inactivity probe (1 s is its minimum) and hangs up when no
/// answer came within another. A client that says nothing shows that it does; ours then still hears of a change.
#[tokio::test]
async fn the_servers_probes_are_answered() {
    let server = Server::start();
    server.vsctl(&["init"]);
    let socket = server.folder.path().join("probed.sock");
    let target = format!("target=\"punix:{}\"", socket.display());
    server.vsctl(&[
        "--",
        "--id=@m",
        "create",
        "Manager",
        &target,
        "inactivity_probe=1000",
        "--",
        "set",
        "Open_vSwitch",
        ".",
        "manager_options=@m",
    ]);
    wait_for(&socket);
    let mut client = within(Client::connect(&Remote::Unix(socket.clone()))).await.unwrap();
    within(client.monitor_cond(DATABASE, "m", monitor_requests())).await.unwrap();
    let mut silent = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let mut heard = String::new();
    let (idle, hung_up) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(3_500), client.next_update()),
        within(silent.read_to_string(&mut heard)),
    );
    hung_up.unwrap();
    assert!(heard.contains("\"echo\""), "the server did not probe: {heard}");
    assert!(idle.is_err(), "{idle:?}");
    server.vsctl(&["add-br", "br-late"]);
    within(client.next_update()).await.expect("the connection survived the probes");
}

#[tokio::test]
async fn a_dead_server_is_an_error() {
    let server = Server::start();
    let mut client = within(Client::connect(&server.remote())).await.unwrap();
    drop(server);
    assert!(within(client.call("list_dbs", json!([]))).await.is_err());
}

#[test]
fn the_guard_leaves_no_process_behind() {
    let server = Server::start();
    let process = PathBuf::from(format!("/proc/{}", server.child.id()));
    assert!(process.exists());
    drop(server);
    assert!(!process.exists());
}
