//! Which addresses an Open vSwitch bridge has learned, and behind which of its ports.

use super::{Unixctl, UnixctlError};
use crate::model::MacAddr;

/// The number of a bridge's own port.
const LOCAL: i64 = 65534;

/// An address behind a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// The port's `OpenFlow` number.
    pub ofport: i64,
    /// The VLAN it was learned in; 0 for none.
    pub vlan: u16,
    /// The address.
    pub mac: MacAddr,
}

/// What the bridge's table of addresses holds: what `NORMAL` has learned. Other rules teach it nothing.
///
/// # Errors
/// When `ovs-vswitchd` does not answer in time.
pub async fn learned(daemon: &mut Unixctl, bridge: &str) -> Result<Vec<Learned>, UnixctlError> {
    Ok(parse(&daemon.call("fdb/show", &[bridge]).await?))
}

/// Lines of port, VLAN, address and age, below a heading.
fn parse(text: &str) -> Vec<Learned> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let ofport = match words.next()? {
            "LOCAL" => LOCAL,
            number => number.parse().ok()?,
        };
        let vlan = words.next()?.parse().ok()?;
        Some(Learned { ofport, vlan, mac: words.next()?.parse().ok()? })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_addresses_are_read_and_the_rest_is_not() {
        let text = " port  VLAN  MAC                Age\n    5     1  fa:16:3e:21:1b:4b    3\nLOCAL     0  \
                    02:00:00:00:00:01    0\n    x     1  fa:16:3e:21:1b:4c    3\n    7     1  nonsense 3\n";
        let found = parse(text);
        let expected = [(5, 1, "fa:16:3e:21:1b:4b"), (LOCAL, 0, "02:00:00:00:00:01")]
            .map(|(ofport, vlan, mac)| Learned { ofport, vlan, mac: mac.parse().unwrap() });
        assert_eq!(found, expected);
    }
}
