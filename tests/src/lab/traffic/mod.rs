//! Traffic from and to the wire with exact counts, on threads in the wire's network namespace.
//!
//! Paced traffic ([`Lab::wire_udp_flood`](super::Lab::wire_udp_flood), [`Guest::send_udp`](super::Guest::send_udp)) may lose
//! packets where the machine is busy: the sockets with which the userspace datapath receives hold a few hundred. Where
//! nothing may be lost, use the `…_exact` methods, whose sender waits for the receiver.

mod exact;
mod flood;
mod pace;
mod ping;
mod round_trips;
mod tcp;
mod udp;
mod udp_sink;

pub use flood::Flood;
pub use round_trips::{Load, Trips};
pub use tcp::TcpSink;
pub use udp::{EchoReport, FloodReport};
pub use udp_sink::{SinkReport, UdpSink};

pub(crate) use pace::Pace;
