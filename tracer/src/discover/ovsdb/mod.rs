//! What databases that speak OVSDB's protocol say, for reading only: Open vSwitch's own, and OVN's southbound one.
//!
//! [`snapshot`] is what discovery needs of the first, `logical_ports` what it needs of the second. Column values are read into the `ovsdb` crate's `Set` and `Uuid`, behind a check of
//! their shape without which they panic (see `column`).

mod column;
mod snapshot;
mod southbound;
mod system;

pub use snapshot::{DATABASE, bridges_from_updates, monitor_requests, snapshot};
pub(super) use southbound::logical_ports;
