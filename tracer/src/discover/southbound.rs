//! OVN's southbound database: which network a port is in, by what OVN was told. Only where OVN's controller runs is it asked, and at the place
//! that the controller is told.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    time::Duration,
};

use super::{ask::ask, ovsdb};
use crate::{
    model::{LogicalPort, OvsBridge, OvsSystem, SourceName, SourceStatus},
    ovs::{Client, OvsError, ParseRemoteError, Remote},
};

/// How long one remote may take to be connected to: those that come behind it need some of the source's time, too.
const CONNECT_TIME_LIMIT: Duration = Duration::from_millis(500);

/// The database could not be asked.
#[derive(Debug, thiserror::Error)]
enum SouthboundError {
    /// It is reached by TLS alone.
    #[error("it is reached by ssl, which hoptrace does not speak")]
    Ssl,
    /// What the controller is told is no place.
    #[error("external_ids:ovn-remote is {0}")]
    NoRemote(ParseRemoteError),
    /// None of the remotes gave an answer.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoAnswer(Vec<OvsError>),
}

/// Asks about the ports of these bridges, and says what came of it; `None` where there is nothing to ask about, or nobody to ask.
pub(super) async fn ask_southbound(
    system: &OvsSystem,
    bridges: &[OvsBridge],
) -> Option<(HashMap<String, LogicalPort>, SourceStatus)> {
    let list = system.ovn_remote.as_deref()?;
    let iface_ids = iface_ids(bridges);
    if iface_ids.is_empty() {
        return None;
    }
    let answer = async { first_answer(list, &iface_ids).await.map(|(ports, remote)| (ports, Some(remote))) };
    let ((ports, answered), mut status) = ask(SourceName::Southbound, list.to_owned(), answer).await;
    if let Some(remote) = answered {
        status.asked = remote.to_string();
    }
    Some((ports, status))
}

/// What OVN calls the ports.
fn iface_ids(bridges: &[OvsBridge]) -> BTreeSet<&str> {
    let places = bridges.iter().flat_map(OvsBridge::places);
    places.filter_map(|place| place.interface.neutron.iface_id.as_deref()).collect()
}

/// Those of the remotes that hoptrace speaks to.
fn remotes(list: &str) -> Result<Vec<Remote>, SouthboundError> {
    let texts = || list.split(',').map(str::trim);
    let spoken: Vec<Remote> = texts().filter_map(|text| text.parse().ok()).collect();
    if !spoken.is_empty() {
        return Ok(spoken);
    }
    let is_ssl = texts().any(|text| text.starts_with("ssl:"));
    Err(if is_ssl { SouthboundError::Ssl } else { SouthboundError::NoRemote(ParseRemoteError) })
}

/// The answer of the first remote that gives one, and which one that was.
async fn first_answer(
    list: &str,
    iface_ids: &BTreeSet<&str>,
) -> Result<(HashMap<String, LogicalPort>, Remote), SouthboundError> {
    let mut failures = Vec::new();
    for remote in remotes(list)? {
        match answer(&remote, iface_ids).await {
            Ok(ports) => return Ok((ports, remote)),
            Err(error) => failures.push(error),
        }
    }
    Err(SouthboundError::NoAnswer(failures))
}

async fn answer(
    remote: &Remote,
    iface_ids: &BTreeSet<&str>,
) -> Result<HashMap<String, LogicalPort>, OvsError> {
    let late = |_| OvsError::Connect { remote: remote.clone(), source: io::ErrorKind::TimedOut.into() };
    let mut client =
        tokio::time::timeout(CONNECT_TIME_LIMIT, Client::connect(remote)).await.map_err(late)??;
    ovsdb::logical_ports(&mut client, iface_ids).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::{SinkExt, StreamExt};
    use serde_json::{Value, json};
    use tokio::net::UnixListener;
    use tokio_util::codec::Framed;

    use super::*;
    use crate::{
        model::{NeutronKeys, OvsInterface, OvsPort},
        ovs::JsonCodec,
    };

    const SWITCH: &str = "06234b93-6b4b-4f92-be8a-342dd858617c";
    const PORT: &str = "1ef13326-744a-4065-82ee-0998ff56dcc8";

    fn system(ovn_remote: &str) -> OvsSystem {
        OvsSystem { ovn_remote: Some(ovn_remote.to_owned()), ..OvsSystem::default() }
    }

    fn bridges(iface_id: Option<&str>) -> Vec<OvsBridge> {
        let neutron = NeutronKeys { iface_id: iface_id.map(str::to_owned), ..NeutronKeys::default() };
        let interface = OvsInterface { neutron, ..OvsInterface::default() };
        let port = OvsPort { interfaces: vec![interface], ..OvsPort::default() };
        vec![OvsBridge { ports: vec![port], ..OvsBridge::default() }]
    }

    /// Gives one connection these answers, whatever it asks.
    async fn serve(listener: UnixListener, answers: Vec<Value>) {
        let (stream, _) = listener.accept().await.unwrap();
        let mut framed = Framed::new(stream, JsonCodec::default());
        for answer in answers {
            let request: Value = framed.next().await.unwrap().unwrap();
            framed.send(json!({"id": request["id"], "result": answer, "error": null})).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_first_remote_that_answers_counts() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sb.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let row = json!({"logical_port": "vm-1", "datapath": ["uuid", SWITCH]});
        let answers = vec![
            json!({"Port_Binding": {PORT: {"initial": row}}}),
            json!({"Datapath_Binding": {SWITCH: {"initial": {"tunnel_key": 5}}}}),
        ];
        let list = format!("ssl:192.0.2.1:6642, unix:/nonexistent,unix:{}", socket.display());
        let (system, bridges) = (system(&list), bridges(Some("vm-1")));
        let (found, ()) = tokio::join!(ask_southbound(&system, &bridges), serve(listener, answers));
        let (ports, status) = found.unwrap();
        assert_eq!(ports.get("vm-1").unwrap().switch.tunnel_key, Some(5));
        assert_eq!((status.missing, status.asked), (None, format!("unix:{}", socket.display())));
    }

    #[tokio::test]
    async fn where_ovn_is_not_used_nobody_is_asked() {
        let nowhere = "unix:/nonexistent";
        assert!(ask_southbound(&OvsSystem::default(), &bridges(Some("vm-1"))).await.is_none());
        assert!(ask_southbound(&system(nowhere), &bridges(None)).await.is_none());
        assert!(ask_southbound(&system(nowhere), &[]).await.is_none());
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_missing() {
        for (list, expected) in [
            ("unix:/nonexistent", "unix:/nonexistent"),
            ("ssl:192.0.2.1:6642,ssl:192.0.2.2:6642", "by ssl, which hoptrace does not speak"),
            ("192.0.2.1:6642", "ovn-remote is not an OVSDB remote"),
            (",", "ovn-remote is not an OVSDB remote"),
        ] {
            let (ports, status) = ask_southbound(&system(list), &bridges(Some("vm-1"))).await.unwrap();
            let missing = status.missing.unwrap();
            assert!(ports.is_empty() && missing.contains(expected), "{list}: {missing}");
            assert_eq!((status.name, status.asked.as_str()), (SourceName::Southbound, list));
        }
    }
}
