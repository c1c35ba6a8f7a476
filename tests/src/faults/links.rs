//! Interfaces that are down, blocked, or too small.

use anyhow::Result;

use super::scene::{self, both_ways};
use super::{Cause, Direction, Expected, Fault, Innocent, Scene, Toll, Why};
use crate::lab::Trap;

/// The bridge finds no port for it, or not one that forwards.
const NO_PORT: Cause = Cause::new(&[((6, 1), Why::Core("NOT_SPECIFIED"))]);
/// Open vSwitch's port is down.
const PORT_DOWN: Cause =
    Cause::by_switch(&[((6, 1), Why::Core("NOT_SPECIFIED")), ((6, 6), Why::Core("DEV_READY"))]);
/// Open vSwitch's port has a smaller MTU: `ovs_vport_send` gives no reason.
const PORT_TOO_SMALL: Cause = Cause::by_switch(&[((6, 1), Why::Core("NOT_SPECIFIED"))]);
/// The other end of the veth pair has a smaller MTU.
const PEER_TOO_SMALL: Cause = Cause::new(&[((6, 1), Why::Core("NOT_SPECIFIED"))]);

const AT_QBR_PORT: &[Expected] = &[Expected::egress("tap", NO_PORT), Expected::ingress("qvb", NO_PORT)];

/// Payload for which an MTU of 1,400 is too small and one of 1,500 is not.
const LARGE_BYTES: usize = 1_430;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "qvo link down",
        |scene| link_down(scene, "qvo", "qvb"),
        both_ways,
        &[Expected::egress("tap", NO_PORT), Expected::ingress("nic", PORT_DOWN)],
    )
    .sparing(Innocent::OtherGuest),
    Fault::new(
        "qbr port down",
        |scene| link_down(scene, "qvb", "qvo"),
        both_ways,
        &[Expected::egress("tap", NO_PORT), Expected::ingress("nic", PORT_DOWN)],
    )
    .sparing(Innocent::OtherGuest),
    Fault::new("qbr port disabled", |scene| port_state(scene, "disabled"), both_ways, AT_QBR_PORT)
        .sparing(Innocent::OtherGuest),
    Fault::new(
        "qbr port blocked",
        // A bridge that speaks no spanning tree makes each port forward at once. It leaves the states alone where a program in
        // user space speaks it, which the kernel asks for by this name (br_stp_start).
        |scene| {
            let helper = scene.trap(
                "printf '#!/bin/sh\\n' > /sbin/bridge-stp; chmod +x /sbin/bridge-stp
                 ip link set $qbr type bridge stp_state 1",
                "ip link set $qbr type bridge stp_state 0; rm /sbin/bridge-stp",
            )?;
            let mut traps = vec![helper];
            traps.extend(port_state(scene, "blocking")?);
            Ok(traps)
        },
        both_ways,
        AT_QBR_PORT,
    )
    .sparing(Innocent::OtherGuest),
    Fault::new(
        "provider NIC down",
        |scene| {
            Ok(vec![scene.trap(
                "ip link set $nic down
                 ovs-vsctl wait-until interface $nic admin_state=down
                 ovs-appctl revalidator/wait",
                "ip link set $nic up
                 ovs-vsctl wait-until interface $nic link_state=up
                 ovs-appctl revalidator/wait",
            )?])
        },
        out_of_the_guest,
        &[Expected::egress("qvo", PORT_DOWN), Expected::silent(Direction::Ingress)],
    )
    .anywhere()
    .sparing(Innocent::Nobody),
    Fault::new(
        "MTU exceeded at qvo",
        |scene| smaller(scene, "qvo"),
        |scene| scene.both_ways_of(LARGE_BYTES),
        &[Expected::egress("qvb", PEER_TOO_SMALL), Expected::ingress("nic", PORT_TOO_SMALL)],
    )
    .anywhere(),
    Fault::new(
        "MTU exceeded at the NIC",
        |scene| smaller(scene, "nic"),
        |scene| {
            scene.send_out(scene::DOOMED, LARGE_BYTES, scene::PACE)?;
            Ok(Toll::of(Direction::Egress, scene::DOOMED, scene::DOOMED))
        },
        &[Expected::egress("qvo", PORT_TOO_SMALL), Expected::silent(Direction::Ingress)],
    )
    .anywhere(),
];

/// The bridge's port for qvb in this state of spanning tree.
fn port_state(scene: &Scene<'_>, state: &str) -> Result<Vec<Trap>> {
    let set = |state: &str| {
        format!("bridge link set dev $qvb state {state}; bridge link show dev $qvb | grep -q {state}")
    };
    Ok(vec![scene.trap(&set(state), &set("forwarding"))?])
}

/// One end of the veth pair is down; Open vSwitch and the bridge have noticed.
fn link_down(scene: &Scene<'_>, end: &str, peer: &str) -> Result<Vec<Trap>> {
    let down = format!(
        "ip link set ${end} down
         ovs-vsctl wait-until interface $qvo link_state=down
         until grep -qx 0 /sys/class/net/$qvb/brport/state; do sleep 0.02; done
         ovs-appctl revalidator/wait"
    );
    let up = format!(
        "ip link set ${end} up
         ip link set ${peer} up
         ovs-vsctl wait-until interface $qvo link_state=up
         until grep -qx 3 /sys/class/net/$qvb/brport/state; do sleep 0.02; done
         ovs-appctl revalidator/wait"
    );
    Ok(vec![scene.trap(&down, &up)?])
}

fn smaller(scene: &Scene<'_>, interface: &str) -> Result<Vec<Trap>> {
    let set = |mtu: u16| format!("ip link set ${interface} mtu {mtu}");
    Ok(vec![scene.trap(&set(1_400), &set(1_500))?])
}

fn out_of_the_guest(scene: &Scene<'_>) -> Result<Toll> {
    scene.send_out(scene::DOOMED, scene::PAYLOAD_BYTES, scene::PACE)?;
    Ok(Toll::of(Direction::Egress, scene::DOOMED, scene::DOOMED))
}
