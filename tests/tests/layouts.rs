//! Other layouts than the hybrid one, each made of the lab's own VM and NIC: the same packets, counted exactly, and a drop at its place.

use hoptrace_tests::exchange::{
    HOST, PACE, PACKETS, SINK_PORT, arrived, assert_dead, assert_whole, path, reaches, talk_to_host,
};
use hoptrace_tests::lab::overlay::{self, HERE, THERE, UNDERLAY, VNI};
use hoptrace_tests::prelude::*;

/// A bridge as Neutron's agent names it, and the interface by which it leads out.
const BRIDGE: &str = "brq6d947ca8-d4";
const UPLINK: &str = "eth3";
/// As it names the device of a tunnel.
const VXLAN: &str = "vxlan-77";
/// As libvirt names its own.
const HOST_BRIDGE: &str = "virbr7";

/// The guest's tap as a port of the integration bridge itself.
fn native(lab: &Lab, guest: &Guest) -> Result<Trap> {
    guest.plug_into(&lab.integration_bridge, &format!("tag={}", lab.local_vlan))
}

/// The guest's tap and the way out of the host as ports of one Linux bridge.
fn linux_bridge(lab: &Lab, guest: &Guest) -> Result<Trap> {
    let (tap, nic, provider) = (&guest.tap, &lab.nic, &lab.provider_bridge);
    let set = format!(
        "ovs-vsctl del-port {provider} {nic}
         ip link set {nic} up
         ip link add {BRIDGE} type bridge
         ip link add link {nic} name {UPLINK} type macvlan mode passthru
         ip link set {BRIDGE} addrgenmode none up; ip link set {UPLINK} addrgenmode none up
         ip link set {UPLINK} master {BRIDGE}; ip link set {tap} master {BRIDGE}"
    );
    let remove = format!(
        "ip link del {UPLINK}; ip link del {BRIDGE}; ovs-vsctl add-port {provider} {nic}; {}",
        guest.back_at_its_bridge()
    );
    Trap::set("sh", &["-ec", &set], &["-c", &remove])
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_tap_in_the_switch_itself_is_traced_to_the_nic() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _plug = native(&lab, guest)?;
    let path = path(guest)?;
    ensure!(path["kind"] == "ovs-native" && path["traceable"] == "fully", "{path}");
    // The kernel and the switch say where the tap is: the row of its old veth end is the leftover.
    let problems: Vec<_> = path["problems"].as_array().into_iter().flatten().collect();
    let [problem] = problems.as_slice() else { bail!("{path}") };
    ensure!(problem["what"].as_str().is_some_and(|what| what.contains(&guest.qvo)), "{problem}");
    assert_whole(&lab, guest, &["tap", "nic"])?;

    let rule = format!("priority=1000,udp,tp_dst={SINK_PORT}");
    let _flow = Trap::flow(&lab.integration_bridge, &rule, "drop")?;
    assert_dead(&lab, guest, "tap", "nic")?;
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_goes_to_a_vm_of_the_same_host_leaves_the_way_of_such_a_tap() -> Result<()> {
    let lab = Lab::from_env()?;
    let (guest, neighbour) = (lab.guest("yjwang-test-1")?, lab.guest("yjwang-test-2")?);
    let _plug = native(&lab, guest)?;
    reaches(guest, neighbour.ipv4)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "and", "port", "9", "--json"])?;
    neighbour.sink_reset()?;
    guest.send_udp((neighbour.ipv4.into(), SINK_PORT), PACKETS, 64, PACE)?;
    arrived(neighbour)?;
    let report = tracer.finish()?;
    let ledger = report.egress().ledger;
    // The userspace datapath can be faster than the hook at the tap, which it takes frames from: then that is put right.
    let expected = Ledger {
        entered: PACKETS,
        completed: PACKETS,
        elsewhere: PACKETS,
        lost: 0,
        joined_midway: 0,
        ..ledger
    };
    ledger.expect(&expected).with_context(|| report.to_string())?;
    ensure!(report.egress().segment("tap", "neighbour")?.count == PACKETS, "{report}");
    Ok(())
}

/// The guest's tap and a VXLAN device, behind which another host and the wire are, as ports of one Linux bridge.
fn vxlan_on_a_bridge(lab: &Lab, guest: &Guest) -> Result<Trap> {
    let (overlay, back) = overlay::commands(lab);
    let set = format!(
        "{overlay}
         ip link add {BRIDGE} type bridge
         ip link add {VXLAN} type vxlan id {VNI} dev {UNDERLAY} remote {THERE} local {HERE} dstport 4789
         ip link set {BRIDGE} addrgenmode none up; ip link set {VXLAN} addrgenmode none up
         ip link set {VXLAN} master {BRIDGE}; ip link set {tap} master {BRIDGE}",
        tap = guest.tap,
    );
    let remove = format!("ip link del {VXLAN}; ip link del {BRIDGE}; {back} {}", guest.back_at_its_bridge());
    Trap::set("sh", &["-ec", &set], &["-c", &remove])
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_linux_bridge_with_a_vxlan_device_is_traced_to_the_tunnel() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _plug = vxlan_on_a_bridge(&lab, guest)?;
    let path = path(guest)?;
    ensure!(path["kind"] == "linux-bridge" && path["traceable"] == "partly", "{path}");
    let steps: Vec<_> = path["steps"].as_array().into_iter().flatten().collect();
    let [_, _, device, tunnel] = steps.as_slice() else { bail!("{path}") };
    ensure!(device["ifname"] == VXLAN && device["role"] == "tunnel", "{path}");
    ensure!(tunnel["key"] == "77" && tunnel["underlay"][0] == UNDERLAY, "{tunnel}");
    assert_whole(&lab, guest, &["tap", "tunnel"])
}

/// The guest's tap on a Linux bridge where the host has an address, as libvirt's own networks have it, and nothing leads out.
fn host_on_a_bridge(guest: &Guest) -> Result<Trap> {
    let set = format!(
        "ip link add {HOST_BRIDGE} type bridge
         ip link set {HOST_BRIDGE} addrgenmode none up; ip address add {HOST}/24 dev {HOST_BRIDGE}
         ip link set {} master {HOST_BRIDGE}",
        guest.tap
    );
    let remove = format!("ip link del {HOST_BRIDGE}; {}", guest.back_at_its_bridge());
    Trap::set("sh", &["-ec", &set], &["-c", &remove])
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_bridge_with_the_host_on_it_is_traced_to_the_host() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _plug = host_on_a_bridge(guest)?;
    let path = path(guest)?;
    ensure!(path["kind"] == "linux-bridge" && path["traceable"] == "partly", "{path}");
    let end = path["steps"].as_array().into_iter().flatten().next_back().with_context(|| path.to_string())?;
    ensure!(end["ifname"] == HOST_BRIDGE && end["role"] == "bridge" && end["other_end"] == "host", "{path}");
    reaches(guest, HOST)?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "udp", "and", "port", "9", "--json"])?;
    talk_to_host(guest)?;
    let report = tracer.finish()?;
    for (direction, from, to) in [(Egress, "tap", "bridge"), (Ingress, "bridge", "tap")] {
        let found = report.direction(direction);
        found.ledger.expect_all(PACKETS).with_context(|| format!("{direction}: {report}"))?;
        ensure!(found.segment(from, to)?.count == PACKETS, "{report}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_linux_bridge_with_the_nic_on_it_is_the_whole_way() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _plug = linux_bridge(&lab, guest)?;
    let path = path(guest)?;
    ensure!(path["kind"] == "linux-bridge" && path["traceable"] == "fully", "{path}");
    let hops = path["steps"].as_array().into_iter().flatten().filter_map(|step| step["ifname"].as_str());
    ensure!(hops.eq([guest.tap.as_str(), UPLINK]), "{path}");
    assert_whole(&lab, guest, &["tap", "nic"])?;

    // Its port does not forward.
    let _blocked = Trap::set(
        "bridge",
        &["link", "set", "dev", UPLINK, "state", "0"],
        &["link", "set", "dev", UPLINK, "state", "3"],
    )?;
    let report = assert_dead(&lab, guest, "tap", "nic")?;
    report.first()?.says("does not forward")?;
    Ok(())
}
