//! Notices when an interface of the path goes down, loses its carrier, or comes back, and when a Linux bridge does.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use futures_util::StreamExt as _;
use rtnetlink::{
    MulticastGroup, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkAttribute, LinkFlags, LinkMessage},
    },
};
use tokio::task::JoinHandle;

use crate::model::{BridgeKind, LinkChange, Path, ProblemKind, Step};

/// Changes that are kept; an interface that flaps is told by its first ones.
const MAX_CHANGES: usize = 1_000;

/// Whether it is `IFF_UP`, and whether it has a carrier.
type State = (bool, bool);

/// What is known of an interface.
#[derive(Debug)]
struct Known {
    state: State,
    /// A Linux bridge's own carrier is that of its ports, and nothing that forwards.
    is_bridge: bool,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct LinkWatch {
    seen: Arc<Mutex<Vec<LinkChange>>>,
    tasks: [JoinHandle<()>; 2],
}

impl LinkWatch {
    /// From now on. Must be called where there is a runtime.
    ///
    /// # Errors
    /// When the netlink socket can not be opened.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let (connection, _handle, mut messages) = new_multicast_connection(&[MulticastGroup::Link])?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut states = states(path);
        let noted = Arc::clone(&seen);
        let reader = async move {
            while let Some((message, _)) = messages.next().await {
                let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = message.payload else {
                    continue;
                };
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                if noted.len() < MAX_CHANGES {
                    noted.extend(change(&link, &mut states, now_ns()));
                }
            }
        };
        Ok(Self { seen, tasks: [tokio::spawn(connection), tokio::spawn(reader)] })
    }

    /// What changed so far.
    #[must_use]
    pub fn changes(&self) -> Vec<LinkChange> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for LinkWatch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The states that the path's interfaces were found in. A bridge that was down from the start is among the path's problems: what is told
/// of it is when it goes down.
fn states(path: &Path) -> BTreeMap<String, Known> {
    let state = |step: &Step| match step {
        Step::Interface(found) => {
            let known = Known { state: (found.admin_up, found.carrier), is_bridge: false };
            Some((found.ifname.clone(), known))
        }
        Step::Bridge { name, kind: BridgeKind::Linux } => {
            let is_down = path.problems.iter().any(|it| it.kind == ProblemKind::Down && it.at == *name);
            Some((name.clone(), Known { state: (!is_down, true), is_bridge: true }))
        }
        _ => None,
    };
    path.steps.iter().filter_map(state).collect()
}

/// What a message of the kernel changes; most change nothing.
fn change(message: &LinkMessage, states: &mut BTreeMap<String, Known>, at_ns: u64) -> Option<LinkChange> {
    // A bridge tells of its ports in the same words, but with its own family.
    if u8::from(message.header.interface_family) != 0 {
        return None;
    }
    let ifname = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    })?;
    let flags = message.header.flags;
    let known = states.get_mut(ifname)?;
    let state = (flags.contains(LinkFlags::Up), known.is_bridge || flags.contains(LinkFlags::LowerUp));
    let is_new = std::mem::replace(&mut known.state, state) != state;
    is_new.then(|| LinkChange { ifname: ifname.clone(), admin_up: state.0, carrier: state.1, at_ns })
}

fn now_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, flags: LinkFlags) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.flags = flags;
        message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        message
    }

    #[test]
    fn only_changes_of_the_path_s_own_interfaces_are_noted() {
        let up = LinkFlags::Up | LinkFlags::LowerUp;
        let known = |is_bridge| Known { state: (true, true), is_bridge };
        let mut states: BTreeMap<String, Known> =
            [("qvo".to_owned(), known(false)), ("qbr".to_owned(), known(true))].into();
        assert_eq!(change(&message("qvo", up), &mut states, 1), None);
        assert_eq!(change(&message("other", LinkFlags::empty()), &mut states, 2), None);
        let down = change(&message("qvo", LinkFlags::empty()), &mut states, 3);
        let expected = LinkChange { ifname: "qvo".to_owned(), admin_up: false, carrier: false, at_ns: 3 };
        assert_eq!(down, Some(expected));
        assert!(change(&message("qvo", up), &mut states, 4).is_some_and(|it| it.admin_up && it.carrier));
        assert_eq!(change(&message("qbr", LinkFlags::Up), &mut states, 3), None);
        let down = change(&message("qbr", LinkFlags::empty()), &mut states, 4);
        assert!(down.is_some_and(|it| !it.admin_up), "a bridge that goes down");
    }
}
