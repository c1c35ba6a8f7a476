//! Connection tracking, and Open vSwitch's way through user space.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::fault::{LONG, SHORT};
use super::raw::{Ends, send_with_bad_checksum};
use super::scene::{DOOMED, DOOMED_PORT, PAYLOAD_BYTES};
use super::{Cause, Direction, Expected, Fault, Innocent, Moment, Place, Scene, Toll, Why};
use crate::lab::Trap;
use crate::payload;

/// The flow of what conntrack calls invalid has no action.
const INVALID: Cause = Cause(&[((6, 1), Why::Lost), ((6, 6), Why::Ovs("LAST_ACTION"))]);
/// Conntrack refuses the packet in netfilter's name.
const NETFILTER: Cause = Cause(&[((6, 1), Why::Core("NETFILTER_DROP"))]);
/// The kernel frees what it could not hand to user space as if all were well.
const NO_ROOM: Cause = Cause(&[((6, 1), Why::Lost)]);

/// More packets than the sockets between kernel and `ovs-vswitchd` hold.
const FLOOD: u64 = 12_000;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "OVS conntrack invalid",
        place: Place::KernelDatapath,
        moment: Moment::BeforeTrace,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| {
            Ok(vec![scene.trap(
                "ovs-ofctl add-flow br-int \"priority=1000,udp,tp_dst=$port,ct_state=-trk actions=ct(table=70)\"
                 ovs-ofctl add-flow br-int \"table=70,priority=10,ct_state=+inv+trk,ip actions=drop\"
                 ovs-ofctl add-flow br-int \"table=70,priority=1 actions=NORMAL\"",
                "ovs-ofctl --strict del-flows br-int \"priority=1000,udp,tp_dst=$port,ct_state=-trk\"
                 ovs-ofctl del-flows br-int table=70",
            )?])
        },
        traffic: bad_checksums,
        expected: &[Expected::egress("qvo", INVALID), Expected::ingress("nic", INVALID)],
    },
    Fault {
        name: "conntrack table full",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        // Only the doomed are tracked, so that only they need room.
        inject: |scene| {
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
        traffic: new_flows,
        expected: &[Expected::egress("tap", NETFILTER), Expected::ingress("qvb", NETFILTER)],
    },
    Fault {
        name: "upcall overflow under a flood of new flows",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::Nobody,
        filter: "udp",
        timeout: LONG,
        inject: |scene| {
            Ok(vec![scene.trap(
                "ovs-appctl dpctl/del-flows; kill -STOP $(pidof ovs-vswitchd)",
                "kill -CONT $(pidof ovs-vswitchd); ovs-appctl revalidator/wait",
            )?])
        },
        traffic: |scene| {
            const LOST: &str = "ovs-dpctl show | sed -n 's/.*lost:\\([0-9]*\\).*/\\1/p'";
            let before = scene.number(LOST)?;
            scene.send_in(FLOOD, PAYLOAD_BYTES, Duration::ZERO)?;
            let lost = scene.number(LOST)? - before;
            // What it could take goes on now, late.
            scene.shell("kill -CONT $(pidof ovs-vswitchd); ovs-appctl revalidator/wait")?;
            Ok(Toll::of(Direction::Ingress, FLOOD, lost))
        },
        expected: &[Expected::ingress("nic", NO_ROOM), Expected::silent(Direction::Egress)],
    },
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

fn bad_checksums(scene: &Scene<'_>) -> Result<Toll> {
    let (guest, wire) = (scene.guest.ipv4, scene.lab.wire.ipv4);
    let out = Ends { from: guest, to: wire, port: DOOMED_PORT };
    let into = Ends { from: wire, to: guest, port: DOOMED_PORT };
    scene.guest.in_netns(|| send_with_bad_checksum(out, DOOMED, PAYLOAD_BYTES))?;
    scene.lab.in_wire(|| send_with_bad_checksum(into, DOOMED, PAYLOAD_BYTES))?;
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
