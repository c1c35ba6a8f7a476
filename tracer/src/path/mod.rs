//! Finds the packet path of one port. Pure: [`Topology`](crate::model::Topology) and a handle go in, a
//! [`Path`](crate::model::Path) comes out, so every layout and everything that can be wrong with it is a unit test.
//!
//! [`ports`] joins what libvirt and OVSDB know of each port, [`resolve`] finds the one a handle means, a layout
//! (`layouts/`) walks from it to the wire, and `defects.rs` adds what is wrong with the interfaces it walked over.

mod beside;
mod bond;
mod close;
mod command;
mod defects;
mod error;
mod layouts;
mod leftovers;
mod limits;
mod list;
mod network;
mod plug;
mod ports;
mod resolve;
#[cfg(test)]
pub(crate) mod testing;
mod trunk;
mod tunnel;
mod uplink;
mod walk;

pub use error::PathError;
pub use layouts::{find, hybrid::hybrid_hop, path_of};
pub use leftovers::leftovers;
pub use list::list;
pub(crate) use network::{is_same as is_same_network, tag_on_wire};
pub use ports::ports;
pub use resolve::resolve;
pub(crate) use uplink::is_uplink as leads_out;
