//! Notices when another program takes our filters away: with them hooks are gone, and what passes there is seen no more.

use std::{collections::BTreeSet, io, time::Duration};

use futures_util::StreamExt as _;
use rtnetlink::{
    MulticastGroup, new_multicast_connection, packet_core::NetlinkPayload, packet_route::RouteNetlinkMessage,
};

use super::{
    clsact::{Filter, OwnerId, TrafficControl, tag_of},
    side::TcSide,
};
use crate::model::{HookPlan, IfIndex, Plan, Printable, Taken};

/// The kernel may not tell (its queue of words is bounded): then we ask, before what passed a missing hook can be taken for lost.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// The filters of one trace.
#[derive(Debug, Clone, Copy)]
pub struct Filters {
    pub(super) owner: OwnerId,
}

impl Filters {
    /// Waits until one of them is gone while its interface is not.
    ///
    /// # Errors
    /// When the kernel can not be asked.
    pub async fn taken(self, plans: &[Plan]) -> io::Result<Taken> {
        let (connection, _handle, mut messages) = new_multicast_connection(&[MulticastGroup::Tc])?;
        let driver = tokio::spawn(connection);
        let places = plans.iter().flat_map(Plan::path_places);
        let ours: BTreeSet<u32> = places.map(|(interface, _)| interface.ifindex.0).collect();
        let outcome = loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some((message, _)) if !is_about(&message.payload, &ours) => continue,
                    Some(_) => {}
                    None => tokio::time::sleep(ASK_EVERY).await,
                },
                () = tokio::time::sleep(ASK_EVERY) => {}
            }
            match self.missing(plans) {
                Ok(None) => {}
                Ok(Some(hooks)) => break Ok(Taken { hooks, at: local_time() }),
                Err(error) => break Err(error),
            }
        };
        driver.abort();
        outcome
    }

    /// The hooks of the paths whose filters are not there.
    fn missing(self, plans: &[Plan]) -> io::Result<Option<String>> {
        let control = TrafficControl::open()?;
        let mut missing = BTreeSet::new();
        let hooks = plans.iter().flat_map(|plan| &plan.hooks);
        for hook in hooks.filter(|hook| !hook.is_neighbour()) {
            let Some((side, interface)) = TcSide::of(hook.side).zip(hook.interfaces.first()) else {
                continue;
            };
            let filters = control.filters(interface.ifindex, side)?;
            let is_ours = |filter: &Filter| {
                tag_of(filter).is_some_and(|tag| tag.owner == self.owner) && !filter.is_beside()
            };
            if !filters.iter().any(is_ours) && is_there(interface.ifindex) {
                missing.insert(name(hook, &interface.ifname));
            }
        }
        Ok((!missing.is_empty()).then(|| Vec::from_iter(missing).join(", ")))
    }
}

fn name(hook: &HookPlan, ifname: &str) -> String {
    format!("{} {} ({})", Printable(&hook.label), Printable(ifname), hook.side.name())
}

/// Whether a filter or a queueing discipline of one of `interfaces` went.
fn is_about(payload: &NetlinkPayload<RouteNetlinkMessage>, interfaces: &BTreeSet<u32>) -> bool {
    let NetlinkPayload::InnerMessage(
        RouteNetlinkMessage::DelTrafficFilter(message)
        | RouteNetlinkMessage::DelTrafficChain(message)
        | RouteNetlinkMessage::DelQueueDiscipline(message),
    ) = payload
    else {
        return false;
    };
    u32::try_from(message.header.index).is_ok_and(|index| interfaces.contains(&index))
}

/// Where the interface itself went, its filters did, too; and that is another story.
fn is_there(interface: IfIndex) -> bool {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: there is room for a name.
    !unsafe { libc::if_indextoname(interface.0, name.as_mut_ptr()) }.is_null()
}

/// The time of day where this host is.
fn local_time() -> String {
    // SAFETY: both only write to what they are given, which lives here; zeros are a valid `tm`.
    let broken_down = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut broken_down: libc::tm = std::mem::zeroed();
        libc::localtime_r(&raw const now, &raw mut broken_down);
        broken_down
    };
    format!("{:02}:{:02}:{:02}", broken_down.tm_hour, broken_down.tm_min, broken_down.tm_sec)
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::tc::TcMessage;

    use super::*;

    #[test]
    fn only_what_goes_from_our_interfaces_is_looked_into() {
        let ours = BTreeSet::from([4, 7]);
        let about = |what: fn(TcMessage) -> RouteNetlinkMessage, index| {
            is_about(&NetlinkPayload::InnerMessage(what(TcMessage::with_index(index))), &ours)
        };
        assert!(about(RouteNetlinkMessage::DelQueueDiscipline, 4));
        assert!(about(RouteNetlinkMessage::DelTrafficFilter, 7));
        assert!(about(RouteNetlinkMessage::DelTrafficChain, 7));
        assert!(!about(RouteNetlinkMessage::DelTrafficFilter, 5));
        assert!(!about(RouteNetlinkMessage::NewTrafficFilter, 4));
        assert!(!about(RouteNetlinkMessage::DelTrafficFilter, -1));
    }

    #[test]
    fn an_interface_that_is_there_is_known_and_so_is_the_time() {
        assert!(is_there(IfIndex(1)), "the loopback interface");
        assert!(!is_there(IfIndex(u32::MAX)));
        let parts: Vec<u32> = local_time().split(':').map(|part| part.parse().unwrap()).collect();
        assert!(matches!(parts.as_slice(), [0..24, 0..60, 0..61]), "{parts:?}");
    }
}
