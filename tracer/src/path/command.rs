//! Commands that people are told to run.

use crate::model::BridgeMappings;

/// What takes the port `port` off `bridge`; `None` where a name holds what a shell would take for something else: then none is printed.
pub(super) fn del_port(bridge: &str, port: &str) -> Option<String> {
    (is_plain(bridge) && is_plain(port)).then(|| format!("ovs-vsctl del-port {bridge} {port}"))
}

/// What tells OVN's controller by which bridge it reaches `network`, beside the others; the bridge is to be put in.
pub(super) fn map_network(mappings: &BridgeMappings, network: &str) -> Option<String> {
    let pairs: Vec<_> = mappings.pairs().chain([(network, "BRIDGE")]).collect();
    let are_plain = pairs.iter().all(|(network, bridge)| is_plain(network) && is_plain(bridge));
    let list =
        pairs.iter().map(|(network, bridge)| format!("{network}:{bridge}")).collect::<Vec<_>>().join(",");
    are_plain.then(|| format!("ovs-vsctl set Open_vSwitch . external_ids:ovn-bridge-mappings={list}"))
}

/// Whether a name is the same word to every shell, and no option.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:@+-".contains(&byte);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_shell_would_read_otherwise_is_in_no_command() {
        assert_eq!(del_port("br-int", "qvo1.5").as_deref(), Some("ovs-vsctl del-port br-int qvo1.5"));
        for name in ["x;reboot", "$(id)", "`id`", "a b", "-all", "", "a|b", "a&", "x\n", "#x", "ä"] {
            assert_eq!(del_port("br-int", name), None, "{name}");
            assert_eq!(del_port(name, "x"), None, "{name}");
            assert_eq!(map_network(&BridgeMappings::default(), name), None, "{name}");
        }
    }

    #[test]
    fn a_network_is_mapped_beside_the_others() {
        let mappings = BridgeMappings::parse("physnet1:br-ex,physnet2:br-two");
        let set = "ovs-vsctl set Open_vSwitch . external_ids:ovn-bridge-mappings=";
        let all = format!("{set}physnet1:br-ex,physnet2:br-two,physnet3:BRIDGE");
        assert_eq!(map_network(&mappings, "physnet3"), Some(all));
        assert_eq!(map_network(&BridgeMappings::default(), "public"), Some(format!("{set}public:BRIDGE")));
        assert_eq!(map_network(&BridgeMappings::parse("a b:br-ex"), "public"), None);
    }
}
