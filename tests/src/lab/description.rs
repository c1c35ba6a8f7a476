//! What a running lab consists of, as the commands inside see it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::exec;

/// Environment variable that holds the path of the description, a JSON file.
pub const LAB_ENV: &str = "HOPTRACE_LAB";

/// A running lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lab {
    /// The guests, `yjwang-test-1` first.
    pub guests: Vec<Guest>,
    /// The provider NIC, a port of the provider bridge.
    pub nic: String,
    /// The outside world.
    pub wire: Wire,
    /// Neutron's integration bridge.
    pub integration_bridge: String,
    /// The bridge that holds the provider NIC.
    pub provider_bridge: String,
    /// Patch port of the integration bridge towards the provider bridge.
    pub patch_integration: String,
    /// Its peer on the provider bridge.
    pub patch_provider: String,
    /// VLAN tag of the guests' ports on the integration bridge.
    pub local_vlan: u16,
    /// OVS datapath: `system` (kernel) or `netdev` (userspace); `bridge` where a Linux bridge stands for OVS.
    pub datapath: String,
    /// Folder on disk with the lab's logs.
    pub log_dir: PathBuf,
}

/// A guest of the lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guest {
    /// libvirt domain name, as `instance-00000025`.
    pub domain: String,
    /// Nova display name, as `yjwang-test-1`.
    pub display_name: String,
    /// Instance UUID.
    pub uuid: String,
    /// Address of the guest's `eth0`.
    pub mac: String,
    /// Neutron port id.
    pub port_id: String,
    /// Fixed IPv4 address.
    pub ipv4: Ipv4Addr,
    /// IPv6 address, static in the guest.
    pub ipv6: Ipv6Addr,
    /// Interface made by libvirt.
    pub tap: String,
    /// Linux bridge of the hybrid plug.
    pub qbr: String,
    /// veth end on the Linux bridge.
    pub qvb: String,
    /// veth end on the integration bridge.
    pub qvo: String,
    /// Unix socket of the guest agent's control serial port; one client at a time.
    pub control_socket: PathBuf,
    /// Where the guest is a namespace: the process that takes frames from the tap. It can be stopped and continued.
    pub nic_pid: Option<u32>,
    /// Where the guest is a namespace: its name, as `ip netns` knows it.
    pub netns: Option<String>,
}

/// The network namespace at the far end of the provider NIC.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wire {
    /// Name, as `ip netns` knows it.
    pub netns: String,
    /// Its one interface.
    pub interface: String,
    /// Hardware address of that interface.
    pub mac: String,
    /// IPv4 address.
    pub ipv4: Ipv4Addr,
    /// IPv6 address.
    pub ipv6: Ipv6Addr,
}

impl Wire {
    /// The namespace as a file.
    #[must_use]
    pub fn netns_path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.netns)
    }
}

impl Lab {
    /// The lab this process runs in.
    ///
    /// # Errors
    /// Where [`LAB_ENV`] is not set (not inside a lab), or does not name a readable description.
    pub fn from_env() -> Result<Self> {
        let path = std::env::var_os(LAB_ENV)
            .with_context(|| format!("not in a lab: {LAB_ENV} is not set (cargo xtask lab run -- CMD)"))?;
        Self::load(Path::new(&path))
    }

    /// Reads a description.
    ///
    /// # Errors
    /// Where the file cannot be read or is not a description.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))
    }

    pub(crate) fn store(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    /// A guest by display name, domain name, port id or address.
    ///
    /// # Errors
    /// Where no guest has that name.
    pub fn guest(&self, name: &str) -> Result<&Guest> {
        self.guests
            .iter()
            .find(|guest| {
                [&guest.display_name, &guest.domain, &guest.port_id, &guest.uuid].iter().any(|n| *n == name)
                    || guest.ipv4.to_string() == name
            })
            .with_context(|| format!("the lab has no guest {name}"))
    }

    /// A command that will run in the wire's network namespace.
    #[must_use]
    pub fn wire<I, S>(&self, program: &str, args: I) -> std::process::Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        let mut command = exec::command("nsenter");
        command.arg(format!("--net={}", self.wire.netns_path().display())).arg("--").arg(program).args(args);
        command
    }

    /// The interfaces of a guest's path that have a netdev, from the VM to the wire.
    #[must_use]
    pub fn path_interfaces<'a>(&'a self, guest: &'a Guest) -> [&'a str; 4] {
        [&guest.tap, &guest.qvb, &guest.qvo, &self.nic]
    }
}
