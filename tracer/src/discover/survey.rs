//! All sources at once.

use super::{ask::ask, namespaces, netlink, ovsdb, routes};
use crate::{
    model::{Instance, SourceName, SourceStatus, Topology},
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

/// Asks libvirt, rtnetlink and OVSDB concurrently. Never fails: what is missing is in
/// [`Topology::sources`]. Takes no longer than the slowest source, and that is bounded.
pub async fn discover(sources: &Sources) -> Topology {
    let (links, bridges, instances) = tokio::join!(
        ask(SourceName::Netlink, "rtnetlink".to_owned(), netlink::links()),
        ask_ovsdb(&sources.ovsdb),
        ask_libvirt(&sources.libvirt_uri),
    );
    let mut topology = Topology::default();
    topology.instances = instances.0;
    *topology.bridges_mut() = bridges.0;
    topology.sources = vec![links.1, bridges.1, instances.1];
    topology.set_links(links.0);
    topology.routes = routes::to_tunnels(&topology).await;
    tokio::task::spawn_blocking(move || {
        topology.links_away = namespaces::links_away(&topology);
        topology
    })
    .await
    .unwrap_or_default()
}

async fn ask_ovsdb(remotes: &[Remote]) -> (Vec<crate::model::OvsBridge>, SourceStatus) {
    let asked = remotes.iter().map(Remote::to_string).collect::<Vec<_>>().join(", ");
    let ((bridges, answered), mut status) =
        ask(SourceName::Ovsdb, asked, async { ovsdb::snapshot(remotes).await.map(|(b, r)| (b, Some(r))) })
            .await;
    if let Some(remote) = answered {
        status.asked = remote.to_string();
    }
    (bridges, status)
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
