//! Where packets are delayed, and by how much.

use anyhow::Result;

use super::super::{Direction, Scene};
use crate::lab::Trap;

/// A delay, in netem's words and in nanoseconds.
pub(super) struct Delay {
    pub(super) words: &'static str,
    pub(super) ns: u64,
}

/// No delay: what the others are compared with. The detour of a delay is there, too.
pub(super) const NONE: &str = "0";
pub(super) const DELAYS: [Delay; 5] = [
    delay("100us", 100),
    delay("1ms", 1_000),
    delay("10ms", 10_000),
    delay("1ms 200us", 1_000),
    delay("10ms 1ms", 10_000),
];

/// The delay of which the report's own median is looked at: beside it a histogram's width is small.
pub(super) const REPORTED: &str = "10ms";

const fn delay(words: &'static str, us: u64) -> Delay {
    Delay { words, ns: us * 1_000 }
}

/// A segment that is delayed.
pub(super) struct Site {
    pub(super) direction: Direction,
    /// The segment's hooks.
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    /// Where the delay is set.
    interface: &'static str,
    is_on_the_way_in: bool,
    /// The hook from which on tcpdump can tell the time that includes the delay. tcpdump sees what an interface sends when it
    /// has left the queueing discipline: a delay there is between the hook before it and this one.
    pub(super) witness_from: &'static str,
}

/// Those in a row are delayed at the same time: their directions differ.
pub(super) const SITES: [&[Site]; 4] = [
    &[on_the_way_in(Direction::Egress, "tap", "qvb"), on_the_way_in(Direction::Ingress, "nic", "qvo")],
    &[
        in_the_queue(Direction::Egress, "tap", "qvb", "qvo"),
        in_the_queue(Direction::Ingress, "nic", "qvo", "qvb"),
    ],
    &[on_the_way_in(Direction::Egress, "qvo", "nic"), on_the_way_in(Direction::Ingress, "qvb", "tap")],
    &[in_the_queue(Direction::Egress, "qvo", "nic", "wire")],
];

const fn on_the_way_in(direction: Direction, from: &'static str, to: &'static str) -> Site {
    Site { direction, from, to, interface: from, is_on_the_way_in: true, witness_from: from }
}

const fn in_the_queue(
    direction: Direction,
    before: &'static str,
    from: &'static str,
    to: &'static str,
) -> Site {
    Site { direction, from, to, interface: from, is_on_the_way_in: false, witness_from: before }
}

/// The interface that tcpdump listens on for a hook: `wire` is the NIC behind its queue.
pub(super) fn interface_of(hook: &str) -> &str {
    if hook == "wire" { "nic" } else { hook }
}

impl Site {
    /// The hook where a delay in the queue begins: tcpdump at its interface does not see what comes before it.
    pub(super) fn hidden_hook(&self) -> Option<&'static str> {
        (!self.is_on_the_way_in).then_some(self.from)
    }

    fn device(&self) -> String {
        if self.is_on_the_way_in {
            format!("ifb_{}", self.direction.name())
        } else {
            format!("${}", self.interface)
        }
    }

    /// Puts netem there, without a delay yet.
    pub(super) fn set(&self, scene: &Scene<'_>) -> Result<Trap> {
        let (interface, device) = (self.interface, self.device());
        if !self.is_on_the_way_in {
            return scene.trap(
                &format!("tc qdisc add dev {device} root netem limit 10000 delay {NONE}"),
                &format!("tc qdisc del dev {device} root"),
            );
        }
        scene.trap(
            &format!(
                "ip link add {device} type ifb
                 ip link set {device} up
                 tc qdisc add dev {device} root netem limit 10000 delay {NONE}
                 tc qdisc add dev ${interface} clsact 2> /dev/null || true
                 tc filter add dev ${interface} ingress pref 100 matchall action mirred egress redirect dev {device}"
            ),
            &format!(
                "tc qdisc del dev ${interface} clsact || tc filter del dev ${interface} ingress pref 100
                 ip link del {device}"
            ),
        )
    }

    /// Changes the delay.
    pub(super) fn change(&self, scene: &Scene<'_>, delay: &str) -> Result<()> {
        scene
            .shell(&format!("tc qdisc change dev {} root netem limit 10000 delay {delay}", self.device()))
            .map(drop)
    }
}
