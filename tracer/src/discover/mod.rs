//! Asks every source about this host, all at once (OVN's southbound database behind OVSDB, which tells its place), and joins the answers into a
//! [`Topology`](crate::model::Topology).
//!
//! One file per source. A source that is missing, slow or hostile is noted in the topology's
//! [`SourceStatus`](crate::model::SourceStatus) and the others go on. Nothing is ever written to any of them.

mod ask;
mod domain_xml;
#[cfg(feature = "libvirt")]
mod libvirt;
mod namespaces;
mod netlink;
pub mod ovsdb;
mod routes;
mod southbound;
mod survey;

pub use ask::SOURCE_TIME_LIMIT;
pub use domain_xml::{DomainXmlError, parse as parse_domain_xml};
#[cfg(feature = "libvirt")]
pub use libvirt::LibvirtError;
pub use netlink::{NetlinkError, links};
pub use survey::{DEFAULT_LIBVIRT_URI, Sources, discover};
