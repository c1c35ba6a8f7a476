//! What can go wrong when asking one of the daemons.

use super::Remote;

/// A daemon of Open vSwitch could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum OvsError {
    /// There is no listener, or no permission to connect.
    #[error("{remote}: {source}")]
    Connect {
        /// Where.
        remote: Remote,
        /// Why.
        source: std::io::Error,
    },
    /// None of several remotes could be connected to.
    #[error("not reachable ({})", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unreachable(Vec<OvsError>),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// The server hung up.
    #[error("the server closed the connection")]
    Closed,
    /// The peer does not speak JSON-RPC.
    #[error("malformed JSON from the server: {0}")]
    Json(String),
    /// A message beyond the bound.
    #[error("a message of more than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// The server refused a request.
    #[error("the server refused `{method}`: {error}")]
    Refused {
        /// The request.
        method: String,
        /// The server's words, escaped.
        error: String,
    },
    /// An answer of an unexpected shape.
    #[error("unexpected answer: {0}")]
    Shape(String),
}
