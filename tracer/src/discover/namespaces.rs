//! Links in other network namespaces that ports of Open vSwitch are, or lead to, and those that ports of the VMs' Linux bridges lead to: DHCP,
//! metadata and router ports.
//!
//! A thread of its own enters each namespace that `ip netns` or a process of this host has, and lists the links there. Nothing
//! is asked unless a port has no link here, and no more than it takes to find all of them.

use std::{
    collections::HashSet,
    fs::{self, File},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::netlink;
use crate::model::{IfIndex, Link, LinkAway, LinkKind, MacAddr, Namespace, OvsInterface, Topology, VethPeer};

/// Where `ip netns` keeps its names.
const NAMED: &str = "/run/netns";
/// More namespaces than this are not entered.
const MAX_NAMESPACES: usize = 4096;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    /// The OVS interface, or the port of a Linux bridge.
    of: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// The interface itself, moved away: by its name, or by its address where it has another name there.
    Moved(Option<MacAddr>),
    /// The other end of a veth whose index is the second one.
    Peer(IfIndex, IfIndex),
}

/// The links away, in no particular order.
pub(super) fn links_away(topology: &Topology) -> Vec<LinkAway> {
    let mut wanted: Vec<Wanted> =
        topology.ovs_interfaces().filter_map(|place| wanted(topology, place.interface)).collect();
    wanted.extend(beside_vms(topology));
    let mut found = Vec::new();
    if wanted.is_empty() {
        return found;
    }
    let here = fs::metadata("/proc/thread-self/ns/net").map(|here| here.ino()).ok();
    let mut seen: HashSet<u64> = here.into_iter().collect();
    for (name, file) in named().chain(of_processes()) {
        if wanted.is_empty() || seen.len() > MAX_NAMESPACES {
            break;
        }
        let Ok(inode) = fs::metadata(&file).map(|file| file.ino()) else { continue };
        if !seen.insert(inode) {
            continue;
        }
        let Ok(inum) = u32::try_from(inode) else { continue };
        let links = links_in(&file);
        let namespace = Namespace { name, file, inum };
        wanted.retain(|wanted| {
            let link = links.iter().find(|link| wanted.is(link));
            found.extend(link.map(|link| LinkAway {
                link: link.clone(),
                namespace: namespace.clone(),
                of: wanted.of.clone(),
            }));
            link.is_none()
        });
    }
    found
}

/// The ports of Linux bridges that a VM's tap is a port of, too, and that lead to another namespace.
fn beside_vms(topology: &Topology) -> impl Iterator<Item = Wanted> {
    let taps = topology.instances.iter().flat_map(|instance| &instance.interfaces);
    let taps = taps.filter_map(|interface| topology.link(interface.tap.as_deref()?));
    let bridges: HashSet<IfIndex> = taps.filter_map(|tap| tap.master).collect();
    topology
        .links()
        .iter()
        .filter(move |link| link.master.is_some_and(|it| bridges.contains(&it)))
        .filter_map(|link| match link.peer {
            Some(VethPeer::OtherNamespace(peer)) => {
                Some(Wanted { of: link.name.clone(), what: What::Peer(peer, link.index) })
            }
            _ => None,
        })
}

fn wanted(topology: &Topology, interface: &OvsInterface) -> Option<Wanted> {
    let link = topology.link(&interface.name);
    let what = match (interface.kind.as_str(), link) {
        // One that Open vSwitch could not open is nowhere.
        ("internal", None) if interface.ofport.is_some_and(|ofport| ofport >= 0) => {
            What::Moved(interface.mac_in_use)
        }
        ("" | "system", Some(Link { peer: Some(VethPeer::OtherNamespace(peer)), index, .. })) => {
            What::Peer(*peer, *index)
        }
        _ => return None,
    };
    Some(Wanted { of: interface.name.clone(), what })
}

impl Wanted {
    fn is(&self, link: &Link) -> bool {
        match self.what {
            What::Moved(mac) => {
                let is_internal = matches!(link.kind, LinkKind::OpenVswitch | LinkKind::Tun);
                let known = mac.is_none() || link.mac.is_none() || link.mac == mac;
                is_internal && ((link.name == self.of && known) || (mac.is_some() && link.mac == mac))
            }
            What::Peer(index, other) => {
                link.index == index && link.peer == Some(VethPeer::OtherNamespace(other))
            }
        }
    }
}

/// The namespaces that `ip netns` names.
fn named() -> impl Iterator<Item = (String, PathBuf)> {
    let files = fs::read_dir(NAMED).into_iter().flatten().flatten();
    files.map(|file| (file.file_name().to_string_lossy().into_owned(), file.path()))
}

/// Those that processes are in; a name for each.
fn of_processes() -> impl Iterator<Item = (String, PathBuf)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let program = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        Some((format!("of process {pid} ({})", program.trim_end()), process.path().join("ns/net")))
    })
}

/// The links there; none where that can not be known.
fn links_in(file: &Path) -> Vec<Link> {
    // A thread of its own: it stays in the namespace until it ends.
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file = File::open(file).ok()?;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(netlink::links()).ok()
        });
        thread.join().ok().flatten().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, kind: LinkKind) -> Link {
        Link {
            index: IfIndex(7),
            name: name.to_owned(),
            mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
            mtu_bytes: 1500,
            queue_packets: 1000,
            admin_up: true,
            carrier: true,
            kind,
            master: None,
            peer: None,
            lower: None,
            bond: None,
            tunnel: None,
            bridge_port_state: None,
        }
    }

    #[test]
    fn a_moved_port_is_known_by_its_name_or_its_address() {
        let mac = Some(MacAddr([2, 0, 0, 0, 0, 1]));
        let wanted = |mac| Wanted { of: "tap1".to_owned(), what: What::Moved(mac) };
        assert!(wanted(None).is(&link("tap1", LinkKind::Tun)));
        assert!(wanted(mac).is(&link("eth0", LinkKind::OpenVswitch)));
        assert!(!wanted(None).is(&link("eth0", LinkKind::OpenVswitch)));
        // Others have devices of that name, too.
        assert!(!wanted(mac).is(&link("tap1", LinkKind::Veth)));
        assert!(!wanted(Some(MacAddr([2; 6]))).is(&link("tap1", LinkKind::Tun)));
    }

    #[test]
    fn a_peer_is_known_by_both_indices() {
        let wanted = Wanted { of: "x".to_owned(), what: What::Peer(IfIndex(7), IfIndex(3)) };
        let peer = |peer| Link { peer: Some(peer), ..link("ns-x", LinkKind::Veth) };
        assert!(wanted.is(&peer(VethPeer::OtherNamespace(IfIndex(3)))));
        assert!(!wanted.is(&peer(VethPeer::OtherNamespace(IfIndex(4)))));
        assert!(!wanted.is(&peer(VethPeer::Here(IfIndex(3)))));
    }

    #[test]
    fn without_ports_no_namespace_is_entered() {
        assert!(links_away(&Topology::default()).is_empty());
    }
}
