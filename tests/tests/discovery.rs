//! A host with many VMs is known quickly.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use hoptrace_tests::prelude::*;
use serde_json::Value;

const PORTS: usize = 500;
const RUNS: usize = 7;
/// For the whole command, on a slow machine; half of it is libvirt's test driver, which reads its own files.
const LIMIT: Duration = Duration::from_secs(1);

/// An interface of this namespace that goes with the one where the case is fed.
const MARK: &str = "hoptrace-mark";

/// A case that is made for the test, and goes with it.
struct Case(PathBuf);

impl Drop for Case {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// VMs on the hybrid path to one NIC, as Nova and Neutron make them.
fn crowded(ports: usize) -> Result<Case> {
    let folder = std::env::temp_dir().join(format!("hoptrace-discovery-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let case = Case(folder);
    let mut links = String::from("link add ens3 type ifb\nlink set ens3 up\n");
    let mut rows = String::from(
        "$VSCTL add-br br-int -- add-br br-ex -- add-port br-ex ens3 \\\n\
         -- add-port br-int int-br-ex -- set interface int-br-ex type=patch options:peer=phy-br-ex \\\n\
         -- add-port br-ex phy-br-ex -- set interface phy-br-ex type=patch options:peer=int-br-ex",
    );
    for number in 0..ports {
        let id = format!("{number:08x}-00");
        let (port, uuid) =
            (format!("{id}00-4000-8000-000000000001"), format!("{id}00-4000-8000-000000000002"));
        let mac = format!("fa:16:3e:00:{:02x}:{:02x}", number / 256, number % 256);
        write!(
            links,
            "link add qbr{id} type bridge\nlink add qvb{id} type veth peer name qvo{id}\ntuntap add dev tap{id} mode tap\n"
        )?;
        for end in ["qvb", "tap"] {
            writeln!(links, "link set {end}{id} master qbr{id}")?;
        }
        for end in ["qbr", "qvb", "qvo", "tap"] {
            writeln!(links, "link set {end}{id} up")?;
        }
        write!(
            rows,
            " \\\n-- add-port br-int qvo{id} tag=1 -- set interface qvo{id} ofport={} external_ids:iface-id={port} \
             external_ids:vm-uuid={uuid} external_ids:iface-status=active 'external_ids:attached-mac=\"{mac}\"'",
            number + 10
        )?;
        let domain = format!(
            "<domain type='test'><name>instance-{number:08x}</name><uuid>{uuid}</uuid><memory unit='KiB'>1024</memory>\
             <os><type arch='x86_64'>hvm</type></os><devices><interface type='bridge'><mac address='{mac}'/>\
             <source bridge='qbr{id}'/><target dev='tap{id}'/><model type='virtio'/></interface></devices></domain>"
        );
        fs::write(case.0.join(format!("domain-{number}.xml")), domain)?;
    }
    let batch = case.0.join("links");
    fs::write(&batch, links)?;
    let mark = format!("ip link add mark type veth peer name {MARK} netns {}", std::process::id());
    fs::write(case.0.join("links.sh"), format!("ip -batch {}\n{mark}\n", batch.display()))?;
    fs::write(case.0.join("ovsdb.sh"), rows + "\n")?;
    Ok(case)
}

/// Waits until the case's interfaces are gone: so many take the kernel seconds, in which others wait for its lock.
fn wait_until_gone() -> Result<()> {
    let started = Instant::now();
    while Path::new("/sys/class/net").join(MARK).exists() {
        ensure!(started.elapsed() < Duration::from_secs(30), "the case's namespace stays");
        thread::sleep(Duration::from_millis(20));
    }
    // The last of them, too.
    run("ip", &["link", "show", "lo"]).map(drop)
}

/// What `list` prints, and how long it took each time.
fn listed(case: &Path) -> Result<(Value, Vec<Duration>)> {
    let (program, said) = (case.join("timed"), case.join("said"));
    let hoptrace = hoptrace::<_, &str>([])?.get_program().to_owned();
    let script = format!(
        "#!/bin/bash\nset -e\nfor run in $(seq {RUNS}); do\n\
         before=$(date +%s%N); {} \"$@\" > {}; echo $(($(date +%s%N) - before))\ndone\n",
        hoptrace.display(),
        said.display()
    );
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let feed = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/feed.sh");
    let output = Command::new(feed).arg(&program).arg(case).args(["list", "--json"]).output()?;
    wait_until_gone()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let times = String::from_utf8(output.stdout)?;
    let times: Result<Vec<u64>, _> = times.lines().map(str::parse).collect();
    let times = times?.into_iter().map(Duration::from_nanos).collect();
    Ok((serde_json::from_slice(&fs::read(&said)?)?, times))
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_host_with_500_ports_is_known_within_a_second() -> Result<()> {
    let case = crowded(PORTS)?;
    let (list, mut times) = listed(&case.0)?;
    let ports = list["ports"].as_array().context("no ports")?;
    ensure!(ports.len() == PORTS && ports.iter().all(|port| port["traceable"] == "fully"), "{list}");
    times.sort();
    let median = times.get(RUNS / 2).context("no runs")?;
    ensure!(*median <= LIMIT, "{times:?}");
    Ok(())
}
