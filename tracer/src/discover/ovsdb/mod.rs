//! A small OVSDB client (RFC 7047): JSON-RPC over a Unix socket or TCP, for reading only.
//!
//! [`snapshot`] is what discovery needs. [`Client`] is underneath: it answers the server's `echo` probes, keeps
//! update notifications that arrive between answers, and bounds the size of what it reads. The reader of column values is
//! our own: those of the `ovsdb` crate panic on malformed input such as `["set"]`.

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
