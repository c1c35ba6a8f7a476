//! What tcpdump saw of packets that may not have stayed what they were.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::scene::DOOMED_PORT;
use super::{Direction, Scene};
use crate::capture::{Captures, Seen};
use crate::lab::InterfaceCounts;

/// How long those on their way may take to the last interface, or die.
const WAIT: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Of the doomed packets of this direction that `send` sends: how many did not come to the path's other end with their
/// identity, and with an address by which they are the guest's.
pub(super) fn changed(
    scene: &Scene<'_>,
    direction: Direction,
    count: u64,
    send: impl FnOnce() -> Result<()>,
) -> Result<u64> {
    let (tap, nic) = (scene.guest.tap.as_str(), scene.lab.nic.as_str());
    let (first, last) = match direction {
        Direction::Egress => (tap, nic),
        Direction::Ingress => (nic, tap),
    };
    let captures = Captures::start(&[first, last], &std::env::temp_dir())?;
    let before = InterfaceCounts::of(last)?;
    send()?;
    let deadline = Instant::now() + WAIT;
    while InterfaceCounts::of(last)?.since(&before).tx_packets < count && Instant::now() < deadline {
        std::thread::sleep(LOOK_EVERY);
    }
    let captures = captures.finish()?;
    let [first, last] = captures.as_slice() else { bail!("no captures") };
    let mac = scene.guest_mac()?;
    let is_own = |seen: &&Seen| {
        seen.macs.is_some_and(|(source, destination)| match direction {
            // Under whatever address it came to the switch's port, it is the guest's, and known from there on; but for a group's.
            Direction::Egress => source[0] & 1 == 0,
            Direction::Ingress => destination == mac,
        })
    };
    let arrived: HashSet<u64> = last.packets.iter().filter(is_own).filter_map(|seen| seen.identity).collect();
    let doomed = first.packets.iter().filter(|seen| seen.udp_ports.is_some_and(|(_, to)| to == DOOMED_PORT));
    let gone = doomed.filter(|seen| seen.identity.is_none_or(|identity| !arrived.contains(&identity)));
    Ok(u64::try_from(gone.count())?)
}
