//! A connection to OVSDB: requests, answers, probes and updates.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_util::codec::Framed;

use super::{JsonCodec, OvsError, Remote};
use crate::model::Printable;

/// Updates kept while an answer is awaited; a server that sends more is not OVSDB.
const MAX_PENDING_UPDATES: usize = 1024;

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A change of monitored rows (`update2` notification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The monitor's id, as given to [`Client::monitor_cond`].
    pub monitor: Value,
    /// `<table-updates2>`: table → row UUID → `insert`, `modify`, `delete` or `initial`.
    pub tables: Value,
}

/// A connection to OVSDB. It has no time limit of its own: wrap its futures in one.
pub struct Client {
    framed: Framed<Box<dyn Transport>, JsonCodec>,
    next_id: u64,
    updates: VecDeque<Update>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("next_id", &self.next_id).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`OvsError::Connect`] when there is no listener, or no permission.
    pub async fn connect(remote: &Remote) -> Result<Self, OvsError> {
        let transport: Result<Box<dyn Transport>, std::io::Error> = match remote {
            Remote::Unix(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as _),
            Remote::Tcp { host, port } => {
                TcpStream::connect((host.as_str(), *port)).await.map(|stream| Box::new(stream) as _)
            }
        };
        transport.map(Self::new).map_err(|source| OvsError::Connect { remote: remote.clone(), source })
    }

    fn new(transport: Box<dyn Transport>) -> Self {
        Self { framed: Framed::new(transport, JsonCodec::default()), next_id: 0, updates: VecDeque::new() }
    }

    /// Sends a request and awaits its result, answering probes and keeping updates meanwhile.
    ///
    /// # Errors
    /// When the server refuses, hangs up, or sends what is not JSON-RPC.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, OvsError> {
        let id = self.next_id;
        self.next_id += 1;
        self.framed.send(json!({"method": method, "params": params, "id": id})).await?;
        loop {
            if let Some(mut response) = self.receive().await? {
                if response.get("id") != Some(&json!(id)) {
                    continue;
                }
                return match response.get("error") {
                    None | Some(Value::Null) => {
                        Ok(response.get_mut("result").map(Value::take).unwrap_or_default())
                    }
                    Some(error) => Err(OvsError::Refused {
                        method: method.to_owned(),
                        error: Printable(&error.to_string()).to_string(),
                    }),
                };
            }
        }
    }

    /// Starts monitoring (`monitor_cond`, Open vSwitch 2.6 or newer) and gives the rows there are.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn monitor_cond(
        &mut self,
        database: &str,
        monitor: &str,
        requests: Value,
    ) -> Result<Value, OvsError> {
        self.call("monitor_cond", json!([database, monitor, requests])).await
    }

    /// Awaits the next change of what is monitored.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn next_update(&mut self) -> Result<Update, OvsError> {
        loop {
            if let Some(update) = self.updates.pop_front() {
                return Ok(update);
            }
            self.receive().await?;
        }
    }

    /// Takes one message: a response is given back, a probe answered, an update kept.
    async fn receive(&mut self) -> Result<Option<Value>, OvsError> {
        let mut message = self.framed.next().await.ok_or(OvsError::Closed)??;
        let Some(method) = message.get("method").and_then(Value::as_str).map(str::to_owned) else {
            return Ok(Some(message));
        };
        let params = message.get_mut("params").map(Value::take).unwrap_or_default();
        let id = message.get("id").cloned().unwrap_or_default();
        match method.as_str() {
            "echo" => self.framed.send(json!({"result": params, "error": null, "id": id})).await?,
            "update2" => self.keep(params)?,
            _ => {}
        }
        Ok(None)
    }

    fn keep(&mut self, params: Value) -> Result<(), OvsError> {
        let Value::Array(params) = params else {
            return Err(OvsError::Shape("an update without parameters".to_owned()));
        };
        let mut params = params.into_iter();
        let (Some(monitor), Some(tables)) = (params.next(), params.next()) else {
            return Err(OvsError::Shape("an update without tables".to_owned()));
        };
        if self.updates.len() >= MAX_PENDING_UPDATES {
            return Err(OvsError::Shape("a flood of updates instead of an answer".to_owned()));
        }
        self.updates.push_back(Update { monitor, tables });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    fn pair() -> (Client, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        (Client::new(Box::new(ours)), theirs)
    }

    async fn answer(server_says: &str) -> Result<Value, OvsError> {
        let (mut client, mut server) = pair();
        server.write_all(server_says.as_bytes()).await.unwrap();
        server.shutdown().await.unwrap();
        client.call("list_dbs", json!([])).await
    }

    #[tokio::test]
    async fn a_probe_before_the_answer_is_answered_with_its_own_id() {
        let (mut client, mut server) = pair();
        server
            .write_all(br#"{"method":"echo","params":["x"],"id":"echo"}{"id":0,"result":["a"],"error":null}"#)
            .await
            .unwrap();
        assert_eq!(client.call("list_dbs", json!([])).await.unwrap(), json!(["a"]));
        drop(client);
        let mut sent = String::new();
        server.read_to_string(&mut sent).await.unwrap();
        let sent: Vec<Value> =
            serde_json::Deserializer::from_str(&sent).into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(sent.get(1), Some(&json!({"id": "echo", "result": ["x"], "error": null})));
    }

    #[tokio::test]
    async fn updates_wait_and_stray_answers_are_skipped() {
        let (mut client, mut server) = pair();
        server
            .write_all(
                br#"{"id":99,"result":1}{"method":"update2","params":["m",{"T":{}}],"id":null}{"method":"locked","params":[]}{"id":0,"result":2}"#,
            )
            .await
            .unwrap();
        assert_eq!(client.call("x", json!([])).await.unwrap(), json!(2));
        assert_eq!(
            client.next_update().await.unwrap(),
            Update { monitor: json!("m"), tables: json!({"T": {}}) }
        );
    }

    #[tokio::test]
    async fn a_bad_server_is_an_error() {
        assert!(matches!(answer("").await, Err(OvsError::Closed)));
        assert!(matches!(answer("nonsense").await, Err(OvsError::Json(_))));
        assert!(matches!(answer("{\"id\":0,\"result\":[").await, Err(OvsError::Json(_))));
        let refused =
            answer(r#"{"id":0,"result":null,"error":"unknown\u001b[2J method"}"#).await.unwrap_err();
        assert!(
            matches!(&refused, OvsError::Refused { error, .. } if !error.contains('\u{1b}')),
            "{refused}"
        );
        for bad in [r#"{"method":"update2","params":7}"#, r#"{"method":"update2","params":[1]}"#] {
            assert!(matches!(answer(bad).await, Err(OvsError::Shape(_))), "{bad}");
        }
        assert_eq!(answer(r#"{"id":0}"#).await.unwrap(), Value::Null);
    }
}
