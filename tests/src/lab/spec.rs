//! What is fixed about the lab: names and addresses, as Nova and Neutron would choose them.

/// One guest, before it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuestSpec {
    pub(crate) domain: &'static str,
    pub(crate) display_name: &'static str,
    pub(crate) uuid: &'static str,
    pub(crate) mac: &'static str,
    pub(crate) port_id: &'static str,
    pub(crate) ipv4: &'static str,
    pub(crate) ipv6: &'static str,
}

impl GuestSpec {
    /// Nova names interfaces after the first 11 characters of the port id.
    pub(crate) fn interface(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.port_id.get(..11).unwrap_or(self.port_id))
    }
}

/// The guests of every lab.
pub(crate) const GUESTS: [GuestSpec; 2] = [
    GuestSpec {
        domain: "instance-00000025",
        display_name: "yjwang-test-1",
        uuid: "9c45fce8-83d9-4518-9055-4df2899e23af",
        mac: "fa:16:3e:21:1b:4b",
        port_id: "c3d70d5c-a9aa-4bbb-8ccc-0123456789ab",
        ipv4: "10.99.99.111",
        ipv6: "fd00:10:99:99::111",
    },
    GuestSpec {
        domain: "instance-00000022",
        display_name: "yjwang-test-2",
        uuid: "1f0a7c52-6b0e-4c4e-9a53-7d1f3c0e5b62",
        mac: "fa:16:3e:5c:90:d2",
        port_id: "7be41f06-31d2-4e0f-b6a7-89abcdef0123",
        ipv4: "10.99.99.112",
        ipv6: "fd00:10:99:99::112",
    },
];

/// Name of the namespace of a guest that is one.
pub(crate) fn guest_netns(domain: &str) -> String {
    format!("guest-{domain}")
}

pub(crate) const INTEGRATION_BRIDGE: &str = "br-int";
pub(crate) const PROVIDER_BRIDGE: &str = "br-ex";
/// The patch port on the integration bridge.
pub(crate) const PATCH_INTEGRATION: &str = "int-br-ex";
/// The patch port on the provider bridge.
pub(crate) const PATCH_PROVIDER: &str = "phy-br-ex";
pub(crate) const NIC: &str = "ens3";
/// Neutron's VLAN for the network, local to this host.
pub(crate) const LOCAL_VLAN: u16 = 1;

pub(crate) const WIRE_NETNS: &str = "wire";
pub(crate) const WIRE_INTERFACE: &str = "wire0";
pub(crate) const WIRE_MAC: &str = "52:54:00:99:99:01";
pub(crate) const WIRE_IPV4: &str = "10.99.99.1";
pub(crate) const WIRE_IPV6: &str = "fd00:10:99:99::1";
pub(crate) const IPV4_PREFIX_BITS: u8 = 24;
pub(crate) const IPV6_PREFIX_BITS: u8 = 64;

/// Private folder of the lab, below its own `/run`.
pub(crate) const LAB_RUN_DIR: &str = "/run/hoptrace-lab";
