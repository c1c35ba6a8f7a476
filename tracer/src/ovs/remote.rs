//! Where OVSDB listens, in OVS's own notation.

use std::{fmt, path::PathBuf, str::FromStr};

/// A place OVSDB listens at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// `unix:PATH`
    Unix(PathBuf),
    /// `tcp:HOST:PORT`; an IPv6 address in brackets.
    Tcp {
        /// A name or address.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Remote {
    /// Where OVSDB listens by default: the Unix socket, else the TCP port containerised deployments open.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::Unix("/var/run/openvswitch/db.sock".into()),
            Self::Unix("/run/openvswitch/db.sock".into()),
            Self::Tcp { host: "127.0.0.1".to_owned(), port: 6640 },
        ]
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}

/// The text is not a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an OVSDB remote: unix:PATH or tcp:HOST:PORT")]
pub struct ParseRemoteError;

impl FromStr for Remote {
    type Err = ParseRemoteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let (host, port) =
            text.strip_prefix("tcp:").and_then(|rest| rest.rsplit_once(':')).ok_or(ParseRemoteError)?;
        let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => inner,
            None if host.contains([':', '[', ']']) => return Err(ParseRemoteError),
            None => host,
        };
        let port = port.parse().map_err(|_| ParseRemoteError)?;
        if host.is_empty() { Err(ParseRemoteError) } else { Ok(Self::Tcp { host: host.to_owned(), port }) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn remotes_parse_and_print() {
        for text in
            ["unix:/run/openvswitch/db.sock", "tcp:127.0.0.1:6640", "tcp:[::1]:6640", "tcp:db.example:1"]
        {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "unix:",
            "/run/db.sock",
            "tcp:",
            "tcp:6640",
            "tcp::6640",
            "tcp:h:99999",
            "tcp:::1:6640",
            "ssl:h:1",
        ] {
            assert_eq!(bad.parse::<Remote>(), Err(ParseRemoteError), "{bad}");
        }
    }
}
