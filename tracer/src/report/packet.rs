//! One packet's way, as a line of text or JSON.

use std::{
    fmt,
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::PacketWay;

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
enum PacketSchema {
    /// The first.
    #[serde(rename = "hoptrace.packet/1")]
    V1,
}

/// One packet that reached the end of its way.
#[derive(Serialize, JsonSchema)]
pub(super) struct PacketLine<'a> {
    /// Which version it is.
    schema: PacketSchema,
    #[serde(flatten)]
    way: &'a PacketWay<'a>,
}

/// Appends one JSON object, without a line break.
pub fn packet_json(way: &PacketWay<'_>, text: &mut Vec<u8>) {
    let line = PacketLine { schema: PacketSchema::V1, way };
    // Strings and numbers into memory: there is nothing that could fail.
    let _ = serde_json::to_writer(text, &line);
}

/// Appends one line, without its break: when, which way, what, and the time from hook to hook.
pub fn packet_text(way: &PacketWay<'_>, text: &mut Vec<u8>) {
    // Writing into memory does not fail.
    let _ = write_text(way, text);
}

fn write_text(way: &PacketWay<'_>, text: &mut Vec<u8>) -> io::Result<()> {
    let flow = &way.flow;
    write!(text, "{} {:7} ", TimeOfDay(way.time_ns), way.direction.name())?;
    write_end(text, flow.source, flow.source_port)?;
    write!(text, " > ")?;
    write_end(text, flow.destination, flow.destination_port)?;
    write!(text, " {} {} B ", flow.protocol, way.len_bytes)?;
    let mut before_ns = 0;
    for point in &way.hops {
        if point.at_ns > 0 {
            write!(text, " +{} ", Microseconds(point.at_ns - before_ns))?;
        }
        text.write_all(point.hook.as_bytes())?;
        before_ns = point.at_ns;
    }
    write!(text, "  = {}", Microseconds(before_ns))?;
    if way.upcall { write!(text, "  upcall") } else { Ok(()) }
}

fn write_end(text: &mut Vec<u8>, ip: IpAddr, port: Option<u16>) -> io::Result<()> {
    match port {
        Some(port) => write!(text, "{}", SocketAddr::new(ip, port)),
        None => write!(text, "{ip}"),
    }
}

struct Microseconds(u32);

impl fmt::Display for Microseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} µs", self.0 / 1000, self.0 % 1000 / 100)
    }
}

/// An address, with its port if there is one.
pub(super) fn end(ip: IpAddr, port: Option<u16>) -> String {
    match port {
        Some(port) => SocketAddr::new(ip, port).to_string(),
        None => ip.to_string(),
    }
}

/// The time of day of nanoseconds since 1970: UTC, as tcpdump prints it with `TZ=UTC`.
pub(super) fn time_of_day(time_ns: u64) -> String {
    TimeOfDay(time_ns).to_string()
}

struct TimeOfDay(u64);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000_000 % 86_400;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, self.0 / 1000 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::trace_samples::packet;

    fn written(format: fn(&PacketWay<'_>, &mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        format(&packet(), &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_of_text_has_the_time_of_each_segment() {
        assert_eq!(
            written(packet_text),
            "03:25:45.123456 egress  10.99.99.111:4000 > 10.99.99.1:53 udp 98 B tap +7.1 µs qvb +82.8 µs nic  = 90.0 µs"
        );
    }

    #[test]
    fn a_line_of_json_holds_the_whole_identity() {
        let line: serde_json::Value = serde_json::from_str(&written(packet_json)).unwrap();
        assert_eq!(line["schema"], "hoptrace.packet/1");
        assert_eq!(line["identity"], "feed000000000001");
        assert_eq!(line["hops"][2]["at_ns"], 90_000);
        assert_eq!((&line["sampled"], &line["slow"]), (&false.into(), &true.into()));
    }
}
