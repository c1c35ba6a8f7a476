//! Many ports on the kernel path, most of them idle, as a large host has: for what must not depend on how many there are.
//!
//! ```text
//!   eth0 (a netns each) ═ tap00000001-00 ── qbr… ── qvb… ═ qvo… ── br-int     those that talk
//!  eth11 (netns nobody) ═ tap0000000b-00 ── qbr… ── qvb… ═ qvo… ── br-int     the others
//! ```

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::bringup::{external_ids, quiet};
use super::{Guest, Lab, spec};
use crate::exec::{command, finish, run};

/// All interfaces of the crowd are in this group, so that they can be removed at once.
const GROUP: &str = "4711";
/// The address of the first, in the network of the wire.
const FIRST_IPV4: Ipv4Addr = Ipv4Addr::new(10, 99, 99, 151);
/// As many have an address there.
const MOST_TALKERS: usize = 100;
const UP_WITHIN: Duration = Duration::from_mins(1);
const INTERFACE: &str = "eth0";
/// Where the taps of all others lead to.
const NOBODY: &str = "nobody";

/// Ports beside those of the lab's own guests; dropping it takes them away again.
#[derive(Debug)]
pub struct Crowd {
    /// Those whose guest is a namespace, which can send and receive.
    pub talkers: Vec<Guest>,
    /// Those behind whose tap there is nobody.
    pub idle: Vec<Guest>,
    bridge: String,
}

impl Crowd {
    /// Adds `ports` ports to the lab's kernel path, of which `talkers` can talk with each other and with the wire. These and the wire know
    /// each other's hardware addresses, and the bridge knows where they are: nothing but what is sent on purpose crosses the path, and
    /// nothing of that is flooded.
    ///
    /// # Errors
    /// Where more are to talk than there are addresses for, or the ports cannot be made.
    pub fn join(lab: &Lab, ports: usize, talkers: usize) -> Result<Self> {
        ensure!(talkers <= ports.min(MOST_TALKERS), "{talkers} of {ports} ports cannot talk");
        let mut guests = (1..).map(guest).take(ports);
        let mut crowd = Self {
            talkers: guests.by_ref().take(talkers).collect(),
            idle: guests.collect(),
            bridge: lab.integration_bridge.clone(),
        };
        if let Err(error) = crowd.settle(lab) {
            // What was not made cannot be removed: that it fails says nothing.
            drop(crowd.leave());
            std::mem::forget(crowd);
            return Err(error);
        }
        Ok(crowd)
    }

    fn settle(&mut self, lab: &Lab) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        for talker in &mut self.talkers {
            let netns = spec::guest_netns(&talker.domain);
            run("ip", &["netns", "add", &netns])?;
            quiet(&format!("/run/netns/{netns}"))?;
            talker.netns = Some(netns);
        }
        run("ip", &["netns", "add", NOBODY])?;
        disable_ipv6(NOBODY)?;
        batch(command("ip"), &self.links()?)?;
        run("ip", &["-n", NOBODY, "link", "set", "group", GROUP, "up"])?;
        self.introduce(lab)?;
        self.wait_until_up()?;
        self.tell_database()?;
        self.teach_switch(lab)
    }

    /// All of them.
    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.talkers.iter().chain(&self.idle)
    }

    /// All interfaces, and how they are connected.
    fn links(&self) -> Result<String> {
        let (mut lines, bridge) = (String::new(), &self.bridge);
        for (number, Guest { tap, qbr, qvb, qvo, mac, netns, .. }) in self.guests().enumerate() {
            let far_end = netns.as_ref().map_or_else(
                || format!("eth{} netns {NOBODY} group {GROUP}", number + 1),
                |netns| format!("{INTERFACE} netns {netns}"),
            );
            writeln!(
                lines,
                "link add {qbr} group {GROUP} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
                 link add {qvb} group {GROUP} type veth peer name {qvo} group {GROUP}\n\
                 link add {tap} group {GROUP} type veth peer name {far_end} address {mac}\n\
                 link set {tap} master {qbr} up\n\
                 link set {qvb} master {qbr} up promisc on\n\
                 link set {qvo} master {bridge} up promisc on\n\
                 link set {qbr} up"
            )?;
        }
        Ok(lines)
    }

    /// The kernel notices of 100 interfaces in a second that they have a carrier; of those that are asked for it, at once (since 6.8).
    fn wait_until_up(&self) -> Result<()> {
        let deadline = Instant::now() + UP_WITHIN;
        for ifname in self.guests().flat_map(|guest| [&guest.tap, &guest.qbr, &guest.qvb, &guest.qvo]) {
            let read = |file: &str| fs::read_to_string(format!("/sys/class/net/{ifname}/{file}"));
            while read("carrier")? != "1\n" || read("operstate")? != "up\n" {
                ensure!(Instant::now() < deadline, "{ifname} is not up");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    fn tell_database(&self) -> Result<()> {
        let mut words = Vec::new();
        for guest in self.guests() {
            let port = format!("-- add-port {} {} -- set interface {}", self.bridge, guest.qvo, guest.qvo);
            words.extend(port.split(' ').map(str::to_owned));
            words.extend(external_ids(guest).split(' ').map(str::to_owned));
        }
        vsctl(words.iter().map(String::as_str))
    }

    /// Gives those that talk their addresses, and tells everybody those of the others.
    fn introduce(&self, lab: &Lab) -> Result<()> {
        let known = |(ipv4, mac): (Ipv4Addr, &str), interface: &str| {
            format!("neigh replace {ipv4} lladdr {mac} dev {interface} nud permanent\n")
        };
        let ends = || self.talkers.iter().map(|talker| (talker.ipv4, talker.mac.as_str()));
        let wire = (lab.wire.ipv4, lab.wire.mac.as_str());
        let of_wire: String = ends().map(|end| known(end, &lab.wire.interface)).collect();
        batch(in_netns(&lab.wire.netns), &of_wire)?;
        for talker in &self.talkers {
            let netns = talker.netns.as_deref().context("a namespace")?;
            let address = format!("{}/{}", talker.ipv4, spec::IPV4_PREFIX_BITS);
            let up = format!("link set {INTERFACE} up\naddress add {address} dev {INTERFACE}\n");
            let others = ends().filter(|end| end.0 != talker.ipv4).chain([wire]);
            batch(in_netns(netns), &others.fold(up, |lines, end| lines + &known(end, INTERFACE)))?;
        }
        Ok(())
    }

    /// Has each that talks send something to the wire and get an answer, so that the bridge knows where everybody is.
    fn teach_switch(&self, lab: &Lab) -> Result<()> {
        for talker in &self.talkers {
            let ping = talker.command("ping", ["-q", "-c", "1", "-W", "5", &lab.wire.ipv4.to_string()])?;
            finish(&mut { ping })?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.guests().next().is_none()
    }

    fn leave(&self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let words = self.guests().flat_map(|guest| ["--", "--if-exists", "del-port", guest.qvo.as_str()]);
        vsctl(words)?;
        run("ip", &["link", "delete", "group", GROUP])?;
        let mut namespaces = self.talkers.iter().filter_map(|talker| talker.netns.as_deref()).chain([NOBODY]);
        namespaces.try_for_each(|netns| run("ip", &["netns", "delete", netns]).map(drop))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let left = self.leave();
        if !std::thread::panicking() {
            assert!(left.is_ok(), "the ports stay: {left:?}");
        }
    }
}

/// The guest of that number, from 1: as Nova and Neutron would describe it.
fn guest(number: u32) -> Guest {
    let port_id = format!("{number:08x}-0000-4000-8000-0000000c70d0");
    let [_, _, high, low] = number.to_be_bytes();
    let interface = |prefix: &str| format!("{prefix}{}", port_id.get(..11).unwrap_or_default());
    Guest {
        domain: format!("crowd-{number}"),
        display_name: format!("crowd-{number}"),
        uuid: format!("{number:08x}-1111-4000-8000-0000000c70d0"),
        mac: format!("fa:16:3e:c0:{high:02x}:{low:02x}"),
        ipv4: Ipv4Addr::from(u32::from(FIRST_IPV4) + number - 1),
        ipv6: Ipv6Addr::UNSPECIFIED,
        tap: interface("tap"),
        qbr: interface("qbr"),
        qvb: interface("qvb"),
        qvo: interface("qvo"),
        control_socket: PathBuf::new(),
        nic_pid: None,
        netns: None,
        port_id,
    }
}

/// Interfaces that are made there from now on send nothing by themselves.
fn disable_ipv6(netns: &str) -> Result<()> {
    let setting = "net.ipv6.conf.default.disable_ipv6=1";
    run("ip", &["netns", "exec", netns, "sysctl", "-q", "-w", setting]).map(drop)
}

fn in_netns(netns: &str) -> Command {
    let mut ip = command("ip");
    ip.args(["-n", netns]);
    ip
}

/// Has one `ip` do all these lines.
fn batch(mut ip: Command, lines: &str) -> Result<()> {
    let mut ip = ip.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("run ip")?;
    ip.stdin.take().context("no stdin")?.write_all(lines.as_bytes()).context("tell ip")?;
    ensure!(ip.wait()?.success(), "ip -batch failed: its words are above");
    Ok(())
}

/// Has one `ovs-vsctl` do all these commands.
fn vsctl<'a>(commands: impl Iterator<Item = &'a str>) -> Result<()> {
    run("ovs-vsctl", &["--no-wait"].into_iter().chain(commands).collect::<Vec<_>>()).map(drop)
}
