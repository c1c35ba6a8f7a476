//! Another host at the far end of a VXLAN tunnel: the lab's NIC is there, so that the wire is behind the tunnel.

use super::Lab;

/// The interface by which this host sends to the other one.
pub const UNDERLAY: &str = "und0";
/// Its address.
pub const HERE: &str = "192.0.2.1";
/// The other host's.
pub const THERE: &str = "192.0.2.2";
/// The network's number on the wire.
pub const VNI: u32 = 77;
/// The other host.
const NETNS: &str = "other";

/// The commands that move the NIC there, out of the provider bridge, and those that bring it back.
#[must_use]
pub fn commands(lab: &Lab) -> (String, String) {
    let (nic, provider) = (&lab.nic, &lab.provider_bridge);
    let there = format!("ip -n {NETNS}");
    let set = format!(
        "ovs-vsctl del-port {provider} {nic}
         ip netns add {NETNS}
         ip link set {nic} netns {NETNS}
         ip link add {UNDERLAY} type veth peer name und1 netns {NETNS}
         ip link set {UNDERLAY} addrgenmode none mtu 1600 up; {there} link set und1 addrgenmode none mtu 1600 up
         ip address add {HERE}/24 dev {UNDERLAY}; {there} address add {THERE}/24 dev und1
         {there} link add tunnel type vxlan id {VNI} dev und1 remote {HERE} dstport 4789
         {there} link add switch type bridge
         for port in {nic} tunnel; do {there} link set $port master switch; done
         for link in {nic} tunnel switch; do {there} link set $link addrgenmode none up; done
        "
    );
    let remove = format!(
        "{there} link set {nic} netns $$; ip netns del {NETNS}; ip link del {UNDERLAY}; ip link set {nic} up
         ovs-vsctl add-port {provider} {nic}
        "
    );
    (set, remove)
}
