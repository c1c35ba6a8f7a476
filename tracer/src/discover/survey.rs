//! All sources at once.

use super::{
    ask::{SOURCE_TIME_LIMIT, ask},
    namespaces, netlink, ovsdb, routes,
    southbound::ask_southbound,
};
use crate::{
    model::{Instance, OvsBridge, OvsSystem, SourceName, SourceStatus, Topology},
    ovs::Remote,
};

/// The local system's hypervisor.
pub const DEFAULT_LIBVIRT_URI: &str = "qemu:///system";

/// Where to ask.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The libvirt connection URI.
    pub libvirt_uri: String,
    /// Where OVSDB listens, tried in this order.
    pub ovsdb: Vec<Remote>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { libvirt_uri: DEFAULT_LIBVIRT_URI.to_owned(), ovsdb: Remote::defaults() }
    }
}

/// Asks libvirt, rtnetlink and OVSDB concurrently, and behind OVSDB OVN's southbound database, where there is one. Never fails: what
/// is missing is in [`Topology::sources`]. Takes no longer than the slowest source, or these two together, and that is bounded.
pub async fn discover(sources: &Sources) -> Topology {
    let switch = async {
        let ((bridges, system), status) = ask_ovsdb(&sources.ovsdb).await;
        let southbound = ask_southbound(&system, &bridges).await;
        (bridges, system, status, southbound)
    };
    let (links, addresses, disciplines, (bridges, system, ovsdb, southbound), instances) = tokio::join!(
        ask(SourceName::Netlink, "rtnetlink".to_owned(), netlink::links()),
        tokio::time::timeout(SOURCE_TIME_LIMIT, netlink::addresses()),
        tokio::time::timeout(SOURCE_TIME_LIMIT, netlink::disciplines()),
        switch,
        ask_libvirt(&sources.libvirt_uri),
    );
    let mut topology = Topology::default();
    topology.instances = instances.0;
    *topology.bridges_mut() = bridges;
    topology.ovs_system = system;
    topology.sources = vec![links.1, ovsdb, instances.1];
    if let Some((ports, status)) = southbound {
        topology.logical_ports = ports;
        topology.sources.push(status);
    }
    topology.set_links(links.0);
    topology.addresses = addresses.ok().and_then(Result::ok).unwrap_or_default();
    topology.disciplines = disciplines.ok().and_then(Result::ok);
    topology.routes = routes::to_tunnels(&topology).await;
    tokio::task::spawn_blocking(move || {
        topology.links_away = namespaces::links_away(&topology);
        topology
    })
    .await
    .unwrap_or_default()
}

async fn ask_ovsdb(remotes: &[Remote]) -> ((Vec<OvsBridge>, OvsSystem), SourceStatus) {
    let asked = remotes.iter().map(Remote::to_string).collect::<Vec<_>>().join(", ");
    let answer = async {
        ovsdb::snapshot(remotes).await.map(|(bridges, system, remote)| (bridges, system, Some(remote)))
    };
    let ((bridges, system, answered), mut status) = ask(SourceName::Ovsdb, asked, answer).await;
    if let Some(remote) = answered {
        status.asked = remote.to_string();
    }
    ((bridges, system), status)
}

#[cfg(feature = "libvirt")]
async fn ask_libvirt(uri: &str) -> (Vec<Instance>, SourceStatus) {
    let ((instances, notes), mut status) =
        ask(SourceName::Libvirt, uri.to_owned(), super::libvirt::instances(uri.to_owned())).await;
    status.notes = notes;
    (instances, status)
}

#[cfg(not(feature = "libvirt"))]
async fn ask_libvirt(uri: &str) -> (Vec<Instance>, SourceStatus) {
    let answer = async { Err("this hoptrace was built without libvirt") };
    ask(SourceName::Libvirt, uri.to_owned(), answer).await
}
