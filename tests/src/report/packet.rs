//! One packet's way from hook to hook, as `hoptrace packets --jsonl` prints it.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Direction;
use super::json::prints_as_json;

/// A packet at a hook.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayPoint {
    /// The hook.
    pub hook: String,
    /// When, in nanoseconds behind the first hook.
    pub at_ns: u64,
}

/// One packet's way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// Its direction.
    pub direction: Direction,
    /// What no hop changes of it.
    #[serde(serialize_with = "hexadecimal", deserialize_with = "from_hexadecimal")]
    pub identity: u64,
    /// Where it came from.
    #[serde(deserialize_with = "Option::deserialize")]
    pub source_port: Option<u16>,
    /// Where it went to.
    #[serde(deserialize_with = "Option::deserialize")]
    pub destination_port: Option<u16>,
    /// The hooks that it passed.
    pub hops: Vec<WayPoint>,
    /// Whether it is told as part of a sample.
    pub sampled: bool,
    /// Whether it is told because it was slow.
    pub slow: bool,
}

impl Packet {
    /// Reads what `hoptrace packets --jsonl` printed.
    ///
    /// # Errors
    /// Where a line is no packet, or a member of this is missing in it.
    pub fn read_all(printed: &[u8]) -> Result<Vec<Self>> {
        let lines = std::str::from_utf8(printed)?.lines();
        lines.map(|line| serde_json::from_str(line).with_context(|| format!("no packet: {line}"))).collect()
    }

    /// From the first hook to the last.
    ///
    /// # Errors
    /// Where it passed none.
    pub fn total_ns(&self) -> Result<u64> {
        Ok(self.hops.last().with_context(|| format!("no hops: {self}"))?.at_ns)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn hexadecimal<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:016x}"))
}

fn from_hexadecimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    u64::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(D::Error::custom)
}

prints_as_json!(WayPoint, Packet);

#[cfg(test)]
mod tests {
    use super::Packet;

    const LINE: &str = r#"{"direction":"egress","identity":"00000000000000ff","source_port":null,"destination_port":9,
        "hops":[{"hook":"tap","at_ns":0},{"hook":"qvb","at_ns":7}],"sampled":false,"slow":true,"more":1}"#;

    #[test]
    fn a_line_is_a_packet_and_says_all_of_it() {
        let line = LINE.replace('\n', "");
        let packets = Packet::read_all(format!("{line}\n{line}\n").as_bytes()).unwrap();
        assert_eq!((packets.len(), packets[0].identity, packets[1].total_ns().unwrap()), (2, 255, 7));
        for missing in ["\"direction\":", "\"source_port\":", "\"at_ns\":7", "\"slow\":"] {
            let other = line.replace(missing, "\"x\":");
            assert!(Packet::read_all(other.as_bytes()).is_err(), "{other}");
        }
    }
}
