//! By which interface this host sends to the other ends of its tunnels: the kernel's routes, over rtnetlink.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use futures_util::TryStreamExt as _;
use rtnetlink::{
    Handle,
    packet_route::{
        AddressFamily,
        route::{RouteAddress, RouteAttribute, RouteMessage},
    },
};

use super::ask::SOURCE_TIME_LIMIT;
use crate::model::{IfIndex, Topology};

/// Other hosts that are asked about at most: a cloud may have thousands, and they are behind few interfaces.
const MAX_ASKED: usize = 64;

/// The interface for each other end that tunnels of the switch and of Linux bridges have; none where there is no route, or no answer.
pub(super) async fn to_tunnels(topology: &Topology) -> HashMap<IpAddr, IfIndex> {
    let of_switch = topology.ovs_interfaces().filter_map(|place| place.interface.tunnel.remote);
    let of_links = topology.links().iter().filter_map(|link| link.tunnel.as_ref()?.remote);
    let remotes: BTreeSet<IpAddr> = of_switch.chain(of_links).collect();
    if remotes.is_empty() {
        return HashMap::new();
    }
    let asked = tokio::time::timeout(SOURCE_TIME_LIMIT, ask(remotes.into_iter().take(MAX_ASKED)));
    match asked.await {
        Ok(Ok(routes)) => routes,
        Ok(Err(error)) => {
            log::debug!("routes to other hosts: {error}");
            HashMap::new()
        }
        Err(_) => HashMap::new(),
    }
}

async fn ask(remotes: impl Iterator<Item = IpAddr>) -> std::io::Result<HashMap<IpAddr, IfIndex>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let driver = tokio::spawn(connection);
    let mut routes = HashMap::new();
    for remote in remotes {
        routes.extend(interface_to(&handle, remote).await.map(|interface| (remote, interface)));
    }
    driver.abort();
    Ok(routes)
}

/// As `ip route get` says.
async fn interface_to(handle: &Handle, remote: IpAddr) -> Option<IfIndex> {
    let mut answers = std::pin::pin!(handle.route().get(question(remote)).execute());
    let answer = answers.try_next().await.ok()??;
    answer.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(IfIndex(*index)),
        _ => None,
    })
}

fn question(remote: IpAddr) -> RouteMessage {
    let (family, bits, address) = match remote {
        IpAddr::V4(address) => (AddressFamily::Inet, 32, RouteAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(address)),
    };
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.destination_prefix_length = bits;
    message.attributes.push(RouteAttribute::Destination(address));
    message
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_way_to_oneself_is_the_loopback_interface() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let links = crate::discover::netlink::links().await.unwrap();
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        let routes = ask([loopback].into_iter()).await.unwrap();
        assert_eq!(routes.get(&loopback), Some(&lo.index));
    }

    #[tokio::test]
    async fn nobody_is_asked_without_tunnels() {
        assert!(to_tunnels(&Topology::default()).await.is_empty());
    }
}
