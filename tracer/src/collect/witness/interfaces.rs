//! The kernel's counters of interfaces (`IFLA_STATS64` of rtnetlink).

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, Stats64};

use super::Counter;
use crate::model::{EvidenceSource, IfIndex};

/// The kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum InterfacesError {
    /// No socket.
    #[error("cannot open an rtnetlink socket: {0}")]
    Open(#[source] std::io::Error),
    /// No answer.
    #[error("cannot read the counters of interface {0}: {1}")]
    Read(IfIndex, #[source] rtnetlink::Error),
}

/// The interfaces to look at, with their names on the path: they may be renamed meanwhile.
#[derive(Debug)]
pub(super) struct Interfaces(Vec<(IfIndex, String)>);

impl Interfaces {
    pub(super) fn new(interfaces: impl Iterator<Item = (IfIndex, String)>) -> Self {
        Self(interfaces.collect())
    }

    /// Looks at these, too.
    pub(super) fn add(&mut self, more: impl Iterator<Item = (IfIndex, String)>) {
        self.0.extend(more);
    }

    /// What they count of packets that were not taken or not sent. One that is gone is left out.
    pub(super) async fn look(&self) -> Result<Vec<(Counter, u64)>, InterfacesError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(InterfacesError::Open)?;
        let driver = tokio::spawn(connection);
        let mut found = Vec::new();
        for (index, name) in &self.0 {
            match handle.link().get().match_index(index.0).execute().try_next().await {
                Ok(message) => found.extend(message.into_iter().flat_map(|message| counters(name, message))),
                Err(rtnetlink::Error::NetlinkError(error)) if is_gone(&error.to_io()) => {}
                Err(error) => return Err(InterfacesError::Read(*index, error)),
            }
        }
        driver.abort();
        Ok(found)
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

fn counters(name: &str, message: LinkMessage) -> Vec<(Counter, u64)> {
    let stats = message.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::Stats64(found) => Some(found),
        _ => None,
    });
    let of = |stats: Stats64| {
        // The names of `struct rtnl_link_stats64`.
        [
            ("rx_errors", stats.rx_errors),
            ("tx_errors", stats.tx_errors),
            ("rx_dropped", stats.rx_dropped),
            ("tx_dropped", stats.tx_dropped),
            ("rx_length_errors", stats.rx_length_errors),
            ("rx_over_errors", stats.rx_over_errors),
            ("rx_crc_errors", stats.rx_crc_errors),
            ("rx_frame_errors", stats.rx_frame_errors),
            ("rx_fifo_errors", stats.rx_fifo_errors),
            ("rx_missed_errors", stats.rx_missed_errors),
            ("tx_aborted_errors", stats.tx_aborted_errors),
            ("tx_carrier_errors", stats.tx_carrier_errors),
            ("tx_fifo_errors", stats.tx_fifo_errors),
            ("rx_nohandler", stats.rx_nohandler),
        ]
    };
    let counter = |(counter, count): (&str, u64)| {
        ((EvidenceSource::Interface, name.to_owned(), counter.to_owned()), count)
    };
    stats.into_iter().flat_map(of).map(counter).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_loopback_interface_has_counters_and_one_that_is_gone_has_none() {
        let found = Interfaces::new(
            [(IfIndex(1), "one".to_owned()), (IfIndex(0x7fff_fff0), "gone".to_owned())].into_iter(),
        )
        .look()
        .await
        .unwrap();
        assert!(found.iter().all(|((_, at, _), _)| at == "one"), "{found:?}");
        assert!(found.iter().any(|((_, _, counter), _)| counter == "tx_dropped"), "{found:?}");
    }
}
