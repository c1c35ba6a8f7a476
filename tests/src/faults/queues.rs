//! Queues that are full, and limits on rates.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::scene::{DOOMED, DOOMED_PORT, PACE, PAYLOAD_BYTES, wait_until};
use super::{Cause, Direction, Expected, Fault, Innocent, Scene, Toll, Why};
use crate::lab::{InterfaceCounts, Trap};

/// The kernel names the queueing discipline; which part of it refused the packet, newer ones say, too.
const QDISC: Cause =
    Cause::new(&[((6, 1), Why::Core("QDISC_DROP")), ((6, 14), Why::Core("QDISC_OVERLIMIT"))]);
const RING: Cause = Cause::new(&[((6, 1), Why::Core("FULL_RING"))]);
const METER: Cause = Cause::by_switch(&[((6, 1), Why::Lost), ((6, 6), Why::Ovs("METER"))]);

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "NIC qdisc overflow (tbf)",
        |scene| {
            Ok(vec![scene.trap(
                "tc qdisc add dev $nic root tbf rate 100kbit burst 1600 limit 3000",
                "tc qdisc del dev $nic root",
            )?])
        },
        overflow_qdisc,
        &[Expected::egress("nic", QDISC), Expected::silent(Direction::Ingress)],
    ),
    Fault::new(
        "tap queue full, the guest stopped reading",
        |scene| {
            let shorter = scene.trap("ip link set $tap txqueuelen 50", "ip link set $tap txqueuelen 1000")?;
            Ok(vec![shorter, freeze(scene)?])
        },
        |scene| {
            const DROPPED: &str = "cat /sys/class/net/$tap/statistics/tx_dropped";
            let (qvb, before) = (&scene.guest.qvb, scene.number(DROPPED)?);
            let at_qvb = InterfaceCounts::of(qvb)?;
            scene.send_in(DOOMED, PAYLOAD_BYTES, PACE)?;
            wait_until("all have passed qvb", || {
                Ok(InterfaceCounts::of(qvb)?.since(&at_qvb).rx_packets >= DOOMED)
            })?;
            Ok(Toll::of(Direction::Ingress, DOOMED, scene.settled(DROPPED)? - before))
        },
        &[Expected::ingress("tap", RING), Expected::silent(Direction::Egress)],
    )
    .anywhere()
    .sparing(Innocent::OtherGuest),
    Fault::new(
        "OVS meter",
        |scene| {
            Ok(vec![
                meter(scene, 1, "in_port=$qvo", "resubmit(,60)")?,
                meter(scene, 2, "in_port=int-br-ex,vlan_tci=0x0000/0x1fff", "mod_vlan_vid:1,resubmit(,60)")?,
            ])
        },
        |scene| {
            let before = (over_limit(scene, 1)?, over_limit(scene, 2)?);
            let sink = scene.lab.wire_udp_sink(DOOMED_PORT)?;
            scene.send_out(DOOMED, PAYLOAD_BYTES, PACE)?;
            scene.send_in(DOOMED, PAYLOAD_BYTES, PACE)?;
            sink.finish(0, Duration::ZERO)?;
            let (out, into) = (over_limit(scene, 1)? - before.0, over_limit(scene, 2)? - before.1);
            Ok(Toll::of(Direction::Egress, DOOMED, out).and(Direction::Ingress, DOOMED, into))
        },
        &[Expected::egress("qvo", METER), Expected::ingress("nic", METER)],
    )
    .anywhere()
    .before_trace(),
];

/// More than the NIC's queueing discipline holds; returns when it has sent the rest.
fn overflow_qdisc(scene: &Scene<'_>) -> Result<Toll> {
    const DROPPED: &str = "tc -s qdisc show dev $nic root | sed -n 's/.*dropped \\([0-9]*\\),.*/\\1/p'";
    let before = scene.number(DROPPED)?;
    let sink = scene.lab.wire_udp_sink(DOOMED_PORT)?;
    scene.send_out(DOOMED, PAYLOAD_BYTES, Duration::ZERO)?;
    scene.shell("until tc -s qdisc show dev $nic root | grep -q 'backlog 0b'; do sleep 0.02; done")?;
    sink.finish(0, Duration::ZERO)?;
    Ok(Toll::of(Direction::Egress, DOOMED, scene.number(DROPPED)? - before))
}

/// A guest that takes nothing from its tap.
fn freeze(scene: &Scene<'_>) -> Result<Trap> {
    if scene.guest.nic_pid.is_some() {
        return scene.trap("kill -STOP $guest_nic", "kill -CONT $guest_nic");
    }
    let domain = scene.guest.domain.as_str();
    Trap::set("virsh", &["-q", "suspend", domain], &["-q", "resume", domain])
}

/// A meter, and the doomed of one direction through it.
fn meter(scene: &Scene<'_>, number: u32, from: &str, actions: &str) -> Result<Trap> {
    let flow = format!("priority=1000,udp,{from},tp_dst=$port");
    scene
        .trap(
            &format!(
                "ovs-ofctl -O OpenFlow13 add-meter br-int meter={number},pktps,burst,stats,band=type=drop,rate=20,burst_size=10
                 ovs-ofctl -O OpenFlow13 add-flow br-int \"{flow} actions=meter:{number},{actions}\""
            ),
            &format!(
                "ovs-ofctl --strict del-flows br-int \"{flow}\"
                 ovs-ofctl -O OpenFlow13 del-meter br-int meter={number}"
            ),
        )
        .with_context(|| format!("set meter {number}"))
}

/// Packets that a meter refused so far.
fn over_limit(scene: &Scene<'_>, number: u32) -> Result<u64> {
    scene.number(&format!(
        "ovs-ofctl -O OpenFlow13 meter-stats br-int meter={number} | sed -n 's/.*0: *packet_count:\\([0-9]*\\).*/\\1/p'"
    ))
}
