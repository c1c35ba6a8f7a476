//! What happens to packets on their way and is no loss.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::raw::{send_fragmented, send_with_bad_checksum};
use super::scene::{DOOMED, DOOMED_PORT, PACE, PAYLOAD_BYTES};
use super::witness::changed;
use super::{Cause, Direction, Expected, Fault, Innocent, Scene, Toll, Why};
use crate::lab::Trap;

/// Pieces of a datagram of this payload, beside the first.
const LATER_PIECES: u64 = 2;
const FRAGMENTED_BYTES: usize = 3_200;
const FRAGMENTED: u64 = 20;
/// Enough for netem to change, double or swap some.
const PASSING: u64 = 200;
/// A payload beside which headers are small.
const MOSTLY_PAYLOAD_BYTES: usize = 1_400;
const WAIT: Duration = Duration::from_secs(10);

const NO_ACTION: Cause = Cause::by_switch(&[((6, 1), Why::Lost), ((6, 6), Why::Ovs("LAST_ACTION"))]);

const BOTH: &[Expected] = &[Expected::survives(Direction::Egress), Expected::survives(Direction::Ingress)];

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "guest ignores the packet",
        |scene| {
            let rule = |action: &str| {
                format!(
                    "nsenter --net=/run/netns/$guest iptables {action} INPUT -p udp --dport $port -j DROP"
                )
            };
            Ok(vec![scene.trap(&rule("-A"), &rule("-D"))?])
        },
        |scene| {
            scene.send_in(DOOMED, PAYLOAD_BYTES, PACE)?;
            Ok(Toll::of(Direction::Ingress, DOOMED, 0))
        },
        BOTH,
    ),
    Fault::new(
        "guest gets a bad checksum",
        |_| Ok(Vec::new()),
        |scene| {
            let into = scene.ends(Direction::Ingress);
            scene.lab.in_wire(|| send_with_bad_checksum(into, DOOMED, PAYLOAD_BYTES))?;
            Ok(Toll::of(Direction::Ingress, DOOMED, 0))
        },
        BOTH,
    ).anywhere(),
    Fault::new(
        "MAC not learned, flooding",
        |scene| {
            Ok(vec![scene.trap(
                "ovs-vsctl set bridge br-int flood_vlans=1; ovs-appctl fdb/flush br-int; ovs-appctl revalidator/wait",
                "ovs-vsctl clear bridge br-int flood_vlans",
            )?])
        },
        both_arrive,
        BOTH,
    ).anywhere().before_trace(),
    Fault::new(
        "IP fragment lost",
        |scene| {
            let flow = "priority=1000,udp,ip_frag=later";
            Ok(vec![
                // Where conntrack reassembles for the bridge's iptables, the first pieces would wait there for the others.
                unfiltered(scene)?,
                scene.trap(
                    &format!("ovs-ofctl add-flow br-int '{flow} actions=drop'"),
                    &format!("ovs-ofctl --strict del-flows br-int '{flow}'"),
                )?,
            ])
        },
        |scene| {
            let (guest, wire) = (scene.guest.ipv4, scene.lab.wire.ipv4);
            scene.guest.in_netns(|| send_fragmented((wire, DOOMED_PORT), FRAGMENTED, FRAGMENTED_BYTES))?;
            scene.lab.in_wire(|| send_fragmented((guest, DOOMED_PORT), FRAGMENTED, FRAGMENTED_BYTES))?;
            let (entered, taken) = (FRAGMENTED * (1 + LATER_PIECES), FRAGMENTED * LATER_PIECES);
            Ok(Toll::of(Direction::Egress, entered, taken).and(Direction::Ingress, entered, taken))
        },
        &[Expected::egress("qvo", NO_ACTION), Expected::ingress("nic", NO_ACTION)],
    ).before_trace(),
    Fault::new(
        "packet corrupted on the way (netem corrupt)",
        |scene| {
            let mut traps = vec![unfiltered(scene)?];
            traps.extend(netem(scene, "corrupt 10%")?);
            Ok(traps)
        },
        // netem turns over a bit anywhere, mostly in so large a payload. A packet whose addresses, ports or first bytes of
        // payload it hits is another one from there on: tcpdump says how many are.
        corrupted,
        &[
            Expected::changes(Direction::Egress, "qvb", None),
            Expected::changes(Direction::Ingress, "qvo", Some("qvb")),
        ],
    )
    .sparing(Innocent::OtherGuest),
    Fault::new(
        "packet duplicated (netem duplicate)",
        |scene| netem(scene, "duplicate 50%"),
        both_arrive,
        BOTH,
    ).sparing(Innocent::OtherGuest),
    Fault::new(
        "packets reordered (netem reorder)",
        |scene| netem(scene, "delay 5ms reorder 50%"),
        both_arrive,
        BOTH,
    ),
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

/// The bridge asks no iptables: conntrack would put fragments together, and refuse headers with a wrong checksum.
fn unfiltered(scene: &Scene<'_>) -> Result<Trap> {
    let bridge = |call: u8| format!("sysctl -qw net.bridge.bridge-nf-call-iptables={call}");
    scene.trap(&bridge(0), &bridge(1))
}

/// Large packets both ways, some of which are changed and not taken by their sockets.
fn corrupted(scene: &Scene<'_>) -> Result<Toll> {
    let sink = scene.lab.wire_udp_sink(DOOMED_PORT)?;
    let out =
        changed(scene, Direction::Egress, PASSING, || scene.send_out(PASSING, MOSTLY_PAYLOAD_BYTES, PACE))?;
    let whole = sink.finish(0, Duration::ZERO)?.distinct;
    ensure!(whole < PASSING, "netem changed nothing");
    let into =
        changed(scene, Direction::Ingress, PASSING, || scene.send_in(PASSING, MOSTLY_PAYLOAD_BYTES, PACE))?;
    Ok(Toll::of(Direction::Egress, PASSING, out).and(Direction::Ingress, PASSING, into))
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
