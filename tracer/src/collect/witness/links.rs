//! Notices when an interface of the path goes down, loses its carrier, or comes back, and when a Linux bridge does.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::SystemTime,
};

use futures_util::StreamExt as _;
use rtnetlink::{
    MulticastGroup, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkFlags, LinkMessage},
    },
};
use tokio::sync::oneshot;

use crate::{
    kernel::interface_index,
    model::{BridgeKind, IfIndex, LinkChange, Path, ProblemKind, Step},
};

/// Changes that are kept; an interface that flaps is told by its first ones, and its last.
const MAX_CHANGES: usize = 1_000;

/// Whether it is `IFF_UP`, and whether it has a carrier.
type State = (bool, bool);

/// What is known of an interface.
#[derive(Debug)]
struct Known {
    /// Its name on the path; it may be renamed meanwhile.
    ifname: String,
    state: State,
    /// A Linux bridge's own carrier is that of its ports, and nothing that forwards.
    is_bridge: bool,
}

/// Watches until it is dropped, in a thread of its own: a change has the time at which it is read.
#[derive(Debug)]
pub struct LinkWatch {
    states: Arc<Mutex<BTreeMap<u32, Known>>>,
    seen: Arc<Mutex<Vec<LinkChange>>>,
    /// `None` once they are told to end, and have.
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl LinkWatch {
    /// From now on.
    ///
    /// # Errors
    /// When the netlink socket can not be opened, or no thread started.
    pub fn begin(paths: &[&Path]) -> io::Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let found = paths.iter().flat_map(|path| states(path, interface_index));
        let states = Arc::new(Mutex::new(found.collect()));
        let (noted, known) = (Arc::clone(&seen), Arc::clone(&states));
        let (end, ended) = oneshot::channel();
        let (opened, is_open) = mpsc::channel();
        let watch = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(opened.send(Err(error))),
            };
            runtime.block_on(watch(&noted, &known, &opened, ended));
        };
        let thread = thread::Builder::new().name("links".to_owned()).spawn(watch)?;
        is_open.recv().map_err(io::Error::other)??;
        Ok(Self { states, seen, thread: Some((end, thread)) })
    }

    /// Those of another path from now on, too.
    pub fn add(&self, path: &Path) {
        let mut known = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        for (ifindex, found) in states(path, interface_index) {
            known.entry(ifindex).or_insert(found);
        }
    }

    /// What changed so far.
    #[must_use]
    pub fn changes(&self) -> Vec<LinkChange> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for LinkWatch {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.thread.take() {
            // It may have ended by itself.
            let _ = end.send(());
            let _ = thread.join();
        }
    }
}

/// Notes what changes until `ended`; says by `opened` whether it can.
async fn watch(
    noted: &Mutex<Vec<LinkChange>>,
    states: &Mutex<BTreeMap<u32, Known>>,
    opened: &mpsc::Sender<io::Result<()>>,
    ended: oneshot::Receiver<()>,
) {
    let (connection, _handle, mut messages) = match new_multicast_connection(&[MulticastGroup::Link]) {
        Ok(connected) => connected,
        Err(error) => return drop(opened.send(Err(error))),
    };
    let _ = opened.send(Ok(()));
    let reader = async {
        while let Some((message, _)) = messages.next().await {
            let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = message.payload else {
                continue;
            };
            let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(change) = change(&link, &mut states, now_ns()) {
                note(&mut noted.lock().unwrap_or_else(PoisonError::into_inner), change);
            }
        }
    };
    tokio::select! {
        () = connection => {}
        () = reader => {}
        _ = ended => {}
    }
}

/// The states that the path's interfaces were found in. A bridge that was down from the start is among the path's problems: what is told
/// of it is when it goes down.
fn states(path: &Path, index_of: impl Fn(&str) -> Option<IfIndex>) -> BTreeMap<u32, Known> {
    let state = |step: &Step| match step {
        Step::Interface(found) => {
            let (ifname, state) = (found.ifname.clone(), (found.admin_up, found.carrier));
            Some((found.ifindex.0, Known { ifname, state, is_bridge: false }))
        }
        Step::Bridge { name, kind: BridgeKind::Linux } => {
            let is_down = path.problems.iter().any(|it| it.kind == ProblemKind::Down && it.at == *name);
            let known = Known { ifname: name.clone(), state: (!is_down, true), is_bridge: true };
            Some((index_of(name)?.0, known))
        }
        _ => None,
    };
    path.steps.iter().filter_map(state).collect()
}

/// Keeps a change: where there is no room, instead of that interface's last one, so that its state at the end is known.
fn note(noted: &mut Vec<LinkChange>, change: LinkChange) {
    if noted.len() >= MAX_CHANGES
        && let Some(last) = noted.iter().rposition(|noted| noted.ifname == change.ifname)
    {
        noted.remove(last);
    }
    noted.push(change);
}

/// What a message of the kernel changes; most change nothing.
fn change(message: &LinkMessage, states: &mut BTreeMap<u32, Known>, at_ns: u64) -> Option<LinkChange> {
    // A bridge tells of its ports in the same words, but with its own family.
    if u8::from(message.header.interface_family) != 0 {
        return None;
    }
    let flags = message.header.flags;
    let known = states.get_mut(&message.header.index)?;
    let state = (flags.contains(LinkFlags::Up), known.is_bridge || flags.contains(LinkFlags::LowerUp));
    let is_new = std::mem::replace(&mut known.state, state) != state;
    is_new.then(|| LinkChange { ifname: known.ifname.clone(), admin_up: state.0, carrier: state.1, at_ns })
}

fn now_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(index: u32, flags: LinkFlags) -> LinkMessage {
        let mut message = LinkMessage::default();
        (message.header.index, message.header.flags) = (index, flags);
        message
    }

    #[test]
    fn of_an_interface_that_flaps_the_last_change_stays() {
        let mut noted = Vec::new();
        for number in 0..=2 * MAX_CHANGES {
            let up = number % 2 == 1;
            let at_ns = u64::try_from(number).unwrap();
            note(&mut noted, LinkChange { ifname: "qvo".to_owned(), admin_up: up, carrier: up, at_ns });
        }
        assert_eq!((noted.len(), noted[0].at_ns), (MAX_CHANGES, 0));
        assert_eq!(noted.last().map(|it| (it.at_ns, it.admin_up)), Some((2_000, false)));
    }

    #[test]
    fn only_changes_of_the_path_s_own_interfaces_are_noted() {
        let up = LinkFlags::Up | LinkFlags::LowerUp;
        let known = |name: &str, is_bridge| Known { ifname: name.to_owned(), state: (true, true), is_bridge };
        let mut states: BTreeMap<u32, Known> = [(12, known("qvo", false)), (20, known("qbr", true))].into();
        assert_eq!(change(&message(12, up), &mut states, 1), None);
        assert_eq!(change(&message(99, LinkFlags::empty()), &mut states, 2), None);
        let down = change(&message(12, LinkFlags::empty()), &mut states, 3);
        let expected = LinkChange { ifname: "qvo".to_owned(), admin_up: false, carrier: false, at_ns: 3 };
        assert_eq!(down, Some(expected));
        assert!(change(&message(12, up), &mut states, 4).is_some_and(|it| it.admin_up && it.carrier));
        assert_eq!(change(&message(20, LinkFlags::Up), &mut states, 3), None);
        let down = change(&message(20, LinkFlags::empty()), &mut states, 4);
        assert!(down.is_some_and(|it| !it.admin_up), "a bridge that goes down");
    }
}
