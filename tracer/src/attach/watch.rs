//! Notices when an interface of the path goes away.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use rtnetlink::{
    MulticastGroup, new_multicast_connection, packet_core::NetlinkPayload, packet_route::RouteNetlinkMessage,
};

use crate::model::{IfIndex, Interface};

/// An interface of the path is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vanished {
    /// Its name.
    pub ifname: String,
    /// Its index.
    pub ifindex: IfIndex,
}

/// Waits until one of these interfaces is deleted or moved to another network namespace.
///
/// # Errors
/// When the netlink socket can not be opened.
pub async fn watch(interfaces: &[Interface]) -> std::io::Result<Vanished> {
    let (connection, _handle, mut messages) = new_multicast_connection(&[MulticastGroup::Link])?;
    let _driver = AbortOnDrop(tokio::spawn(connection));
    let wanted: BTreeMap<u32, &Interface> =
        interfaces.iter().map(|interface| (interface.ifindex.0, interface)).collect();
    while let Some((message, _)) = messages.next().await {
        if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) = message.payload
            // A bridge tells of a port that leaves it in the same words, but with its own family.
            && u8::from(link.header.interface_family) == 0
            && let Some(interface) = wanted.get(&link.header.index)
        {
            return Ok(Vanished { ifname: interface.ifname.clone(), ifindex: interface.ifindex });
        }
    }
    std::future::pending().await
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
