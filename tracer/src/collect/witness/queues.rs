//! What the queueing disciplines of interfaces count (rtnetlink).

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::tc::{TcAttribute, TcMessage, TcStats2};

use crate::model::Interface;

/// The kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueuesError {
    /// No socket.
    #[error("cannot open an rtnetlink socket: {0}")]
    Open(#[source] std::io::Error),
    /// No answer.
    #[error("cannot list the queueing disciplines: {0}")]
    List(#[source] rtnetlink::Error),
}

/// Whose disciplines are looked at.
#[derive(Debug)]
pub(super) struct Queues<'a>(&'a [Interface]);

/// A discipline: its interface, its parent and its handle.
type Discipline = (i32, u32, u32);

/// What they have counted so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct QueueCounts {
    /// Packets dropped by each; a classful one counts what those below it drop once more.
    drops: BTreeMap<Discipline, u32>,
    /// Packets that wait in all of them.
    waiting: u64,
}

impl<'a> Queues<'a> {
    pub(super) const fn of(interfaces: &'a [Interface]) -> Self {
        Self(interfaces)
    }

    /// The kernel lists those of all interfaces, however it is asked.
    pub(super) async fn look(&self) -> Result<QueueCounts, QueuesError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(QueuesError::Open)?;
        let driver = tokio::spawn(connection);
        let mut list = handle.qdisc().get().execute();
        let mut counts = QueueCounts::default();
        while let Some(message) = list.try_next().await.map_err(QueuesError::List)? {
            let index = u32::try_from(message.header.index);
            if self.0.iter().any(|interface| index == Ok(interface.ifindex.0)) {
                counts.take(&message);
            }
        }
        driver.abort();
        Ok(counts)
    }
}

impl QueueCounts {
    fn take(&mut self, message: &TcMessage) {
        let header = &message.header;
        let discipline = (header.index, header.parent.into(), header.handle.into());
        let stats = message.attributes.iter().filter_map(|attribute| match attribute {
            TcAttribute::Stats2(stats) => Some(stats),
            _ => None,
        });
        for stats in stats.flatten() {
            if let TcStats2::Queue(queue) = stats {
                self.drops.insert(discipline, queue.drops);
                self.waiting += u64::from(queue.qlen);
            }
        }
    }

    /// How many packets at most were dropped since `before`, or wait now. `None`: the disciplines are not the same ones.
    pub(super) fn since(&self, before: &Self) -> Option<u64> {
        if !self.drops.keys().eq(before.drops.keys()) {
            return None;
        }
        let rose = self.drops.values().zip(before.drops.values());
        rose.map(|(now, before)| now.checked_sub(*before).map(u64::from))
            .sum::<Option<u64>>()
            .map(|sum| sum + self.waiting)
    }

    #[cfg(test)]
    pub(super) fn with(drops: &[(u32, u32)], waiting: u64) -> Self {
        Self { drops: drops.iter().map(|(handle, drops)| ((3, 0, *handle), *drops)).collect(), waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_discipline_knows_nothing_of_what_the_one_before_has_dropped() {
        let before = QueueCounts::with(&[(1, 5), (2, 0)], 9);
        assert_eq!(QueueCounts::with(&[(1, 6), (2, 1)], 3).since(&before), Some(5));
        assert_eq!(QueueCounts::with(&[(1, 6)], 0).since(&before), None);
        assert_eq!(QueueCounts::with(&[(1, 6), (3, 0)], 0).since(&before), None);
        assert_eq!(QueueCounts::with(&[(1, 4), (2, 0)], 0).since(&before), None);
        assert_eq!(QueueCounts::default().since(&QueueCounts::default()), Some(0));
    }
}
