//! The engine on a host with a real OVSDB and interfaces as Neutron plugs them, in a network namespace of the test's own: ports that are named
//! together, one that comes and goes, and one whose interface vanishes.

use std::{
    future::pending,
    net::UdpSocket,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hoptrace::{
    discover::Sources,
    model::{PacketFilter, PortReport, Report},
    ovs::Remote,
    trace::{Ending, Event, Targets, TraceOptions, Tracer},
};
use tempfile::TempDir;

use super::veths::{in_namespace, ip};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const LIMIT: Duration = Duration::from_secs(10);
/// Datagrams that a VM sends at a time, and to which UDP port.
const DATAGRAMS: u64 = 40;
const UDP_PORT: u16 = 4444;

/// An OVSDB server in a folder of its own; killed on drop. No switch runs.
struct Ovsdb {
    child: Child,
    folder: TempDir,
}

impl Ovsdb {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = folder.path().join("conf.db");
        let made = Command::new("ovsdb-tool").arg("create").arg(&database).arg(SCHEMA).status();
        ensure!(made.context("this test needs openvswitch-switch")?.success(), "no database");
        let child = Command::new("ovsdb-server")
            .arg(&database)
            .arg(format!("--remote=punix:{}", folder.path().join("db.sock").display()))
            .arg("--unixctl=none")
            .env("OVS_RUNDIR", folder.path())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { child, folder };
        let end = Instant::now() + LIMIT;
        // There is no event but the socket itself.
        while server.vsctl("init").is_err() {
            ensure!(Instant::now() < end, "the OVSDB server does not listen");
            sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn remote(&self) -> Remote {
        Remote::Unix(self.folder.path().join("db.sock"))
    }

    fn vsctl(&self, words: &str) -> Result<()> {
        let database = format!("--db=unix:{}", self.folder.path().join("db.sock").display());
        let mut vsctl = Command::new("ovs-vsctl");
        let outcome = vsctl.args([&database, "--no-wait", "--timeout=10"]).args(words.split(' ')).output()?;
        ensure!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
        Ok(())
    }
}

impl Drop for Ovsdb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The VM with this number: its port's id begins with what interfaces are called by.
fn id(number: u8) -> String {
    format!("{number}0000000-00{number}0-4000-8000-000000000000")
}

fn short(number: u8) -> String {
    id(number).chars().take(11).collect()
}

/// Plugs a VM as Neutron does: tap, Linux bridge, veth pair, integration bridge.
fn plug(ovsdb: &Ovsdb, number: u8) -> Result<()> {
    let short = short(number);
    let mac = format!("fa:16:3e:00:00:0{number}");
    for words in [
        format!("link add vm{number} address {mac} type veth peer name tap{short}"),
        format!("link add qvb{short} type veth peer name qvo{short}"),
        format!("link add qbr{short} type bridge"),
        format!("link set tap{short} master qbr{short}"),
        format!("link set qvb{short} master qbr{short}"),
        format!("address add 10.0.{number}.1/24 dev vm{number}"),
    ] {
        ip(&words)?;
    }
    for ifname in ["tap", "qvb", "qvo", "qbr"] {
        ip(&format!("link set {ifname}{short} up"))?;
    }
    ip(&format!("link set vm{number} up"))?;
    ovsdb.vsctl(&format!(
        "add-port br-int qvo{short} -- set interface qvo{short} external_ids:iface-id={} external_ids:vm-uuid=vm{number} \
         external_ids:attached-mac=\"{mac}\"",
        id(number)
    ))
}

/// A host with so many VMs.
fn host(vms: u8) -> Result<Ovsdb> {
    let ovsdb = Ovsdb::start()?;
    ip("link set lo up")?;
    ip("link add nic0 type veth peer name wire0")?;
    ip("link set nic0 up")?;
    ip("link set wire0 up")?;
    for words in [
        "add-br br-int",
        "add-br br-ex",
        "add-port br-ex nic0",
        "add-port br-int int-br-ex -- set interface int-br-ex type=patch options:peer=phy-br-ex",
        "add-port br-ex phy-br-ex -- set interface phy-br-ex type=patch options:peer=int-br-ex",
    ] {
        ovsdb.vsctl(words)?;
    }
    (1..=vms).try_for_each(|number| plug(&ovsdb, number))?;
    Ok(ovsdb)
}

/// A VM sends datagrams to all of its network.
fn send(number: u8) -> Result<()> {
    let socket = UdpSocket::bind(format!("10.0.{number}.1:{UDP_PORT}"))?;
    socket.set_broadcast(true)?;
    for datagram in 0..DATAGRAMS {
        socket.send_to(
            format!("datagram {datagram} of {number}").as_bytes(),
            format!("10.0.{number}.255:{UDP_PORT}"),
        )?;
    }
    Ok(())
}

fn options(ovsdb: &Ovsdb) -> Result<TraceOptions> {
    let words = ["udp", "and", "port", &UDP_PORT.to_string()].map(str::to_owned);
    Ok(TraceOptions {
        sources: Sources { libvirt_uri: "qemu+unix:///system?socket=/nowhere".to_owned(), ovsdb: vec![ovsdb.remote()] },
        filter: PacketFilter::from_words(&words)?,
        timeout: Duration::from_millis(300),
        room: Some(3),
        ..TraceOptions::default()
    })
}

/// Sweeps until it ends, or for a while.
async fn trace(tracer: &mut Tracer) -> Option<Ending> {
    let sweeping = async {
        loop {
            if let Event::Ended(ending) = tracer.next().await {
                return ending;
            }
        }
    };
    tokio::time::timeout(Duration::from_millis(600), sweeping).await.ok()
}

fn sent(report: &Report, number: u8) -> Result<&PortReport> {
    let is_it = |port: &&PortReport| port.path.instance.port_id.as_deref() == Some(id(number).as_str());
    report.ports.iter().find(is_it).with_context(|| format!("VM {number} is not in the report"))
}

/// Whether every one of so many datagrams of a VM is in its ledger.
fn ensure_sent(report: &Report, number: u8, times: u64) -> Result<()> {
    let port = sent(report, number)?;
    let ledger = &port.directions.egress.ledger;
    let is_right = ledger.balanced && ledger.entered == times * DATAGRAMS;
    ensure!(is_right && port.directions.ingress.ledger.balanced, "VM {number}: {ledger:?}");
    Ok(())
}

/// The engine must run in a runtime of one thread.
fn run(test: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(test)
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn two_are_traced_a_third_comes_and_goes_and_all_are_in_the_report() -> Result<()> {
    in_namespace(|| {
        let ovsdb = host(3)?;
        run(async {
            let targets = Targets::Named(vec![id(1), id(2)]);
            let mut tracer = Tracer::start(targets, options(&ovsdb)?).await?;
            send(1)?;
            send(2)?;
            send(3)?;
            let third = tracer.add(&id(3)).await?;
            ensure!(tracer.ports().count() == 3 && tracer.snapshot().ports.len() == 3, "it did not come");
            (1..=3).try_for_each(send)?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            tracer.remove(third).await?;
            ensure!(tracer.remove(third).await.is_err() && tracer.ports().count() == 2, "it did not go");
            (1..=3).try_for_each(send)?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            let full = tracer.add(&id(3)).await.err().context("there was room")?;
            ensure!(full.to_string().contains("room for 3 ports"), "{full}");
            let report = tracer.finish(&Ending::Wanted, pending).await;
            ensure_sent(&report, 1, 3)?;
            ensure_sent(&report, 2, 3)?;
            ensure_sent(&report, 3, 1)?;
            let [first, third] = [sent(&report, 1)?, sent(&report, 3)?];
            ensure!(third.began_ns > first.began_ns && third.duration < first.duration, "{third:?}");
            ensure!(report.duration >= first.duration, "{:?}", report.duration);
            Ok(())
        })
    })
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_port_whose_interface_vanishes_goes_and_the_others_are_traced_on() -> Result<()> {
    in_namespace(|| {
        let ovsdb = host(2)?;
        run(async {
            let mut tracer = Tracer::start(Targets::All, options(&ovsdb)?).await?;
            ensure!(tracer.ports().count() == 2, "not all");
            (1..=2).try_for_each(send)?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            ip(&format!("link delete tap{}", short(2)))?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            ensure!(tracer.ports().count() == 1, "it is still traced");
            send(1)?;
            ip(&format!("link delete tap{}", short(1)))?;
            let ending = trace(&mut tracer).await.context("it goes on without any port")?;
            ensure!(matches!(ending, Ending::Vanished(_)), "{ending:?}");
            let report = tracer.finish(&ending, pending).await;
            ensure_sent(&report, 1, 2)?;
            ensure_sent(&report, 2, 1)
        })
    })
}
