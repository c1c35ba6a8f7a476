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
use crate::model::{IfIndex, Topology, TunnelOptions, TunnelWay};

/// Other hosts that are asked about at most: a cloud may have thousands, and they are behind few interfaces.
const MAX_ASKED: usize = 64;

/// The interface for each other end that tunnels of the switch and of Linux bridges have; none where there is no route, or no answer.
pub(super) async fn to_tunnels(topology: &Topology) -> HashMap<TunnelWay, IfIndex> {
    let of_switch = topology.ovs_interfaces().map(|place| &place.interface.tunnel);
    let of_links = topology.links().iter().filter_map(|link| link.tunnel.as_ref());
    let way = |tunnel: &TunnelOptions| Some((tunnel.local, tunnel.remote?));
    let ways: BTreeSet<TunnelWay> = of_switch.chain(of_links).filter_map(way).collect();
    if ways.is_empty() {
        return HashMap::new();
    }
    let asked = tokio::time::timeout(SOURCE_TIME_LIMIT, ask(ways.into_iter().take(MAX_ASKED)));
    match asked.await {
        Ok(Ok(routes)) => routes,
        Ok(Err(error)) => {
            log::debug!("routes to other hosts: {error}");
            HashMap::new()
        }
        Err(_) => HashMap::new(),
    }
}

async fn ask(ways: impl Iterator<Item = TunnelWay>) -> std::io::Result<HashMap<TunnelWay, IfIndex>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let driver = tokio::spawn(connection);
    let mut routes = HashMap::new();
    for way in ways {
        routes.extend(interface_to(&handle, way).await.map(|interface| (way, interface)));
    }
    driver.abort();
    Ok(routes)
}

/// As `ip route get TO from FROM` says: rules for a source may have tables of their own. A source that is not the host's there is no answer for.
async fn interface_to(handle: &Handle, way: TunnelWay) -> Option<IfIndex> {
    let mut answers = std::pin::pin!(handle.route().get(question(way)).execute());
    let answer = answers.try_next().await.ok()??;
    answer.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(IfIndex(*index)),
        _ => None,
    })
}

fn question((local, remote): TunnelWay) -> RouteMessage {
    let (family, bits) =
        if remote.is_ipv4() { (AddressFamily::Inet, 32) } else { (AddressFamily::Inet6, 128) };
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.destination_prefix_length = bits;
    message.attributes.push(RouteAttribute::Destination(address(remote)));
    if let Some(local) = local {
        message.header.source_prefix_length = bits;
        message.attributes.push(RouteAttribute::Source(address(local)));
    }
    message
}

const fn address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
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
        let ways = [(None, loopback), (Some(loopback), loopback)];
        let routes = ask(ways.into_iter()).await.unwrap();
        for way in ways {
            assert_eq!(routes.get(&way), Some(&lo.index), "{way:?}");
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_without_tunnels() {
        assert!(to_tunnels(&Topology::default()).await.is_empty());
    }
}
