//! The ports beside paths that get hooks, and who is behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use crate::{
    model::{MacAddr, OtherPort, Path},
    ovs::{Learned, Unixctl, learned},
};

/// How long a trace waits for what `ovs-vswitchd` has learned.
const PATIENCE: Duration = Duration::from_millis(200);

/// The ports beside the paths of a trace. Most are beside all of them: each stands here once.
#[derive(Debug, Default)]
pub(super) struct Beside {
    all: Vec<OtherPort>,
    /// For each path, in its order.
    of_path: Vec<Vec<usize>>,
    /// What bridges have learned.
    known: Vec<(String, Vec<Learned>)>,
}

impl Beside {
    /// Those of `paths`, and what the switch knows of them. Only what the kernel says about itself (`has_btf`) tells programs in which
    /// network namespace they run. In a trace of several ports (`several`) the paths lose theirs: so many lists of so many ports would be
    /// in the way.
    pub(super) async fn of(paths: &mut [Path], several: bool, path_only: bool, has_btf: bool) -> Self {
        let mut beside = Self::default();
        let mut places = BTreeMap::new();
        for path in paths.iter_mut() {
            let others = if several { mem::take(&mut path.other_ports) } else { path.other_ports.clone() };
            let mut of_path = Vec::new();
            let is_here = |port: &OtherPort| !path_only && (has_btf || port.namespace.is_none());
            for port in others.into_iter().filter(is_here) {
                let key = (port.namespace.as_ref().map(|namespace| namespace.inum), port.ifindex);
                of_path.push(*places.entry(key).or_insert_with(|| {
                    beside.all.push(port);
                    beside.all.len() - 1
                }));
            }
            beside.of_path.push(of_path);
        }
        if !path_only {
            beside.known = learned_at(&beside.all).await;
        }
        // A traced VM's address behind another port is no other VM's.
        let traced: BTreeSet<MacAddr> = paths.iter().map(|path| path.instance.mac).collect();
        let learned = unknown(&beside.all, &beside.known);
        for (place, mac) in learned.into_iter().filter(|(_, mac)| !traced.contains(mac)) {
            beside.all.get_mut(place).map(|port| port.macs.push(mac)).unwrap_or_default();
        }
        beside
    }

    /// All of them.
    pub(super) fn all(&self) -> &[OtherPort] {
        &self.all
    }

    /// Those beside the path with this place.
    pub(super) fn of_path(&self, place: usize) -> Vec<OtherPort> {
        let places = self.of_path.get(place).into_iter().flatten();
        places.filter_map(|place| self.all.get(*place)).cloned().collect()
    }

    /// Whether the switch knows where the VM of `path` is.
    pub(super) fn switch_knows(&self, path: &Path) -> bool {
        // The bridge of the port's own last interface: another one may remember the VM for longer.
        let own = path.hops().rfind(|hop| !hop.facts.shared).and_then(|hop| hop.bridge.as_deref());
        let of_own = self.known.iter().filter(|(bridge, _)| Some(bridge.as_str()) == own);
        of_own.flat_map(|(_, addresses)| addresses).any(|learned| learned.mac == path.instance.mac)
    }
}

/// Addresses that the switch has found behind these ports since they were looked for, each with the port's place.
pub(super) async fn learned_since(ports: &[OtherPort]) -> Vec<(usize, MacAddr)> {
    unknown(ports, &learned_at(ports).await)
}

/// What the bridges of these ports have learned. Nothing where there is no answer: addresses are learned from the packets that come
/// from them, too.
async fn learned_at(ports: &[OtherPort]) -> Vec<(String, Vec<Learned>)> {
    let bridges: BTreeSet<String> =
        ports.iter().filter(|port| port.ofport.is_some()).filter_map(|port| port.bridge.clone()).collect();
    let asking = async {
        let mut found = Vec::new();
        let mut daemon = Unixctl::connect().await.ok()?;
        for bridge in bridges {
            let addresses = learned(&mut daemon, &bridge).await.ok()?;
            found.push((bridge, addresses));
        }
        Some(found)
    };
    tokio::time::timeout(PATIENCE, asking).await.ok().flatten().unwrap_or_default()
}

/// What bridges have learned of their ports and is not known of them.
fn unknown(ports: &[OtherPort], found: &[(String, Vec<Learned>)]) -> Vec<(usize, MacAddr)> {
    let of_port = |port: &OtherPort, bridge: &str, learned: &Learned| {
        port.bridge.as_deref() == Some(bridge)
            && port.ofport == Some(learned.ofport)
            && !port.macs.contains(&learned.mac)
    };
    let mut new = Vec::new();
    for (place, port) in ports.iter().enumerate() {
        for (bridge, addresses) in found {
            let here = addresses.iter().filter(|learned| of_port(port, bridge, learned));
            new.extend(here.map(|learned| (place, learned.mac)));
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_to_the_port_of_that_number_and_bridge() {
        let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
        let port = |bridge: &str, ofport| OtherPort {
            bridge: Some(bridge.to_owned()),
            ofport: Some(ofport),
            macs: vec![mac(1)],
            ..OtherPort::default()
        };
        let ports = [port("br-int", 5), port("br-ex", 5), port("br-int", 6)];
        let at = |last| Learned { ofport: 5, vlan: 1, mac: mac(last) };
        assert_eq!(unknown(&ports, &[("br-int".to_owned(), vec![at(1), at(7)])]), [(0, mac(7))]);
    }
}
