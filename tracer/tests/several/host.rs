//! The engine on a host with a real OVSDB and interfaces as Neutron plugs them, in a network namespace of the test's own: ports that are named
//! together, one that comes and goes, and one whose interface vanishes.

use std::{
    future::pending,
    net::UdpSocket,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hoptrace::{
    discover::Sources,
    model::{Mechanism, PacketFilter, PortReport, Report},
    ovs::Remote,
    trace::{Ending, Event, Targets, TraceOptions, Tracer},
};
use tempfile::TempDir;

use super::veths::{in_namespace, ip, ip_batch};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const LIMIT: Duration = Duration::from_secs(10);
/// Datagrams that a VM sends at a time, and to which UDP port.
pub(super) const DATAGRAMS: u64 = 40;
pub(super) const UDP_PORT: u16 = 4444;

/// An OVSDB server in a folder of its own; killed on drop. No switch runs.
pub(super) struct Ovsdb {
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

/// The port of the VM with this number.
pub(super) fn id(number: u16) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

/// The beginning of its id, by which interfaces are called.
pub(super) fn short(number: u16) -> String {
    id(number).chars().take(11).collect()
}

/// The network of a VM, a VM's own.
fn network(number: u16) -> String {
    let [high, low] = number.to_be_bytes();
    format!("10.{high}.{low}")
}

/// What `ip` has to do to plug a VM as Neutron does: tap, Linux bridge, veth pair.
fn links(number: u16) -> String {
    let (short, network, [high, low]) = (short(number), network(number), number.to_be_bytes());
    let commands = format!(
        "link add vm{number} address fa:16:3e:00:{high:02x}:{low:02x} type veth peer name tap{short}\n\
         link add qvb{short} type veth peer name qvo{short}\n\
         link add qbr{short} type bridge\n\
         link set tap{short} master qbr{short}\n\
         link set qvb{short} master qbr{short}\n\
         address add {network}.1/24 dev vm{number}\n"
    );
    let own = ["tap", "qvb", "qvo", "qbr"].map(|kind| format!("link set {kind}{short} up\n")).concat();
    commands + &own + &format!("link set vm{number} up\n")
}

/// What OVSDB is told of it: a port of the integration bridge.
fn port(number: u16) -> String {
    let (short, [high, low]) = (short(number), number.to_be_bytes());
    format!(
        " -- add-port br-int qvo{short} -- set interface qvo{short} external_ids:iface-id={} external_ids:vm-uuid=vm{number} \
         external_ids:attached-mac=\"fa:16:3e:00:{high:02x}:{low:02x}\"",
        id(number)
    )
}

/// A host with so many VMs, on a switch without a NIC.
pub(super) fn isolated_host(vms: u16) -> Result<Ovsdb> {
    let ovsdb = Ovsdb::start()?;
    ip_batch(&(1..=vms).fold("link set lo up\n".to_owned(), |commands, number| commands + &links(number)))?;
    ovsdb.vsctl(&(1..=vms).fold("add-br br-int".to_owned(), |words, number| words + &port(number)))?;
    Ok(ovsdb)
}

/// A host with so many VMs.
pub(super) fn host(vms: u16) -> Result<Ovsdb> {
    let ovsdb = Ovsdb::start()?;
    let uplink =
        "link set lo up\nlink add nic0 type veth peer name wire0\nlink set nic0 up\nlink set wire0 up\n";
    ip_batch(&(1..=vms).fold(uplink.to_owned(), |commands, number| commands + &links(number)))?;
    let bridges = "add-br br-int -- add-br br-ex -- add-port br-ex nic0 \
                   -- add-port br-int int-br-ex -- set interface int-br-ex type=patch options:peer=phy-br-ex \
                   -- add-port br-ex phy-br-ex -- set interface phy-br-ex type=patch options:peer=int-br-ex";
    ovsdb.vsctl(&(1..=vms).fold(bridges.to_owned(), |words, number| words + &port(number)))?;
    Ok(ovsdb)
}

/// A VM sends datagrams to all of its network.
pub(super) fn send(number: u16) -> Result<()> {
    let network = network(number);
    let socket = UdpSocket::bind(format!("{network}.1:{UDP_PORT}"))?;
    socket.set_broadcast(true)?;
    for datagram in 0..DATAGRAMS {
        let words = format!("datagram {datagram} of {number}");
        socket.send_to(words.as_bytes(), format!("{network}.255:{UDP_PORT}"))?;
    }
    Ok(())
}

pub(super) fn options(ovsdb: &Ovsdb) -> Result<TraceOptions> {
    let words = ["udp", "and", "port", &UDP_PORT.to_string()].map(str::to_owned);
    Ok(TraceOptions {
        sources: Sources {
            libvirt_uri: "qemu+unix:///system?socket=/nowhere".to_owned(),
            ovsdb: vec![ovsdb.remote()],
        },
        filter: PacketFilter::from_words(&words)?,
        timeout: Duration::from_millis(300),
        room: Some(3),
        ..TraceOptions::default()
    })
}

/// Sweeps until it ends, or for a while.
pub(super) async fn trace(tracer: &mut Tracer) -> Option<Ending> {
    let sweeping = async {
        loop {
            if let Event::Ended(ending) = tracer.next().await {
                return ending;
            }
        }
    };
    tokio::time::timeout(Duration::from_millis(600), sweeping).await.ok()
}

pub(super) fn sent(report: &Report, number: u16) -> Result<&PortReport> {
    let is_it = |port: &&PortReport| port.path.instance.port_id.as_deref() == Some(id(number).as_str());
    report.ports.iter().find(is_it).with_context(|| format!("VM {number} is not in the report"))
}

/// Whether every one of so many datagrams of a VM is in its ledger.
pub(super) fn ensure_sent(report: &Report, number: u16, times: u64) -> Result<()> {
    let port = sent(report, number)?;
    let ledger = &port.directions.egress.ledger;
    let is_right = ledger.balanced && ledger.entered == times * DATAGRAMS;
    ensure!(is_right && port.directions.ingress.ledger.balanced, "VM {number}: {ledger:?}");
    Ok(())
}

/// The engine must run in a runtime of one thread.
pub(super) fn run(test: impl Future<Output = Result<()>>) -> Result<()> {
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

/// VMs that send all the time, until they are told to stop.
struct Traffic {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Result<u64>>,
}

impl Traffic {
    /// From so many VMs.
    fn start(vms: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            let mut times = 0;
            while !told.load(Ordering::Relaxed) {
                (1..=vms).try_for_each(send)?;
                times += 1;
                // The same datagrams again: those before are settled by then.
                sleep(Duration::from_millis(450));
            }
            Ok(times)
        });
        Self { stop, sender }
    }

    /// How often each has sent its datagrams.
    fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?
    }
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_port_comes_and_goes_under_traffic_and_every_packet_is_in_a_ledger() -> Result<()> {
    [Mechanism::Tcx, Mechanism::Tracepoints].into_iter().try_for_each(come_and_go_under_traffic)
}

fn come_and_go_under_traffic(mechanism: Mechanism) -> Result<()> {
    in_namespace(move || {
        let ovsdb = host(3)?;
        run(async {
            let options = TraceOptions { mechanism: Some(mechanism), ..options(&ovsdb)? };
            let mut tracer = Tracer::start([id(1).as_str(), id(2).as_str()], options).await?;
            let traffic = Traffic::start(3);
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            let third = tracer.add(&id(3)).await?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            tracer.remove(third).await?;
            ensure!(trace(&mut tracer).await.is_none(), "it ended");
            let times = traffic.stop()?;
            let report = tracer.finish(&Ending::Wanted, pending).await;
            ensure_sent(&report, 1, times)?;
            ensure_sent(&report, 2, times)?;
            let ledger = sent(&report, 3)?.directions.egress.ledger;
            let is_right = ledger.balanced && ledger.in_flight == 0;
            ensure!(is_right && (DATAGRAMS..times * DATAGRAMS).contains(&ledger.entered), "{ledger:?}");
            Ok(())
        })
    })
}

/// The ports of a large host.
const MANY: u16 = 500;
/// How long it may take from the first question to the first packet admitted (without optimisation everything takes longer), and all memory,
/// the kernel's for maps among it.
const READY_WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 5 });
const MOST_BYTES: u64 = 300 << 20;
/// How often it is swept for a while before figures are looked at.
const SWEPT: u32 = 4;

/// Memory of this process that is there, without the kernel's maps in it.
fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn all_ports_of_a_large_host_are_ready_in_a_moment_and_exact() -> Result<()> {
    in_namespace(|| {
        let ovsdb = host(MANY)?;
        run(async {
            let mut tracer =
                Tracer::start(Targets::All, TraceOptions { room: None, ..options(&ovsdb)? }).await?;
            let ready = tracer.ready();
            let with_traffic = (1..=MANY).step_by(usize::from(MANY / 10));
            with_traffic.clone().try_for_each(send)?;
            for _ in 0..SWEPT {
                ensure!(trace(&mut tracer).await.is_none(), "it ended");
            }
            let busy = tracer.snapshot().tracer.cpu_pct;
            let began = Instant::now();
            let maps = tracer.snapshot().tracer.map_bytes;
            let (figures, resident) = (began.elapsed(), resident_bytes()?);
            let began = Instant::now();
            let report = tracer.finish(&Ending::Wanted, pending).await;
            println!(
                "{MANY} ports: ready after {} ms, figures in {} ms, ended after {} ms, {} MiB of maps, {} MiB resident, {:.1} % CPU",
                ready.as_millis(),
                figures.as_millis(),
                began.elapsed().as_millis(),
                maps >> 20,
                resident >> 20,
                busy
            );
            ensure!(report.ports.len() == usize::from(MANY), "{} ports", report.ports.len());
            with_traffic.clone().try_for_each(|number| ensure_sent(&report, number, 1))?;
            ensure_sent(&report, 2, 0)?;
            ensure!(
                ready <= READY_WITHIN && maps + resident <= MOST_BYTES,
                "{ready:?}, {maps} and {resident} bytes"
            );
            Ok(())
        })
    })
}
