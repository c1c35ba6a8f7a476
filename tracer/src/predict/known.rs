//! What is known of the host that a packet would cross. Pure.

use std::net::IpAddr;

use super::PredictError;
use crate::{
    model::{Direction, Hop, MacAddr, OvsPlace, Path, PathKind, PortKind, Printable, Topology, VmPort},
    ovs::{Learned, SwitchPort},
    path,
};

/// A name from outside, made safe.
pub(super) fn name(text: &str) -> String {
    Printable(text).to_string()
}

/// The path of the VM, and what is around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) path: &'a Path,
    pub(super) topology: &'a Topology,
    /// The ports of all VMs of the host.
    pub(super) ports: &'a [VmPort],
}

/// Where a packet comes to the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) bridge: &'a str,
    pub(super) in_port: &'a str,
    /// The tag that it has there.
    pub(super) vlan: Option<u16>,
}

impl<'a> Known<'a> {
    /// The VM's own port of the switch.
    pub(super) fn near(self) -> Option<&'a Hop> {
        self.path.hops().find(|hop| !hop.leads_out() && self.path.is_in_switch(hop))
    }

    fn near_place(self) -> Option<OvsPlace<'a>> {
        self.topology.ovs_interface(&self.near()?.ifname)
    }

    fn uplinks(self) -> impl Iterator<Item = &'a Hop> {
        self.path.hops().filter(move |hop| hop.is_uplink() && self.path.is_in_switch(hop))
    }

    fn place(self, port: &VmPort) -> Option<OvsPlace<'a>> {
        self.topology.ovs_interface(port.ovs_interface.as_deref()?)
    }

    /// The one other VM of the same network on this host that has this address. Networks may use the same addresses.
    pub(super) fn vm_with(self, address: IpAddr) -> Option<&'a VmPort> {
        let own = self.near_place()?;
        let is_other =
            |port: &VmPort| port.id.mac != self.path.instance.mac && port.id.ips.contains(&address);
        let is_near = |port: &VmPort| {
            self.place(port).is_some_and(|place| path::is_same_network(self.topology, own, place))
        };
        let mut found = self.ports.iter().filter(|port| is_other(port) && is_near(port));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The VM whose port of the switch this is.
    pub(super) fn vm_at(self, ifname: &str) -> Option<&'a VmPort> {
        let is_it = |port: &&VmPort| {
            port.ovs_interface.as_deref() == Some(ifname) || port.tap.as_deref() == Some(ifname)
        };
        self.ports.iter().find(is_it)
    }

    /// Where a packet comes to the switch: one of the VM's at its port, one for it at the NIC, or at the port of the VM that sends it.
    pub(super) fn entry(
        self,
        direction: Direction,
        sender: Option<&VmPort>,
        assumptions: &mut Vec<String>,
    ) -> Result<Entry<'a>, PredictError> {
        if direction == Direction::Egress {
            let near = self.near().and_then(|hop| Some((hop, hop.bridge.as_deref()?)));
            let (hop, bridge) = near.ok_or_else(|| self.no_port())?;
            return Ok(Entry { bridge, in_port: &hop.ifname, vlan: None });
        }
        if let Some((sender, place)) = sender.and_then(|sender| Some((sender, self.place(sender)?))) {
            let (vm, port) = (name(&sender.id.title()), name(&place.interface.name));
            assumptions.push(format!("{vm} on this host sends it, by {port}"));
            let (bridge, in_port) = (&place.bridge.name, &place.interface.name);
            return Ok(Entry { bridge, in_port, vlan: None });
        }
        let uplinks: Vec<_> = self.uplinks().filter_map(|hop| Some((hop, hop.bridge.as_deref()?))).collect();
        // What comes to a bond's other members, while one is used, the switch may drop.
        let is_used =
            |hop: &Hop| hop.bond.as_ref().is_some_and(|bond| bond.active.as_ref() == Some(&hop.ifname));
        let used = uplinks.iter().find(|(hop, _)| is_used(hop)).or(uplinks.first());
        let Some(&(hop, bridge)) = used else { return Err(self.no_way_in()) };
        let others: Vec<_> = uplinks.iter().filter(|(other, _)| *other != hop).collect();
        if !others.is_empty() {
            let others: Vec<_> = others.iter().map(|(hop, _)| name(&hop.ifname)).collect();
            assumptions.push(format!("it comes in by {}, not by {}", name(&hop.ifname), others.join(", ")));
        }
        let vlan = self.near_place().and_then(|place| path::tag_on_wire(self.topology, place, bridge));
        let vlan = vlan.filter(|_| hop.vlan_tag.is_none());
        assumptions.push(match vlan {
            Some(vlan) => format!("on the wire it is in VLAN {vlan}, as its network is"),
            None => "on the wire it has no VLAN tag, as far as its network is known".to_owned(),
        });
        Ok(Entry { bridge, in_port: &hop.ifname, vlan })
    }

    /// An address that `bridge` has learned in the VM's network behind another port than `in_port`, and that is of nobody on this host; with the
    /// port. `None` also where there are such addresses behind several ports.
    pub(super) fn learned_beyond<'p>(
        self,
        (bridge, in_port): (&str, &str),
        learned: &[Learned],
        ports: &'p [SwitchPort],
    ) -> Option<(MacAddr, &'p str)> {
        let of_bridge: Vec<&'p SwitchPort> = ports.iter().filter(|port| port.bridge == bridge).collect();
        let own = of_bridge.iter().find(|port| port.name == in_port).map(|port| port.ofport);
        // On a trunk bridge the network's tag is that of another port.
        let vlan = self.near_place().and_then(|row| row.port.tag).unwrap_or(0);
        let is_of_network = |it: &&Learned| it.vlan == vlan && Some(it.ofport) != own;
        // A router on this host may be the way to everybody else.
        if learned.iter().filter(is_of_network).any(|it| self.is_beside(it.mac)) {
            return None;
        }
        let is_beyond = |it: &&Learned| is_of_network(it) && !self.is_vm_s(it.mac);
        let mut beyond = learned.iter().filter(is_beyond);
        let first = beyond.next()?;
        if beyond.any(|it| it.ofport != first.ofport) {
            return None;
        }
        let port = of_bridge.iter().find(|port| port.ofport == first.ofport)?;
        Some((first.mac, port.name.as_str()))
    }

    fn is_vm_s(self, mac: MacAddr) -> bool {
        self.ports.iter().any(|port| port.id.mac == mac || port.attached_mac == Some(mac))
    }

    /// Whether the address is known to be of somebody on this host who is no VM: of a router or DHCP server.
    fn is_beside(self, mac: MacAddr) -> bool {
        let is_it =
            self.path.other_ports.iter().any(|port| port.kind != PortKind::Vm && port.macs.contains(&mac));
        is_it && !self.is_vm_s(mac)
    }

    fn no_port(self) -> PredictError {
        if self.path.kind == PathKind::LinuxBridge {
            return PredictError::NoSwitch;
        }
        let why = self.path.traceability.why_not().unwrap_or("the VM's interface is a port of no bridge");
        PredictError::NoPort(why.to_owned())
    }

    fn no_way_in(self) -> PredictError {
        if self.near().is_none() {
            return self.no_port();
        }
        let why = self.path.traceability.why_not();
        PredictError::NoWayIn(why.map_or(String::new(), |why| format!(" ({why})")))
    }
}
