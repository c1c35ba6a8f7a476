//! Open vSwitch: rules, tags, ports.

use anyhow::Result;

use super::scene::{DOOMED, PACE, PAYLOAD_BYTES, both_ways};
use super::{Cause, Direction, Expected, Fault, Innocent, Scene, Toll, Why};
use crate::lab::Trap;

/// The flow that carries them has no action left. Before 6.6 such packets are consumed like those that were sent on.
const NO_ACTION: Cause = Cause::by_switch(&[((6, 1), Why::Lost), ((6, 6), Why::Ovs("LAST_ACTION"))]);
/// The switch floods it to ports where nobody wants it, its own interface among them: it sends it on and drops nothing.
const ELSEWHERE: Cause = Cause::by_switch(&[((6, 1), Why::Lost)]);
/// Between hooks, where Open vSwitch is.
const IN_SWITCH: &[Expected] = &[Expected::egress("qvo", NO_ACTION), Expected::ingress("nic", NO_ACTION)];

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "OpenFlow drop in br-int",
        |scene| drop_rule(scene, "br-int"),
        both_ways,
        IN_SWITCH,
    ).anywhere().before_trace(),
    Fault::new(
        "OpenFlow drop in br-ex",
        |scene| drop_rule(scene, "br-ex"),
        both_ways,
        IN_SWITCH,
    ).anywhere().before_trace(),
    Fault::new(
        "no matching flow, fail_mode secure",
        // Neutron's rules, but for the innocent only: nothing matches the others.
        |scene| {
            Ok(vec![scene.trap(
                "ovs-ofctl -O OpenFlow13 dump-flows --no-stats br-int > /run/br-int.flows
                 ovs-ofctl -O OpenFlow13 del-flows br-int 'table=0'
                 for port in 9 5009; do
                     ovs-ofctl -O OpenFlow13 add-flow br-int \"udp,in_port=int-br-ex,tp_dst=$port actions=mod_vlan_vid:1,resubmit(,60)\"
                     ovs-ofctl -O OpenFlow13 add-flow br-int \"priority=1,udp,tp_dst=$port actions=resubmit(,60)\"
                 done",
                "ovs-ofctl -O OpenFlow13 replace-flows br-int /run/br-int.flows",
            )?])
        },
        both_ways,
        IN_SWITCH,
    ).anywhere().before_trace(),
    Fault::new(
        "dead VLAN 4095",
        // As Neutron does with a port that it does not know, or that has no security group yet.
        |scene| {
            let rule = scene.trap(
                "ovs-ofctl add-flow br-int 'priority=65535,dl_vlan=4095 actions=drop'
                 ovs-ofctl add-flow br-int \"priority=2,in_port=$qvo actions=drop\"",
                "ovs-ofctl --strict del-flows br-int 'priority=65535,dl_vlan=4095'
                 ovs-ofctl --strict del-flows br-int \"priority=2,in_port=$qvo\"",
            )?;
            learned(scene, vec![rule, tagged(scene, 4095)?])
        },
        both_ways,
        &[Expected::egress("qvo", NO_ACTION), Expected::ingress("nic", ELSEWHERE)],
    ).anywhere().sparing(Innocent::OtherGuest),
    Fault::new(
        "wrong VLAN tag",
        |scene| {
            let tag = tagged(scene, 2)?;
            learned(scene, vec![tag])
        },
        both_ways,
        &[Expected::egress("qvo", ELSEWHERE), Expected::ingress("nic", ELSEWHERE)],
    ).anywhere().sparing(Innocent::OtherGuest),
    Fault::new(
        "patch port peer missing",
        |scene| learned(scene, vec![no_peer(scene)?]),
        both_ways,
        IN_SWITCH,
    ).anywhere()
    .sparing(Innocent::Nobody),
    // What is known of the path ends in br-int then, and the report says why. Packets come to its end; newer kernels say that
    // they die there.
    Fault::new(
        "patch port peer missing before the trace",
        |scene| Ok(vec![no_peer(scene)?]),
        |scene| {
            scene.send_out(DOOMED, PAYLOAD_BYTES, PACE)?;
            Ok(Toll::of(Direction::Egress, DOOMED, DOOMED))
        },
        &[Expected::ends("qvo", NO_ACTION), Expected::silent(Direction::Ingress)],
    ).anywhere()
    .before_trace()
    .sparing(Innocent::Nobody)
    .partly("patch port int-br-ex names the peer nobody, which does not exist"),
];

/// The patch ports between the bridges name no peer that there is.
fn no_peer(scene: &Scene<'_>) -> Result<Trap> {
    scene.trap(
        "ovs-vsctl set interface int-br-ex options:peer=nobody -- set interface phy-br-ex options:peer=nobody",
        "ovs-vsctl set interface int-br-ex options:peer=phy-br-ex -- set interface phy-br-ex options:peer=int-br-ex",
    )
}

fn drop_rule(scene: &Scene<'_>, bridge: &str) -> Result<Vec<Trap>> {
    let flow = "priority=1000,udp,tp_dst=$port";
    Ok(vec![scene.trap(
        &format!("ovs-ofctl add-flow {bridge} \"{flow} actions=drop\""),
        &format!("ovs-ofctl --strict del-flows {bridge} \"{flow}\""),
    )?])
}

/// The guest's port in another VLAN.
fn tagged(scene: &Scene<'_>, tag: u16) -> Result<Trap> {
    let right = scene.lab.local_vlan;
    scene.trap(&format!("ovs-vsctl set port $qvo tag={tag}"), &format!("ovs-vsctl set port $qvo tag={right}"))
}

/// The kernel's datapath has learned what becomes of all packets: from pings, which look like the others to its flows.
fn learned(scene: &Scene<'_>, traps: Vec<Trap>) -> Result<Vec<Trap>> {
    if !scene.platform.has_kernel_datapath {
        scene.shell("ovs-appctl revalidator/wait")?;
        return Ok(traps);
    }
    scene.teach_datapath(|scene| {
        scene.shell(
            "nsenter --net=/run/netns/$guest ping -q -c 5 -i 0.01 -W 0.2 $wire_ip > /dev/null || true
             nsenter --net=/run/netns/$wire ping -q -c 5 -i 0.01 -W 0.2 $ip > /dev/null || true",
        )?;
        Ok(())
    })?;
    Ok(traps)
}
