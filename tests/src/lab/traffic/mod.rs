//! Traffic from and to the wire with exact counts, on threads in the wire's network namespace.

mod pace;
mod tcp;
mod udp;
mod udp_sink;

pub use tcp::TcpSink;
pub use udp::{EchoReport, FloodReport};
pub use udp_sink::{SinkReport, UdpSink};

pub(crate) use pace::Pace;
