//! The ports beside a path that get hooks, and who is behind them.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    model::{OtherPort, Path},
    ovs::{Learned, Unixctl, learned},
};

/// How long the start of a trace waits for what `ovs-vswitchd` has learned.
const PATIENCE: Duration = Duration::from_millis(200);

/// The ports. Only what the kernel says about itself (`has_btf`) tells programs in which network namespace they run.
pub(super) async fn ports(path: &Path, path_only: bool, has_btf: bool) -> Vec<OtherPort> {
    if path_only {
        return Vec::new();
    }
    let here = path.other_ports.iter().filter(|port| has_btf || port.namespace.is_none());
    let mut ports: Vec<OtherPort> = here.cloned().collect();
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
    // Without an answer addresses are learned from the packets that come from them.
    if let Ok(Some(found)) = tokio::time::timeout(PATIENCE, asking).await {
        for (bridge, addresses) in found {
            add(&mut ports, &bridge, &addresses);
        }
    }
    ports
}

/// Adds what a bridge has learned to its ports.
fn add(ports: &mut [OtherPort], bridge: &str, addresses: &[Learned]) {
    for port in ports.iter_mut().filter(|port| port.bridge.as_deref() == Some(bridge)) {
        for learned in addresses.iter().filter(|learned| port.ofport == Some(learned.ofport)) {
            if !port.macs.contains(&learned.mac) {
                port.macs.push(learned.mac);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MacAddr;

    #[test]
    fn addresses_go_to_the_port_of_that_number_and_bridge() {
        let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
        let port = |bridge: &str, ofport| OtherPort {
            bridge: Some(bridge.to_owned()),
            ofport: Some(ofport),
            macs: vec![mac(1)],
            ..OtherPort::default()
        };
        let mut ports = [port("br-int", 5), port("br-ex", 5), port("br-int", 6)];
        let at = |last| Learned { ofport: 5, mac: mac(last) };
        add(&mut ports, "br-int", &[at(1), at(7)]);
        assert_eq!(ports.map(|port| port.macs), [vec![mac(1), mac(7)], vec![mac(1)], vec![mac(1)]]);
    }
}
