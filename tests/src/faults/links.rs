//! Interfaces that are down, blocked, or too small.

use anyhow::Result;

use super::fault::SHORT;
use super::{Cause, Direction, Expected, Fault, Innocent, Moment, Place, Scene, Toll, Why, scene};
use crate::lab::Trap;

/// The bridge finds no port for it, or not one that forwards.
const NO_PORT: Cause = Cause(&[((6, 1), Why::Core("NOT_SPECIFIED"))]);
/// Open vSwitch's port is down.
const PORT_DOWN: Cause = Cause(&[((6, 1), Why::Core("NOT_SPECIFIED")), ((6, 6), Why::Core("DEV_READY"))]);
/// Open vSwitch's port has a smaller MTU: `ovs_vport_send` gives no reason.
const PORT_TOO_SMALL: Cause = Cause(&[((6, 1), Why::Core("NOT_SPECIFIED"))]);
/// The other end of the veth pair has a smaller MTU.
const PEER_TOO_SMALL: Cause = Cause(&[((6, 1), Why::Core("NOT_SPECIFIED"))]);

/// Payload for which an MTU of 1,400 is too small and one of 1,500 is not.
const LARGE_BYTES: usize = 1_430;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "qvo link down",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::OtherGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| link_down(scene, "qvo", "qvb"),
        traffic: |scene| scene.both_ways(),
        expected: &[Expected::egress("tap", NO_PORT), Expected::ingress("nic", PORT_DOWN)],
    },
    Fault {
        name: "qbr port down",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::OtherGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| link_down(scene, "qvb", "qvo"),
        traffic: |scene| scene.both_ways(),
        expected: &[Expected::egress("tap", NO_PORT), Expected::ingress("nic", PORT_DOWN)],
    },
    Fault {
        name: "qbr port blocked",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::OtherGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| {
            // Of all states but forwarding the bridge lets only `disabled` stand while it speaks no STP.
            const DISABLED: &str = "bridge link set dev $qvb state 0";
            const FORWARDING: &str = "bridge link set dev $qvb state 3";
            Ok(vec![scene.trap(DISABLED, FORWARDING)?])
        },
        traffic: |scene| scene.both_ways(),
        expected: &[Expected::egress("tap", NO_PORT), Expected::ingress("qvb", NO_PORT)],
    },
    Fault {
        name: "provider NIC down",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::Nobody,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| {
            Ok(vec![scene.trap(
                "ip link set $nic down
                 ovs-vsctl wait-until interface $nic admin_state=down
                 ovs-appctl revalidator/wait",
                "ip link set $nic up
                 ovs-vsctl wait-until interface $nic link_state=up
                 ovs-appctl revalidator/wait",
            )?])
        },
        traffic: out_of_the_guest,
        expected: &[Expected::egress("qvo", PORT_DOWN), Expected::silent(Direction::Ingress)],
    },
    Fault {
        name: "MTU exceeded at qvo",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| smaller(scene, "qvo"),
        traffic: |scene| scene.both_ways_of(LARGE_BYTES),
        expected: &[Expected::egress("qvb", PEER_TOO_SMALL), Expected::ingress("nic", PORT_TOO_SMALL)],
    },
    Fault {
        name: "MTU exceeded at the NIC",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| smaller(scene, "nic"),
        traffic: |scene| {
            scene.send_out(scene::DOOMED, LARGE_BYTES, scene::PACE)?;
            Ok(Toll::of(Direction::Egress, scene::DOOMED, scene::DOOMED))
        },
        expected: &[Expected::egress("qvo", PORT_TOO_SMALL), Expected::silent(Direction::Ingress)],
    },
];

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
