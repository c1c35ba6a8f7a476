//! The ports beside a path that get hooks, and who is behind them.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    model::{MacAddr, OtherPort, Path},
    ovs::{Learned, Unixctl, learned},
};

/// How long a trace waits for what `ovs-vswitchd` has learned.
const PATIENCE: Duration = Duration::from_millis(200);

/// The ports, and whether the switch knows where the VM is. Only what the kernel says about itself (`has_btf`) tells programs in which
/// network namespace they run.
pub(super) async fn ports(path: &Path, path_only: bool, has_btf: bool) -> (Vec<OtherPort>, bool) {
    if path_only {
        return (Vec::new(), false);
    }
    let here = path.other_ports.iter().filter(|port| has_btf || port.namespace.is_none());
    let mut ports: Vec<OtherPort> = here.cloned().collect();
    let known = learned_at(&ports).await;
    // The VM's address behind another port is no other VM's.
    for (place, mac) in unknown(&ports, &known).into_iter().filter(|(_, mac)| *mac != path.instance.mac) {
        ports.get_mut(place).map(|port| port.macs.push(mac)).unwrap_or_default();
    }
    // The bridge of the port's own last interface: another one may remember the VM for longer.
    let own = path.hops().rfind(|hop| !hop.facts.shared).and_then(|hop| hop.bridge.as_deref());
    let of_own = known.iter().filter(|(bridge, _)| Some(bridge.as_str()) == own);
    let has_vm = of_own.flat_map(|(_, addresses)| addresses).any(|learned| learned.mac == path.instance.mac);
    (ports, has_vm)
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
        let at = |last| Learned { ofport: 5, mac: mac(last) };
        assert_eq!(unknown(&ports, &[("br-int".to_owned(), vec![at(1), at(7)])]), [(0, mac(7))]);
    }
}
