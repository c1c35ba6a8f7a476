//! Guests that are network namespaces: a NIC and an agent each, on the host's own kernel.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::links::never_probe;
use crate::exec::{command, finish, run};
use crate::lab::description::Guest;
use crate::lab::{Lab, control, spec};

const INTERFACE: &str = "eth0";
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// So that a flood of the guest waits in its NIC rather than die there: longer than any test's burst.
const QUEUE_FRAMES: &str = "20000";

/// Starts all guests, each behind its tap on `qbr`; returns when their agents are ready.
pub(super) fn start_guests(lab: &mut Lab, agent: &Path) -> Result<()> {
    if !Path::new("/dev/net/tun").exists() {
        run("modprobe", &["tun"])?;
    }
    // Listener reports once, as in a guest of libvirt's; not a setting of single namespaces.
    finish(command("sysctl").args(["-q", "-w", "net.ipv6.mld_qrv=1"]))?;
    let offload = lab.datapath != "netdev";
    for guest in &mut lab.guests {
        start(guest, agent, offload).with_context(|| format!("start the guest {}", guest.domain))?;
    }
    Ok(())
}

fn start(guest: &mut Guest, agent: &Path, offload: bool) -> Result<()> {
    let netns = spec::guest_netns(&guest.domain);
    guest.netns = Some(netns.clone());
    let netns_path = format!("/run/netns/{netns}");
    run("ip", &["netns", "add", &netns])?;
    quiet(&netns_path)?;
    let nic = start_nic(guest, agent, &netns_path, offload)?;
    never_probe(&netns, INTERFACE)?;
    guest.nic_pid = Some(nic.id());
    let in_guest = |words: &[&str]| run("ip", &[&["-n", &netns][..], words].concat()).map(drop);
    in_guest(&["link", "set", "lo", "up"])?;
    in_guest(&[
        "link",
        "set",
        INTERFACE,
        "address",
        &guest.mac,
        "mtu",
        "1500",
        "txqueuelen",
        QUEUE_FRAMES,
        "up",
    ])?;
    let ipv4 = format!("{}/{}", guest.ipv4, spec::IPV4_PREFIX_BITS);
    let ipv6 = format!("{}/{}", guest.ipv6, spec::IPV6_PREFIX_BITS);
    in_guest(&["address", "add", &ipv4, "dev", INTERFACE])?;
    in_guest(&["address", "add", &ipv6, "dev", INTERFACE, "nodad"])?;
    // libvirt gives the tap the guest's address with another first byte, so that the bridge never takes it for its own.
    let tap_mac = guest.mac.replacen("fa:", "fe:", 1);
    run("ip", &["link", "set", &guest.tap, "address", &tap_mac, "mtu", "1500", "master", &guest.qbr, "up"])?;
    start_agent(guest, agent, &netns_path)
}

/// What a guest's `init` sets in a VM of its own.
pub(in crate::lab) fn quiet(netns_path: &str) -> Result<()> {
    let settings = [
        "net.ipv6.conf.default.accept_ra=0",
        "net.ipv6.conf.default.accept_dad=0",
        "net.ipv6.conf.default.dad_transmits=0",
        "net.ipv6.conf.default.router_solicitations=0",
        "net.ipv6.conf.default.mldv2_unsolicited_report_interval=1",
        "net.ipv6.conf.default.addr_gen_mode=1",
        "net.ipv4.ping_group_range=0 2147483647",
    ];
    let mut sysctl = command("nsenter");
    sysctl.arg(format!("--net={netns_path}")).args(["--", "sysctl", "-q", "-w"]).args(settings);
    finish(&mut sysctl).map(drop)
}

/// Starts the NIC; returns when both its devices are there. It ends with the machine.
fn start_nic(guest: &Guest, agent: &Path, netns_path: &str, offload: bool) -> Result<Child> {
    let mut nic = command(&agent.to_string_lossy())
        .args(["nic", &guest.tap, netns_path, INTERFACE, &offload.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start the NIC")?;
    let mut said = String::new();
    BufReader::new(nic.stdout.take().context("no stdout")?).read_line(&mut said)?;
    ensure!(said.trim() == "READY", "the NIC of {} did not come up", guest.domain);
    Ok(nic)
}

/// Starts the agent with its control socket, on which it can be reached from then on.
fn start_agent(guest: &Guest, agent: &Path, netns_path: &str) -> Result<()> {
    let path = &guest.control_socket;
    let listener = UnixListener::bind(path).with_context(|| format!("listen on {}", path.display()))?;
    command("nsenter")
        .arg(format!("--net={netns_path}"))
        .arg("--")
        .arg(agent)
        .arg("inherited")
        .stdin(std::os::fd::OwnedFd::from(listener))
        .stdout(Stdio::null())
        .spawn()
        .context("start the agent")?;
    control::wait_ready(control::connect(path)?, READY_TIMEOUT)
}
