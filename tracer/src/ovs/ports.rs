//! The ports of Open vSwitch's bridges, and which numbers they have in the datapath.

use super::{Unixctl, UnixctlError};
use crate::model::is_tunnel_type;

/// A port of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchPort {
    /// The bridge.
    pub bridge: String,
    /// Its name.
    pub name: String,
    /// Its `OpenFlow` number.
    pub ofport: i64,
    /// Its number in the datapath, which tunnels of a kind share; `None`: it is in no datapath, as patch ports are.
    pub number: Option<u32>,
    /// Its type: `system`, `internal`, `vxlan` …
    pub kind: String,
}

impl SwitchPort {
    /// Whether packets leave the host by it inside of others.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        is_tunnel_type(&self.kind)
    }
}

/// The ports of all bridges that share a datapath with this one.
///
/// # Errors
/// When `ovs-vswitchd` does not answer in time.
pub async fn switch_ports(daemon: &mut Unixctl, bridge: &str) -> Result<Vec<SwitchPort>, UnixctlError> {
    Ok(parse(&daemon.call("dpif/show", &[]).await?, bridge))
}

/// Below a line for each datapath a line for each bridge, and below that one for each port: `ens3 1/2: (system)`.
fn parse(text: &str, bridge: &str) -> Vec<SwitchPort> {
    let mut ports: Vec<SwitchPort> = Vec::new();
    let (mut at, mut is_here) = ("", false);
    for line in text.lines() {
        let words = line.trim();
        if line.len() == line.trim_start().len() {
            // Another datapath.
            if is_here {
                break;
            }
            ports.clear();
        } else if let Some(port) = port(at, words) {
            ports.push(port);
        } else if let Some(name) = words.strip_suffix(':') {
            at = name;
            is_here |= name == bridge;
        }
    }
    if is_here { ports } else { Vec::new() }
}

fn port(bridge: &str, line: &str) -> Option<SwitchPort> {
    let (name, rest) = line.split_once(' ')?;
    let (numbers, kind) = rest.split_once(": (")?;
    let (ofport, number) = numbers.split_once('/')?;
    let number = if number == "none" { None } else { Some(number.parse().ok()?) };
    let kind = kind.split_once([':', ')'])?.0;
    Some(SwitchPort {
        bridge: bridge.to_owned(),
        name: name.to_owned(),
        ofport: ofport.parse().ok()?,
        number,
        kind: kind.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Open vSwitch 3.1 says.
    const SHOWN: &str = "netdev@ovs-netdev: hit:0 missed:0
  br-phy:
    br-phy 65534/1: (tap)
    eth1 1/2: (system)
system@ovs-system: hit:91 missed:7
  br-ex:
    br-ex 65534/1: (internal)
    ens3 1/3: (system)
    phy-br-ex 2/none: (patch: peer=int-br-ex)
  br-int:
    br-int 65534/2: (internal)
    int-br-ex 1/none: (patch: peer=phy-br-ex)
    qvoc3d70d5c-a9 2/4: (system)
    vxlan-0a000002 3/5: (vxlan: key=flow, local_ip=10.0.0.1, remote_ip=10.0.0.2)
";

    fn told(ports: &[SwitchPort]) -> Vec<(&str, &str, i64, Option<u32>, &str)> {
        ports.iter().map(|port| (&*port.bridge, &*port.name, port.ofport, port.number, &*port.kind)).collect()
    }

    #[test]
    fn ports_are_those_of_the_bridge_s_own_datapath() {
        let ports = parse(SHOWN, "br-int");
        let expected = [
            ("br-ex", "br-ex", 65534, Some(1), "internal"),
            ("br-ex", "ens3", 1, Some(3), "system"),
            ("br-ex", "phy-br-ex", 2, None, "patch"),
            ("br-int", "br-int", 65534, Some(2), "internal"),
            ("br-int", "int-br-ex", 1, None, "patch"),
            ("br-int", "qvoc3d70d5c-a9", 2, Some(4), "system"),
            ("br-int", "vxlan-0a000002", 3, Some(5), "vxlan"),
        ];
        assert_eq!(told(&ports), expected);
        assert_eq!(told(&parse(SHOWN, "br-phy")).len(), 2);
        // Earlier versions indent by tabs.
        assert_eq!(parse(&SHOWN.replace("  ", "\t"), "br-int"), ports);
    }

    #[test]
    fn nonsense_is_no_port() {
        for text in [
            "",
            "br-int:",
            "x\n  br-int:\n    a\n    a b\n    a 1/2\n    a x/2: (y)\n    a 1/x: (y)\n    a 1: (y)",
        ] {
            assert!(parse(text, "br-int").is_empty(), "{text}");
        }
        assert!(parse(SHOWN, "br0").is_empty());
        let odd = parse("x\n  b:\n    d,r(op 1/2: (system)\n", "b");
        assert_eq!(told(&odd), [("b", "d,r(op", 1, Some(2), "system")]);
    }
}
