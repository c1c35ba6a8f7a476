//! One packet's way, as a line of text or JSON.

use std::net::SocketAddr;

use serde::Serialize;

use crate::model::PacketWay;

const SCHEMA: &str = "hoptrace.packet/1";

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    way: &'a PacketWay,
    identity: String,
}

/// One JSON object, without a line break. The identity is hexadecimal: JSON's numbers do not hold 64 bits everywhere.
#[must_use]
pub fn packet_json(way: &PacketWay) -> String {
    let line = Line { schema: SCHEMA, way, identity: format!("{:016x}", way.identity) };
    // Strings and numbers only: there is nothing that could fail.
    serde_json::to_string(&line).unwrap_or_default()
}

/// One line: when, which way, what, and the time from hook to hook.
#[must_use]
pub fn packet_text(way: &PacketWay) -> String {
    let flow = &way.flow;
    let end = |ip, port: Option<u16>| {
        port.map_or_else(|| format!("{ip}"), |port| SocketAddr::new(ip, port).to_string())
    };
    let mut line = format!(
        "{} {:7} {} > {} {} {} B ",
        time_of_day(way.time_ns),
        way.direction.name(),
        end(flow.source, flow.source_port),
        end(flow.destination, flow.destination_port),
        flow.protocol,
        way.len_bytes
    );
    let mut before_ns = 0;
    for point in &way.hops {
        if point.at_ns > 0 {
            line = line + " +" + &microseconds(point.at_ns - before_ns) + " ";
        }
        line.push_str(&point.hook);
        before_ns = point.at_ns;
    }
    line + &format!("  = {}", microseconds(before_ns))
}

fn microseconds(ns: u32) -> String {
    format!("{}.{} µs", ns / 1000, ns % 1000 / 100)
}

/// UTC, as tcpdump prints it with `TZ=UTC`.
fn time_of_day(time_ns: u64) -> String {
    let seconds = time_ns / 1_000_000_000 % 86_400;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, time_ns / 1000 % 1_000_000)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::model::{Direction, Flow, WayPoint};

    fn way() -> PacketWay {
        let point = |hook: &str, at_ns| WayPoint { hook: hook.to_owned(), at_ns };
        PacketWay {
            direction: Direction::Egress,
            identity: 0xfeed_0000_0000_0001,
            time_ns: (3 * 3600 + 25 * 60 + 45) * 1_000_000_000 + 123_456_789,
            len_bytes: 98,
            flow: Flow {
                protocol: "udp".to_owned(),
                source: IpAddr::from([10, 99, 99, 111]),
                destination: IpAddr::from([10, 99, 99, 1]),
                source_port: Some(4000),
                destination_port: Some(53),
            },
            hops: vec![point("tap", 0), point("qvb", 7_150), point("nic", 90_000)],
        }
    }

    #[test]
    fn a_line_of_text_has_the_time_of_each_segment() {
        assert_eq!(
            packet_text(&way()),
            "03:25:45.123456 egress  10.99.99.111:4000 > 10.99.99.1:53 udp 98 B tap +7.1 µs qvb +82.8 µs nic  = 90.0 µs"
        );
    }

    #[test]
    fn a_line_of_json_holds_the_whole_identity() {
        let line: serde_json::Value = serde_json::from_str(&packet_json(&way())).unwrap();
        assert_eq!(line["schema"], "hoptrace.packet/1");
        assert_eq!(line["identity"], "feed000000000001");
        assert_eq!(line["hops"][2]["at_ns"], 90_000);
    }
}
