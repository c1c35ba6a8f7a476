//! Building the path and starting what runs on it, inside the lab's namespaces.

mod domain_xml;
mod kernel_switch;
mod libvirt;
mod links;
mod namespaces;
mod ovs;
mod veths;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub(super) use namespaces::quiet;
pub(super) use ovs::external_ids;

use super::{GuestImage, Lab, Progress, description, spec};

/// What plays the guests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Guests<'a> {
    /// Emulated VMs under libvirt.
    Libvirt(&'a GuestImage),
    /// Network namespaces with a NIC of their own, where emulation would be too slow: in a VM that is emulated itself.
    /// There is no libvirt; OVSDB alone knows the guests.
    Namespaces {
        /// The guest agent's program.
        agent: &'a Path,
    },
    /// One network namespace at the other end of a veth pair, whose near end stands for the tap: no process carries the
    /// frames, so the kernel is all that a flood meets. No agent runs in it; tests enter the namespace.
    Veths,
}

/// What stands between `qvo` and the NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    /// Open vSwitch, with Neutron's flows.
    Ovs,
    /// A Linux bridge; an `ovsdb-server` without `ovs-vswitchd` describes it as Neutron's integration bridge.
    Kernel,
}

/// Brings everything up; returns when the guests have reported that they are ready.
pub(crate) fn bring_up(
    guests: Guests<'_>,
    switch: Switch,
    log_dir: &Path,
    progress: Progress<'_>,
) -> Result<Lab> {
    let mut lab = describe(guests, switch, log_dir)?;
    std::thread::scope(|scope| {
        // libvirtd takes the longest to start and needs nothing of the rest.
        let daemons = scope.spawn(|| match guests {
            Guests::Libvirt(_) => libvirt::start_daemons(log_dir),
            Guests::Namespaces { .. } | Guests::Veths => Ok(()),
        });
        links::quiet_host()?;
        links::create_wire(&lab)?;
        for guest in &lab.guests {
            links::create_hybrid_plug(guest)?;
        }
        match switch {
            Switch::Ovs => {
                ovs::start(log_dir)?;
                ovs::configure(&lab)?;
            }
            Switch::Kernel => kernel_switch::start(&lab)?,
        }
        progress("the switch and the path are up");
        daemons.join().map_err(|_| anyhow::anyhow!("starting libvirt panicked"))?
    })?;
    match guests {
        Guests::Libvirt(image) => {
            progress("libvirt is up");
            libvirt::boot_guests(&lab, image, progress)?;
        }
        Guests::Namespaces { agent } => namespaces::start_guests(&mut lab, agent)?,
        Guests::Veths => veths::start_guests(&mut lab)?,
    }
    links::verify_quiet(&lab)?;
    Ok(lab)
}

/// Brings everything up where nothing is there yet and nothing has to be left: on a machine that ends with the lab. Gives
/// the description's path.
pub(crate) fn bring_up_for_good(guests: Guests<'_>, progress: Progress<'_>) -> Result<PathBuf> {
    let log_dir = Path::new(spec::LAB_RUN_DIR).join("log");
    for folder in [log_dir.as_path(), Path::new("/etc/openvswitch"), Path::new("/run/netns")] {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let lab = bring_up(guests, Switch::Ovs, &log_dir, progress)?;
    let description = Path::new(spec::LAB_RUN_DIR).join("lab.json");
    lab.store(&description)?;
    Ok(description)
}

fn describe(guests: Guests<'_>, switch: Switch, log_dir: &Path) -> Result<Lab> {
    let count = if matches!(guests, Guests::Veths) { 1 } else { spec::GUESTS.len() };
    let guests = spec::GUESTS.iter().take(count).map(description_of).collect::<Result<Vec<_>>>()?;
    Ok(Lab {
        guests,
        nic: spec::NIC.into(),
        wire: description::Wire {
            netns: spec::WIRE_NETNS.into(),
            interface: spec::WIRE_INTERFACE.into(),
            mac: spec::WIRE_MAC.into(),
            ipv4: spec::WIRE_IPV4.parse()?,
            ipv6: spec::WIRE_IPV6.parse()?,
        },
        integration_bridge: spec::INTEGRATION_BRIDGE.into(),
        provider_bridge: spec::PROVIDER_BRIDGE.into(),
        patch_integration: spec::PATCH_INTEGRATION.into(),
        patch_provider: spec::PATCH_PROVIDER.into(),
        local_vlan: spec::LOCAL_VLAN,
        datapath: match switch {
            Switch::Ovs => ovs::datapath().into(),
            Switch::Kernel => kernel_switch::DATAPATH.into(),
        },
        log_dir: log_dir.into(),
    })
}

fn description_of(guest: &spec::GuestSpec) -> Result<description::Guest> {
    Ok(description::Guest {
        domain: guest.domain.into(),
        display_name: guest.display_name.into(),
        uuid: guest.uuid.into(),
        mac: guest.mac.into(),
        port_id: guest.port_id.into(),
        ipv4: guest.ipv4.parse()?,
        ipv6: guest.ipv6.parse()?,
        tap: guest.interface("tap"),
        qbr: guest.interface("qbr"),
        qvb: guest.interface("qvb"),
        qvo: guest.interface("qvo"),
        control_socket: Path::new(spec::LAB_RUN_DIR).join(format!("{}.control", guest.domain)),
        nic_pid: None,
        netns: None,
    })
}
