//! What Open vSwitch's database says, for reading only.
//!
//! [`snapshot`] is what discovery needs. Column values are read into the `ovsdb` crate's `Set` and `Uuid`, behind a check of
//! their shape without which they panic (see `column`).

mod column;
mod snapshot;

pub use snapshot::{DATABASE, bridges_from_updates, monitor_requests, snapshot};
