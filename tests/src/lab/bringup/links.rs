//! The network devices of the path that are neither libvirt's nor OVS's.

use anyhow::{Context as _, Result, bail};

use crate::exec::{command, finish, run};
use crate::lab::description::Guest;
use crate::lab::{Lab, spec};

/// Makes sure the host side never sends a frame of its own: IPv6 is off for every interface made from now on, as Nova
/// and Neutron turn it off on the interfaces they plug.
pub(super) fn quiet_host() -> Result<()> {
    for scope in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
        // Absent on a kernel without IPv6: nothing to turn off.
        if std::path::Path::new(&path).exists() {
            std::fs::write(&path, "1").with_context(|| format!("write {path}"))?;
        }
    }
    run("ip", &["link", "set", "lo", "up"]).map(drop)
}

/// The provider NIC and the namespace at its other end.
pub(super) fn create_wire(lab: &Lab) -> Result<()> {
    let (netns, interface) = (lab.wire.netns.as_str(), lab.wire.interface.as_str());
    run("ip", &["netns", "add", netns])?;
    quiet_wire(lab)?;
    run(
        "ip",
        &[
            "link",
            "add",
            &lab.nic,
            "type",
            "veth",
            "peer",
            "name",
            interface,
            "netns",
            netns,
            "address",
            &lab.wire.mac,
        ],
    )?;
    if lab.datapath == "netdev" {
        // It does not complete partial checksums, and guests drop what arrives with a wrong one.
        finish(&mut lab.wire("ethtool", ["-K", interface, "tx", "off"]))?;
    }
    run("ip", &["-n", netns, "link", "set", interface, "addrgenmode", "none"])?;
    never_probe(netns, interface)?;
    let ipv4 = format!("{}/{}", lab.wire.ipv4, spec::IPV4_PREFIX_BITS);
    let ipv6 = format!("{}/{}", lab.wire.ipv6, spec::IPV6_PREFIX_BITS);
    run("ip", &["-n", netns, "address", "add", &ipv4, "dev", interface])?;
    run("ip", &["-n", netns, "link", "set", "lo", "up"])?;
    run("ip", &["-n", netns, "link", "set", interface, "up"])?;
    run("ip", &["-n", netns, "address", "add", &ipv6, "dev", interface, "nodad"])?;
    run("ip", &["link", "set", &lab.nic, "up"]).map(drop)
}

/// No router solicitations, and multicast listener reports sent once and at once rather than spread over seconds.
fn quiet_wire(lab: &Lab) -> Result<()> {
    let settings = [
        "net.ipv6.conf.default.accept_ra=0",
        "net.ipv6.conf.default.router_solicitations=0",
        "net.ipv6.conf.default.mldv2_unsolicited_report_interval=1",
        "net.ipv4.ping_group_range=0 2147483647",
    ];
    finish(lab.wire("sysctl", ["-q", "-w"]).args(settings)).map(drop)
}

/// Who was spoken to is not asked seconds later whether it is still there: a packet that no test has sent.
pub(super) fn never_probe(netns: &str, interface: &str) -> Result<()> {
    let a_day = |family| format!("net.{family}.neigh.{interface}.delay_first_probe_time=86400");
    let settings = [a_day("ipv4"), a_day("ipv6")];
    let in_netns = ["netns", "exec", netns, "sysctl", "-q", "-w"];
    finish(command("ip").args(in_netns).args(settings)).map(drop)
}

/// `qbr`, `qvb` and `qvo` of one port, as Nova's hybrid plug makes them.
pub(super) fn create_hybrid_plug(guest: &Guest) -> Result<()> {
    let bridge = ["type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"];
    run("ip", &[&["link", "add", &guest.qbr], &bridge[..]].concat())?;
    run("ip", &["link", "add", &guest.qvb, "type", "veth", "peer", "name", &guest.qvo])?;
    run("ip", &["link", "set", &guest.qvb, "master", &guest.qbr])?;
    for interface in [&guest.qvb, &guest.qvo] {
        run("ip", &["link", "set", interface, "up", "promisc", "on"])?;
    }
    run("ip", &["link", "set", &guest.qbr, "up"]).map(drop)
}

/// Checks what exact counts depend on: no interface of the path has an IPv6 address of its own.
pub(super) fn verify_quiet(lab: &Lab) -> Result<()> {
    let addresses = run("ip", &["-6", "-oneline", "address", "show"])?;
    if !addresses.trim().is_empty() {
        bail!("the host side of the path has IPv6 addresses and may send frames:\n{addresses}");
    }
    for guest in &lab.guests {
        let path = format!("/sys/class/net/{}/brif/{}", guest.qbr, guest.tap);
        if !std::path::Path::new(&path).exists() {
            bail!("{} is not on {}", guest.tap, guest.qbr);
        }
    }
    Ok(())
}
