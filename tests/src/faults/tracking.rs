//! Connection tracking, and Open vSwitch's way through user space.

use std::net::UdpSocket;

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::raw::{Ends, send_as_new_flows, send_with_bad_checksum};
use super::scene::{DOOMED, DOOMED_PORT, PAYLOAD_BYTES, wait_until};
use super::{Cause, Direction, Expected, Fault, Scene, Toll, Why};
use crate::lab::Trap;
use crate::payload;

/// The flow of what conntrack calls invalid has no action.
const INVALID: Cause = Cause::by_switch(&[((6, 1), Why::Lost), ((6, 6), Why::Ovs("LAST_ACTION"))]);
/// Conntrack refuses the packet in netfilter's name.
const NETFILTER: Cause = Cause::new(&[((6, 1), Why::Core("NETFILTER_DROP"))]);
/// The kernel frees what it could not hand to user space as if all were well.
const NO_ROOM: Cause = Cause::by_switch(&[((6, 1), Why::Lost)]);

/// More new flows at once than a socket between kernel and `ovs-vswitchd` holds (8 MiB, 4,352 bytes each).
const FLOOD: u16 = 2_600;
/// Of the guest's own, behind them.
const NEW_FLOWS: u16 = 200;
/// Their payload: a packet goes to `ovs-vswitchd` as a whole.
const FLOOD_BYTES: usize = 1_400;
/// The first one's source port.
const FLOOD_PORT: u16 = 20_000;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "OVS conntrack invalid",
        |scene| {
            Ok(vec![scene.trap(
                "ovs-ofctl add-flow br-int \"priority=1000,udp,tp_dst=$port,ct_state=-trk actions=ct(table=70)\"
                 ovs-ofctl add-flow br-int \"table=70,priority=10,ct_state=+inv+trk,ip actions=drop\"
                 ovs-ofctl add-flow br-int \"table=70,priority=1 actions=NORMAL\"",
                "ovs-ofctl --strict del-flows br-int \"priority=1000,udp,tp_dst=$port,ct_state=-trk\"
                 ovs-ofctl del-flows br-int table=70",
            )?])
        },
        bad_checksums,
        &[Expected::egress("qvo", INVALID), Expected::ingress("nic", INVALID)],
    ).before_trace(),
    Fault::new(
        "conntrack table full",
        // Only the doomed are tracked, so that only they need room.
        |scene| {
            Ok(vec![
                untracked(scene, "guest")?,
                untracked(scene, "wire")?,
                scene.trap(
                    "iptables -t raw -A PREROUTING -p udp ! --dport $port -j CT --notrack
                 iptables -A FORWARD -p udp --dport $port -m conntrack --ctstate INVALID -j DROP
                 conntrack -F 2> /dev/null
                 sysctl -n net.netfilter.nf_conntrack_max > /run/conntrack.max
                 sysctl -qw net.netfilter.nf_conntrack_max=10",
                    "sysctl -qw net.netfilter.nf_conntrack_max=$(cat /run/conntrack.max)
                 iptables -D FORWARD -p udp --dport $port -m conntrack --ctstate INVALID -j DROP
                 iptables -t raw -D PREROUTING -p udp ! --dport $port -j CT --notrack",
                )?,
            ])
        },
        new_flows,
        &[Expected::egress("tap", NETFILTER), Expected::ingress("qvb", NETFILTER)],
    ),
    Fault::new(
        "upcall overflow under a flood of new flows",
        // A rule that reads the source port makes each of them a flow of its own; ovs-vswitchd is busy with something else.
        |scene| {
            let flow = "priority=1000,udp,in_port=int-br-ex,tp_dst=$port";
            Ok(vec![
                scene.trap(
                    &format!(
                        "ovs-ofctl add-flow br-int \"{flow} actions=move:NXM_OF_UDP_SRC[]->NXM_NX_REG9[0..15],mod_vlan_vid:1,resubmit(,60)\"
                         ovs-appctl revalidator/wait"
                    ),
                    &format!("ovs-ofctl --strict del-flows br-int \"{flow}\"; ovs-appctl revalidator/wait"),
                )?,
                scene.trap("kill -STOP $(pidof ovs-vswitchd)", "kill -CONT $(pidof ovs-vswitchd)")?,
            ])
        },
        flood_of_flows,
        &[Expected::ingress("nic", NO_ROOM), Expected::silent(Direction::Egress)],
    ),
];

/// Both ends may track, too: the limit is the machine's, and they would not even send.
fn untracked(scene: &Scene<'_>, netns: &str) -> Result<Trap> {
    let rules = |action: &str| {
        format!(
            "for chain in OUTPUT PREROUTING; do
                 nsenter --net=/run/netns/${netns} iptables -t raw {action} $chain -j CT --notrack
             done"
        )
    };
    scene.trap(&rules("-A"), &rules("-D"))
}

/// Each datagram is a flow that the kernel does not know; it counts those that it could not ask `ovs-vswitchd` about. Those of
/// another guest come first and take all the room, so that none of these waits for its turn.
fn flood_of_flows(scene: &Scene<'_>) -> Result<Toll> {
    const LOST: &str = "ovs-dpctl show | sed -n 's/.*lost:\\([0-9]*\\).*/\\1/p'";
    const FLOWS: &str = "ovs-dpctl show | sed -n 's/.*flows: \\([0-9]*\\).*/\\1/p'";
    let doomed = Ends { from_port: FLOOD_PORT, ..scene.ends(Direction::Ingress) };
    let send = |ends, count| {
        scene.lab.in_wire(|| {
            // Each CPU has a socket of its own to ask over.
            let mut cpus = CpuSet::new();
            cpus.set(0);
            sched_setaffinity(None, &cpus).context("stay on one CPU")?;
            send_as_new_flows(ends, count, FLOOD_BYTES)
        })
    };
    let before = scene.number(LOST)?;
    send(Ends { to: scene.other.ipv4, ..doomed }, FLOOD)?;
    let full = scene.settled(LOST)?;
    ensure!(full > before, "there is still room");
    send(doomed, NEW_FLOWS)?;
    let lost = scene.settled(LOST)? - full;
    // What it has room for goes on now; who comes behind shall not have to wait for that.
    scene.shell("kill -CONT $(pidof ovs-vswitchd); ovs-appctl revalidator/wait")?;
    let waiting = u64::from(FLOOD) - (full - before);
    wait_until("ovs-vswitchd has a flow for all that waited", || Ok(scene.number(FLOWS)? >= waiting))?;
    Ok(Toll::of(Direction::Ingress, NEW_FLOWS.into(), lost))
}

fn bad_checksums(scene: &Scene<'_>) -> Result<Toll> {
    let send = |direction| send_with_bad_checksum(scene.ends(direction), DOOMED, PAYLOAD_BYTES);
    scene.guest.in_netns(|| send(Direction::Egress))?;
    scene.lab.in_wire(|| send(Direction::Ingress))?;
    Ok(Toll::all(DOOMED))
}

/// Each datagram from a port of its own.
fn new_flows(scene: &Scene<'_>) -> Result<Toll> {
    const REFUSED: &str = "conntrack -S | sed -n 's/.* drop=\\([0-9]*\\).*/\\1/p' | paste -sd+ | busybox bc";
    let to_wire = (scene.lab.wire.ipv4, DOOMED_PORT);
    let to_guest = (scene.guest.ipv4, DOOMED_PORT);
    let send = |to: (std::net::Ipv4Addr, u16)| {
        let run_tag = payload::new_run_tag();
        for sequence in 0..DOOMED {
            let socket = UdpSocket::bind("0.0.0.0:0").context("bind")?;
            socket.send_to(&payload::encode(sequence, run_tag, PAYLOAD_BYTES), to).context("send")?;
        }
        Ok(())
    };
    let before = scene.number(REFUSED)?;
    scene.guest.in_netns(|| send(to_wire))?;
    let between = scene.settled(REFUSED)?;
    scene.lab.in_wire(|| send(to_guest))?;
    let after = scene.settled(REFUSED)?;
    Ok(Toll::of(Direction::Egress, DOOMED, between - before).and(Direction::Ingress, DOOMED, after - between))
}
