//! What happens to packets on their way and is no loss.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::fault::SHORT;
use super::raw::{Ends, send_fragmented, send_with_bad_checksum};
use super::scene::{DOOMED, DOOMED_PORT, PACE, PAYLOAD_BYTES};
use super::{Cause, Direction, Expected, Fault, Innocent, Moment, Place, Scene, Toll, Why};
use crate::lab::Trap;

/// Pieces of a datagram of this payload, beside the first.
const LATER_PIECES: u64 = 2;
const FRAGMENTED_BYTES: usize = 3_200;
const FRAGMENTED: u64 = 20;
/// Enough for netem to change, double or swap some.
const PASSING: u64 = 200;
const WAIT: Duration = Duration::from_secs(10);

const NO_ACTION: Cause = Cause(&[((6, 1), Why::Lost), ((6, 6), Why::Ovs("LAST_ACTION"))]);

const BOTH: &[Expected] = &[Expected::survives(Direction::Egress), Expected::survives(Direction::Ingress)];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "guest ignores the packet",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| {
            let rule = |action: &str| {
                format!(
                    "nsenter --net=/run/netns/$guest iptables {action} INPUT -p udp --dport $port -j DROP"
                )
            };
            Ok(vec![scene.trap(&rule("-A"), &rule("-D"))?])
        },
        traffic: |scene| {
            scene.send_in(DOOMED, PAYLOAD_BYTES, PACE)?;
            Ok(Toll::of(Direction::Ingress, DOOMED, 0))
        },
        expected: BOTH,
    },
    Fault {
        name: "guest gets a bad checksum",
        place: Place::Anywhere,
        moment: Moment::WhileTracing,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |_| Ok(Vec::new()),
        traffic: |scene| {
            let into = Ends { from: scene.lab.wire.ipv4, to: scene.guest.ipv4, port: DOOMED_PORT };
            scene.lab.in_wire(|| send_with_bad_checksum(into, DOOMED, PAYLOAD_BYTES))?;
            Ok(Toll::of(Direction::Ingress, DOOMED, 0))
        },
        expected: BOTH,
    },
    Fault {
        name: "MAC not learned, flooding",
        place: Place::KernelDatapath,
        moment: Moment::BeforeTrace,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| {
            Ok(vec![scene.trap(
                "ovs-vsctl set bridge br-int flood_vlans=1; ovs-appctl fdb/flush br-int; ovs-appctl revalidator/wait",
                "ovs-vsctl clear bridge br-int flood_vlans",
            )?])
        },
        traffic: both_arrive,
        expected: BOTH,
    },
    Fault {
        name: "IP fragment lost",
        place: Place::KernelDatapath,
        moment: Moment::BeforeTrace,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| {
            let flow = "priority=1000,udp,ip_frag=later";
            // Where conntrack reassembles for iptables on the bridge, the first pieces would wait there for the others.
            let bridge = |call: u8| format!("sysctl -qw net.bridge.bridge-nf-call-iptables={call}");
            Ok(vec![
                scene.trap(&bridge(0), &bridge(1))?,
                scene.trap(
                    &format!("ovs-ofctl add-flow br-int '{flow} actions=drop'"),
                    &format!("ovs-ofctl --strict del-flows br-int '{flow}'"),
                )?,
            ])
        },
        traffic: |scene| {
            let (guest, wire) = (scene.guest.ipv4, scene.lab.wire.ipv4);
            scene.guest.in_netns(|| send_fragmented((wire, DOOMED_PORT), FRAGMENTED, FRAGMENTED_BYTES))?;
            scene.lab.in_wire(|| send_fragmented((guest, DOOMED_PORT), FRAGMENTED, FRAGMENTED_BYTES))?;
            let (entered, taken) = (FRAGMENTED * (1 + LATER_PIECES), FRAGMENTED * LATER_PIECES);
            Ok(Toll::of(Direction::Egress, entered, taken).and(Direction::Ingress, entered, taken))
        },
        expected: &[Expected::egress("qvo", NO_ACTION), Expected::ingress("nic", NO_ACTION)],
    },
    Fault {
        name: "packet corrupted on the way (payload)",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::Nobody,
        filter: "udp",
        timeout: SHORT,
        // Not by netem's `corrupt`, which hits any byte: a packet whose header it changes is another one.
        inject: |scene| Ok(vec![changed_payload(scene, "qvb")?, changed_payload(scene, "qvo")?]),
        traffic: |scene| {
            let sink = scene.lab.wire_udp_sink(DOOMED_PORT)?;
            scene.send_out(PASSING, PAYLOAD_BYTES, PACE)?;
            sink.finish(0, Duration::ZERO)?;
            scene.send_in(PASSING, PAYLOAD_BYTES, PACE)?;
            Ok(Toll::of(Direction::Egress, PASSING, 0).and(Direction::Ingress, PASSING, 0))
        },
        expected: BOTH,
    },
    Fault {
        name: "packet duplicated (netem duplicate)",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::Nobody,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| netem(scene, "duplicate 50%"),
        traffic: both_arrive,
        expected: BOTH,
    },
    Fault {
        name: "packets reordered (netem reorder)",
        place: Place::KernelDatapath,
        moment: Moment::WhileTracing,
        innocent: Innocent::SameGuest,
        filter: "udp",
        timeout: SHORT,
        inject: |scene| netem(scene, "delay 5ms reorder 50%"),
        traffic: both_arrive,
        expected: BOTH,
    },
];

/// Between qvb and qvo, in both directions.
fn netem(scene: &Scene<'_>, what: &str) -> Result<Vec<Trap>> {
    ["qvb", "qvo"]
        .iter()
        .map(|end| {
            scene.trap(
                &format!("tc qdisc add dev ${end} root netem {what}"),
                &format!("tc qdisc del dev ${end} root"),
            )
        })
        .collect()
}

/// Behind the hook on the way out of the interface, the last four bytes of each doomed packet's payload change.
fn changed_payload(scene: &Scene<'_>, end: &str) -> Result<Trap> {
    scene.trap(
        &format!(
            "tc qdisc add dev ${end} clsact 2> /dev/null || true
             tc filter add dev ${end} egress pref 100 protocol ip flower ip_proto udp dst_port $port \
                 action pedit munge offset 88 u32 set 0x55aa55aa pipe action pass"
        ),
        &format!("tc filter del dev ${end} egress pref 100"),
    )
}

/// Packets of both sides, all of which arrive at their sockets, some perhaps twice.
fn both_arrive(scene: &Scene<'_>) -> Result<Toll> {
    let sink = scene.lab.wire_udp_sink(DOOMED_PORT)?;
    scene.send_out(PASSING, PAYLOAD_BYTES, PACE)?;
    scene.guest.sink_reset()?;
    let to = (scene.guest.ipv4, 9).into();
    scene.lab.wire_udp_flood(to, PASSING, PAYLOAD_BYTES, PACE)?;
    let at_guest = scene.guest.sink_wait(PASSING, WAIT)?.datagrams;
    let at_wire = sink.finish(PASSING, WAIT).context("receive")?.distinct;
    ensure!(
        at_wire == PASSING && at_guest >= PASSING,
        "{at_wire} arrived at the wire, {at_guest} at the guest"
    );
    Ok(Toll::of(Direction::Egress, PASSING, 0).and(Direction::Ingress, PASSING, 0))
}
