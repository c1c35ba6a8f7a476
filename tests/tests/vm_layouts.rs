//! Layouts that need the kernel's own datapath: a VXLAN network behind Open vSwitch, whose way goes on by the kernel's device of the tunnel, and not
//! by the NIC.

use hoptrace_tests::exchange::{SINK_PORT, assert_dead, assert_whole, path};
use hoptrace_tests::lab::overlay::{self, HERE, THERE, UNDERLAY, VNI};
use hoptrace_tests::prelude::*;

/// A tunnel bridge as Neutron's agent makes it, and the guest's network in the tunnel. What the switch has learned of where the wire is, it forgets,
/// before and after.
fn tunnelled(lab: &Lab, guest: &Guest) -> Result<Trap> {
    let (int, qvo) = (&lab.integration_bridge, &guest.qvo);
    let (overlay, back) = overlay::commands(lab);
    let set = format!(
        "{overlay}
         ovs-vsctl add-br br-tun \
           -- add-port {int} patch-tun tag={vlan} -- set interface patch-tun type=patch options:peer=patch-int \
           -- add-port br-tun patch-int -- set interface patch-int type=patch options:peer=patch-tun \
           -- add-port br-tun vxlan-c0000202 -- set interface vxlan-c0000202 type=vxlan options:key={VNI} \
              options:local_ip={HERE} options:remote_ip={THERE} \
           -- set port {qvo} other_config:network_type=vxlan other_config:segmentation_id={VNI}
         ovs-appctl fdb/flush",
        vlan = lab.local_vlan,
    );
    let remove = format!(
        "ovs-vsctl del-br br-tun -- del-port {int} patch-tun \
           -- remove port {qvo} other_config network_type -- remove port {qvo} other_config segmentation_id
         {back}
         ovs-appctl fdb/flush"
    );
    Trap::set("sh", &["-ec", &set], &["-c", &remove])
}

#[test]
#[ignore = "needs a VM: cargo xtask test"]
fn a_network_in_a_tunnel_is_traced_to_the_tunnel_s_device() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let _plug = tunnelled(&lab, guest)?;
    let path = path(guest)?;
    let steps = || path["steps"].as_array().into_iter().flatten();
    let hops: Vec<_> = steps().filter(|step| step["node"] == "interface").collect();
    ensure!(hops.last().is_some_and(|hop| hop["ifname"] == "vxlan_sys_4789"), "{path}");
    ensure!(
        path["traceable"] == "partly" && path["problems"].as_array().is_some_and(Vec::is_empty),
        "{path}"
    );
    let tunnel = steps().find(|step| step["node"] == "tunnel").with_context(|| path.to_string())?;
    ensure!(tunnel["underlay"][0] == UNDERLAY && tunnel["remotes"][0] == THERE, "{tunnel}");
    assert_whole(&lab, guest, &["tap", "qvb", "qvo", "tunnel"])?;

    let rule = format!("priority=1000,udp,tp_dst={SINK_PORT}");
    let _flow = Trap::flow(&lab.integration_bridge, &rule, "drop")?;
    assert_dead(&lab, guest, "qvo", "tunnel")?;
    Ok(())
}
