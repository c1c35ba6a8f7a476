//! Real OVN: its daemons program the switch, and its southbound database says which network a port is in.

use hoptrace_tests::exchange::{PACE, PACKETS, SINK_PORT, assert_dead, assert_whole, path, steps};
use hoptrace_tests::lab::ovn::Ovn;
use hoptrace_tests::prelude::*;

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_port_of_ovn_on_a_provider_network_is_traced_to_the_nic() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _ovn = Ovn::with(&lab, guest)?;
    let path = path(guest)?;
    ensure!(path["kind"] == "ovn" && path["traceable"] == "fully", "{path}");
    ensure!(steps(&path, "interface") == [&*guest.tap, &*lab.nic], "{path}");
    ensure!(steps(&path, "bridge") == [Ovn::BRIDGE, &*lab.provider_bridge], "{path}");
    let network = path["network"].as_str().unwrap_or_default();
    for words in [Ovn::PROVIDER, Ovn::SWITCH, Ovn::NETWORK] {
        ensure!(network.contains(words), "{network}");
    }
    assert_whole(&lab, guest, &["tap", "nic"])?;

    let port = format!("\"{}\"", guest.port_id);
    let matches = format!("udp.dst == {SINK_PORT}");
    let _out = Ovn::drop_acl("from-lport", &format!("inport == {port} && {matches}"))?;
    let _in = Ovn::drop_acl("to-lport", &format!("outport == {port} && {matches}"))?;
    assert_dead(&lab, guest, "tap", "nic")?;

    // What drops them is told in OVN's words.
    let words = ["drops", &guest.port_id, "udp", "and", "port", "9", "--explain", "--json"];
    let tracer = Tracer::start(&words)?;
    let sent = guest.send_udp((lab.wire.ipv4.into(), SINK_PORT), PACKETS, 64, PACE)?;
    ensure!(sent.sent == PACKETS, "{sent:?}");
    lab.introduce(guest)?;
    let report = tracer.finish_drops()?;
    let first = report.first()?;
    first.says(&format!("all {PACKETS} packets from the VM died after tap {}", guest.tap))?;
    first.says("OVN's ls_in_acl")?;
    first.says(&format!("inport == {port} && {matches}"))?;
    first.suggests("ovn-nbctl list acl")?;
    Ok(())
}
