//! A compute node on one machine: `ovsdb-server`, `ovs-vswitchd`, `virtlogd`, `libvirtd` and two emulated guests on the
//! hybrid provider path, with a `wire` network namespace as the outside world.
//!
//! ```text
//!  guest ── tapX ── qbrX ── qvbX ═ qvoX ── br-int ─int-br-ex ⇄ phy-br-ex─ br-ex ── ens3 ═ wire0 (netns wire)
//! ```
//!
//! - [`Runner`] starts a lab around a command, from outside: it makes the namespaces by re-executing the running
//!   program, which must call [`sandbox::run_stage`] for its hidden entry point.
//! - [`Lab::from_env`] is how a command inside finds out where everything is.
//!
//! In a test VM (`vm`) the same path stands on the kernel's OVS datapath, without libvirt: each guest is a network
//! namespace behind a tap device. Tests name a guest by its port id, which both know, and need not tell them apart.
//!
//! The kernel path ([`Runner::kernel_path`]) has no VM, no libvirt and no `ovs-vswitchd`, for what needs packets in millions:
//!
//! ```text
//!  eth0 (netns) ═ tapX ── qbrX ── qvbX ═ qvoX ── br-int (Linux bridge) ── ens3 ═ wire0 (netns wire)
//! ```
//!
//! Everything lives in mount, network and PID namespaces of its own. The first process of the PID namespace dies with
//! the runner, and everything in the lab with it, so there is no clean-up that could be missed.
//!
//! **What crosses the path** is what guests and wire send, and ARP. IPv6 is off on the host side, spanning tree and
//! multicast snooping are off on the bridges, guests and wire use fixed addresses without duplicate detection, router
//! solicitation or link-local addresses. ARP is real: an entry counts as fresh for 15–45 s (random), then the next use
//! sends up to three unicast ARP probes after 5 s unless TCP confirmed the peer; below 128 entries none is evicted. So a
//! test of exact ICMP or UDP counts must filter on the protocol or allow for single ARP exchanges.

pub(crate) mod bringup;
mod control;
mod counts;
mod crowd;
mod datapath;
mod description;
mod image;
mod netns;
pub mod overlay;
pub mod ovn;
mod plug;
pub mod sandbox;
mod spec;
mod traffic;
mod trap;

pub(crate) use bringup::{Guests, Switch};
pub use control::{PingReport, SendReport, SinkCount};
pub use counts::InterfaceCounts;
pub use crowd::Crowd;
pub use datapath::DatapathCounts;
pub use description::{Guest, LAB_ENV, Lab, Wire};
pub(crate) use image::AGENT;
pub use image::GuestImage;
pub use sandbox::{Folders, Runner, Session};
pub(crate) use traffic::Pace;
pub use traffic::{EchoReport, Flood, FloodReport, Load, SinkReport, TcpSink, Trips, UdpSink};
pub use trap::Trap;

/// Where a step reports that it is done; xtask prints it.
pub type Progress<'a> = &'a dyn Fn(&str);
