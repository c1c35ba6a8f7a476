//! A small OVSDB client (RFC 7047): JSON-RPC over a Unix socket or TCP, for reading only.
//!
//! [`snapshot`] is what discovery needs. [`Client`] is underneath: it answers the server's `echo` probes, keeps
//! update notifications that arrive between answers, and bounds the size of what it reads.
//!
//! Column values are read into the `ovsdb` crate's `Set` and `Uuid`, behind a check of their shape without which they
//! panic (see `column`). Its codec and messages are not used: the codec prints every message to stdout and miscounts
//! escaped quotes, the requests know no `monitor_cond`, and the responses take no ids but UUIDs and no errors but strings.

mod client;
mod codec;
mod column;
mod error;
mod remote;
mod snapshot;

pub use client::{Client, Update};
pub use codec::{JsonCodec, MAX_MESSAGE_BYTES};
pub use error::OvsdbError;
pub use remote::{ParseRemoteError, Remote};
pub use snapshot::{DATABASE, bridges_from_updates, monitor_requests, snapshot};
