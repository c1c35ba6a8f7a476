//! Open vSwitch: rules, tags, ports.

use anyhow::Result;

use super::fault::SHORT;
use super::{Cause, Expected, Fault, Innocent, Moment, Place, Scene, Why};
use crate::lab::Trap;

/// The flow that carries them has no action left. Before 6.6 such packets are consumed like those that were sent on.
const NO_ACTION: Cause = Cause(&[((6, 1), Why::Lost), ((6, 6), Why::Ovs("LAST_ACTION"))]);
/// The switch floods it to ports where nobody wants it, its own interface among them: it sends it on and drops nothing.
const ELSEWHERE: Cause = Cause(&[((6, 1), Why::Lost)]);
/// Between hooks, where Open vSwitch is.
const IN_SWITCH: &[Expected] = &[Expected::egress("qvo", NO_ACTION), Expected::ingress("nic", NO_ACTION)];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "OpenFlow drop in br-int",
        place: Place::KernelDatapath,
        moment: Moment::BeforeTrace,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| drop_rule(scene, "br-int"),
        traffic: |scene| scene.both_ways(),
        expected: IN_SWITCH,
    },
    Fault {
        name: "OpenFlow drop in br-ex",
        place: Place::KernelDatapath,
        moment: Moment::BeforeTrace,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| drop_rule(scene, "br-ex"),
        traffic: |scene| scene.both_ways(),
        expected: IN_SWITCH,
    },
    Fault {
        name: "no matching flow, fail_mode secure",
        place: Place::KernelDatapath,
        moment: Moment::BeforeTrace,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        // Neutron's rules, but for the innocent only: nothing matches the others.
        inject: |scene| {
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
        traffic: |scene| scene.both_ways(),
        expected: IN_SWITCH,
    },
    Fault {
        name: "dead VLAN 4095",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::OtherGuest,
        filter: "udp",
        timeout: SHORT,
        // As Neutron does with a port that it does not know, or that has no security group yet.
        inject: |scene| {
            let rule = scene.trap(
                "ovs-ofctl add-flow br-int 'priority=65535,dl_vlan=4095 actions=drop'
                 ovs-ofctl add-flow br-int \"priority=2,in_port=$qvo actions=drop\"",
                "ovs-ofctl --strict del-flows br-int 'priority=65535,dl_vlan=4095'
                 ovs-ofctl --strict del-flows br-int \"priority=2,in_port=$qvo\"",
            )?;
            learned(scene, vec![rule, tagged(scene, 4095)?])
        },
        traffic: |scene| scene.both_ways(),
        expected: &[Expected::egress("qvo", NO_ACTION), Expected::ingress("nic", ELSEWHERE)],
    },
    Fault {
        name: "wrong VLAN tag",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::OtherGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| {
            let tag = tagged(scene, 2)?;
            learned(scene, vec![tag])
        },
        traffic: |scene| scene.both_ways(),
        expected: &[Expected::egress("qvo", ELSEWHERE), Expected::ingress("nic", ELSEWHERE)],
    },
    Fault {
        name: "patch port peer missing",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::Nobody,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| {
            let patch = scene.trap(
                "ovs-vsctl set interface int-br-ex options:peer=nobody -- set interface phy-br-ex options:peer=nobody",
                "ovs-vsctl set interface int-br-ex options:peer=phy-br-ex -- set interface phy-br-ex options:peer=int-br-ex",
            )?;
            learned(scene, vec![patch])
        },
        traffic: |scene| scene.both_ways(),
        expected: IN_SWITCH,
    },
];

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

/// The datapath has learned what becomes of all packets: from pings, which look like the others to its flows.
fn learned(scene: &Scene<'_>, traps: Vec<Trap>) -> Result<Vec<Trap>> {
    scene.teach_datapath(|scene| {
        scene.shell(
            "nsenter --net=/run/netns/$guest ping -q -c 5 -i 0.01 -W 0.2 $wire_ip > /dev/null || true
             nsenter --net=/run/netns/$wire ping -q -c 5 -i 0.01 -W 0.2 $ip > /dev/null || true",
        )?;
        Ok(())
    })?;
    Ok(traps)
}
