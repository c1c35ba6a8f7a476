//! `ovs-vswitchd`'s control socket, where `ovs-appctl` asks, too.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Client, OvsError, Remote};

/// How long one request may take.
pub const CALL_TIME_LIMIT: Duration = Duration::from_secs(2);
/// Where Open vSwitch keeps its sockets.
const FOLDERS: [&str; 2] = ["/var/run/openvswitch", "/run/openvswitch"];
/// A pid file holds one number.
const MAX_PID_DIGITS: usize = 10;

/// `ovs-vswitchd` could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum UnixctlError {
    /// Its pid file, by which the socket is found, can not be read.
    #[error("ovs-vswitchd: cannot read {}: {source}", path.display())]
    PidFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The pid file holds no pid.
    #[error("ovs-vswitchd: no pid in {}", .0.display())]
    NoPid(PathBuf),
    /// There is no listener, or the answer makes no sense.
    #[error("ovs-vswitchd: {0}")]
    Call(#[from] OvsError),
    /// No answer in time.
    #[error("ovs-vswitchd: no answer to `{method}` within {limit:?}")]
    Slow {
        /// The request.
        method: String,
        /// The bound.
        limit: Duration,
    },
}

/// A connection to `ovs-vswitchd`. It does one request after the other; each is bounded by [`CALL_TIME_LIMIT`].
#[derive(Debug)]
pub struct Unixctl {
    client: Client,
    limit: Duration,
}

impl Unixctl {
    /// Connects to the daemon of this host.
    ///
    /// # Errors
    /// When it does not run, or we may not.
    pub async fn connect() -> Result<Self, UnixctlError> {
        let [usual, other] = FOLDERS.map(Path::new);
        match Self::connect_in(usual).await {
            Err(UnixctlError::PidFile { .. }) if !usual.exists() && other.exists() => {
                Self::connect_in(other).await
            }
            outcome => outcome,
        }
    }

    /// Connects to the daemon whose pid file is in `folder`.
    ///
    /// # Errors
    /// As [`Unixctl::connect`].
    pub async fn connect_in(folder: &Path) -> Result<Self, UnixctlError> {
        let path = folder.join("ovs-vswitchd.pid");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(UnixctlError::PidFile { path, source }),
        };
        let pid = text.trim();
        if pid.is_empty() || pid.len() > MAX_PID_DIGITS || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(UnixctlError::NoPid(path));
        }
        let socket = Remote::Unix(folder.join(format!("ovs-vswitchd.{pid}.ctl")));
        let limit = CALL_TIME_LIMIT;
        let client = in_time(limit, "connect", Client::connect(&socket)).await?;
        Ok(Self { client, limit })
    }

    /// What the daemon answers to a command, as `ovs-appctl METHOD PARAMETERS…` prints it.
    ///
    /// # Errors
    /// When the daemon refuses it, hangs up, or does not answer in time.
    pub async fn call(&mut self, method: &str, parameters: &[&str]) -> Result<String, UnixctlError> {
        match in_time(self.limit, method, self.client.call(method, json!(parameters))).await? {
            Value::String(text) => Ok(text),
            Value::Null => Ok(String::new()),
            _ => Err(OvsError::Shape(format!("`{method}` gave no text")).into()),
        }
    }
}

async fn in_time<T>(
    limit: Duration,
    method: &str,
    answer: impl Future<Output = Result<T, OvsError>>,
) -> Result<T, UnixctlError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(UnixctlError::Slow { method: method.to_owned(), limit }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixListener,
    };

    use super::*;

    /// A folder with a pid file, and what the daemon's socket would be.
    fn daemon(pid: &str) -> (tempfile::TempDir, UnixListener) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ovs-vswitchd.pid"), pid).unwrap();
        let listener = UnixListener::bind(folder.path().join("ovs-vswitchd.4711.ctl")).unwrap();
        (folder, listener)
    }

    #[tokio::test]
    async fn a_command_goes_out_and_its_text_comes_back() {
        let (folder, listener) = daemon("4711\n");
        let mut unixctl = Unixctl::connect_in(folder.path()).await.unwrap();
        let (mut served, _) = listener.accept().await.unwrap();
        served.write_all(br#"{"id":0,"result":"two\nlines","error":null}"#).await.unwrap();
        assert_eq!(unixctl.call("ofproto/trace", &["br-int", "in_port=1"]).await.unwrap(), "two\nlines");
        drop(unixctl);
        let mut asked = String::new();
        served.read_to_string(&mut asked).await.unwrap();
        let asked: Value = serde_json::from_str(&asked).unwrap();
        assert_eq!(asked, json!({"id": 0, "method": "ofproto/trace", "params": ["br-int", "in_port=1"]}));
    }

    #[tokio::test]
    async fn a_refusal_and_an_answer_that_is_no_text_are_errors() {
        let (folder, listener) = daemon("4711");
        let mut unixctl = Unixctl::connect_in(folder.path()).await.unwrap();
        let (mut served, _) = listener.accept().await.unwrap();
        served
            .write_all(br#"{"id":0,"result":null,"error":"no such command"}{"id":1,"result":[]}"#)
            .await
            .unwrap();
        let refused = unixctl.call("what", &[]).await.unwrap_err();
        assert!(matches!(&refused, UnixctlError::Call(OvsError::Refused { .. })), "{refused}");
        assert!(refused.to_string().contains("no such command"), "{refused}");
        let shapeless = unixctl.call("what", &[]).await.unwrap_err();
        assert!(matches!(shapeless, UnixctlError::Call(OvsError::Shape(_))), "{shapeless}");
    }

    #[tokio::test]
    async fn a_daemon_that_hangs_holds_nobody_up() {
        let (folder, _listener) = daemon("4711");
        let mut unixctl = Unixctl::connect_in(folder.path()).await.unwrap();
        unixctl.limit = Duration::from_millis(10);
        let slow = unixctl.call("coverage/show", &[]).await.unwrap_err();
        assert!(matches!(&slow, UnixctlError::Slow { method, .. } if method == "coverage/show"), "{slow}");
    }

    #[tokio::test]
    async fn without_a_daemon_the_error_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Unixctl::connect_in(folder.path()).await.unwrap_err();
        assert!(missing.to_string().contains("ovs-vswitchd.pid"), "{missing}");
        for pid in ["", "\n", "../../x", "-1", "47114711471147114711"] {
            std::fs::write(folder.path().join("ovs-vswitchd.pid"), pid).unwrap();
            let bad = Unixctl::connect_in(folder.path()).await.unwrap_err();
            assert!(matches!(bad, UnixctlError::NoPid(_)), "{pid:?}: {bad}");
        }
        std::fs::write(folder.path().join("ovs-vswitchd.pid"), "4711").unwrap();
        let stale = Unixctl::connect_in(folder.path()).await.unwrap_err();
        assert!(matches!(stale, UnixctlError::Call(OvsError::Connect { .. })), "{stale}");
    }
}
