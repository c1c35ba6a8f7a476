//! Firewalls on `qbr`: security groups and bridge rules.

use super::scene::both_ways;
use super::{Cause, Expected, Fault, Scene, Why};
use crate::lab::Trap;
use anyhow::Result;

const NETFILTER: Cause = Cause::new(&[((6, 1), Why::Core("NETFILTER_DROP"))]);
/// On its way out a packet dies between tap and qvb, on its way in between qvb and tap.
const AT_QBR: &[Expected] = &[Expected::egress("tap", NETFILTER), Expected::ingress("qvb", NETFILTER)];

pub(super) const FAULTS: &[Fault] = &[
    Fault::new("security group drop", |scene| security_group(scene, "DROP"), both_ways, AT_QBR).anywhere(),
    Fault::new("security group reject", |scene| security_group(scene, "REJECT"), both_ways, AT_QBR)
        .anywhere(),
    Fault::new(
        "ebtables drop",
        |scene| {
            let rule = |action: &str| {
                format!("ebtables-nft {action} FORWARD -p IPv4 --ip-proto udp --ip-dport $port -j DROP")
            };
            Ok(vec![scene.trap(&rule("-A"), &rule("-D"))?])
        },
        both_ways,
        AT_QBR,
    )
    .anywhere(),
    Fault::new(
        "nft bridge drop",
        |scene| {
            Ok(vec![scene.trap(
                "nft add table bridge fault
                 nft add chain bridge fault forward '{ type filter hook forward priority filter; }'
                 nft add rule bridge fault forward ether type ip udp dport $port drop",
                "nft delete table bridge fault",
            )?])
        },
        both_ways,
        AT_QBR,
    ),
];

/// Takes the chains of a security group away.
const REMOVE: &str = "iptables -D FORWARD -j neutron-openvswi-FORWARD
    for chain in FORWARD sg-chain i$id o$id; do iptables -F neutron-openvswi-$chain; done
    for chain in FORWARD sg-chain i$id o$id; do iptables -X neutron-openvswi-$chain; done";

/// Chains and rules as Neutron's hybrid firewall makes them for one port, with a rule that takes the doomed.
fn security_group(scene: &Scene<'_>, verdict: &str) -> Result<Vec<Trap>> {
    let rules = format!(
        "iptables-restore --noflush <<END
*filter
:neutron-openvswi-FORWARD - [0:0]
:neutron-openvswi-sg-chain - [0:0]
:neutron-openvswi-i$id - [0:0]
:neutron-openvswi-o$id - [0:0]
-A FORWARD -j neutron-openvswi-FORWARD
-A neutron-openvswi-FORWARD -m physdev --physdev-out $tap --physdev-is-bridged -j neutron-openvswi-sg-chain
-A neutron-openvswi-FORWARD -m physdev --physdev-in $tap --physdev-is-bridged -j neutron-openvswi-sg-chain
-A neutron-openvswi-sg-chain -m physdev --physdev-out $tap --physdev-is-bridged -j neutron-openvswi-i$id
-A neutron-openvswi-sg-chain -m physdev --physdev-in $tap --physdev-is-bridged -j neutron-openvswi-o$id
-A neutron-openvswi-sg-chain -j ACCEPT
-A neutron-openvswi-i$id -p udp --dport $port -j {verdict}
-A neutron-openvswi-i$id -j RETURN
-A neutron-openvswi-o$id -p udp --dport $port -j {verdict}
-A neutron-openvswi-o$id -j RETURN
COMMIT
END"
    );
    Ok(vec![scene.trap(&rules, REMOVE)?])
}
