//! Whose packets come by which interface, in a trace of several ports. Pure: a copy of what the kernel's maps hold.
//!
//! At an interface of its own the interface tells a packet's port; at one that several ports use, or others than the traced ones, the packet's
//! addresses do, and each port has a place for its hooks there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use hoptrace_common::{
    config::{HookConfig, MAX_HOOKS},
    ports::{MAX_SHARED, PortConfig, Whose, number_of},
};

use super::{AttachError, Further, PortPlan, placed, side::TcSide};
use crate::model::{HookPlan, Plan, PortId, Side};

/// An interface, as one port uses it.
#[derive(Debug, Clone)]
struct Here {
    /// For people.
    ifname: String,
    /// The places of its hooks.
    sides: [u8; 4],
    /// Others' packets come by it, too, whoever is traced.
    shared: bool,
    /// What comes in here is on its way out.
    receives_egress: bool,
}

impl Here {
    fn is_hooked(&self) -> bool {
        self.sides.iter().any(|place| *place != PortConfig::NO_HOOK)
    }
}

impl Default for Here {
    fn default() -> Self {
        let sides = [PortConfig::NO_HOOK; 4];
        Self { ifname: String::new(), sides, shared: false, receives_egress: false }
    }
}

/// What is known of one port.
#[derive(Debug, Clone)]
struct Known {
    mac: u64,
    ipv4: [u32; 4],
    config: PortConfig,
    hooks: [HookConfig; MAX_HOOKS],
    interfaces: BTreeMap<u32, Here>,
}

/// What the programs know of all ports.
#[derive(Debug, Clone, Default)]
pub(super) struct Ports {
    known: BTreeMap<PortId, Known>,
    /// The numbers of interfaces that are shared and have hooks.
    numbers: BTreeMap<u32, u8>,
}

impl Ports {
    /// Adds a port. `hooks` and `config` are what probes have told of it, `found_at` is its plan with all interfaces that its hooks see,
    /// `further` are the others that its packets come by.
    ///
    /// # Errors
    /// When paths share more interfaces than there is room for; the port is not added then.
    pub(super) fn add(
        &mut self,
        port: PortId,
        planned: &PortPlan,
        found_at: &Plan,
        further: &[Further],
        (hooks, config): ([HookConfig; MAX_HOOKS], PortConfig),
    ) -> Result<(), AttachError> {
        let known = Known {
            mac: planned.mac,
            ipv4: planned.ipv4,
            config: configured(planned, config),
            hooks: numbered(port, &planned.plan, hooks),
            interfaces: interfaces(found_at, further),
        };
        self.known.insert(port, known);
        self.number_shared().inspect_err(|_| self.remove(port))
    }

    /// Takes a port away.
    pub(super) fn remove(&mut self, port: PortId) {
        self.known.remove(&port);
        let shared = self.shared();
        self.numbers.retain(|ifindex, _| shared.contains(ifindex));
    }

    /// Whose each interface is, by its index.
    pub(super) fn whose(&self) -> BTreeMap<u32, Whose> {
        let users = self.users();
        let of = |(ifindex, users): (&u32, &Vec<(PortId, &Here)>)| {
            let own = match users.as_slice() {
                [(port, here)] if !here.shared => Some(Whose { port: port.0, sides: here.sides }),
                _ => None,
            };
            let receives_egress = users.iter().any(|(_, here)| here.receives_egress);
            let number = self.numbers.get(ifindex).copied().unwrap_or(PortConfig::NO_HOOK);
            let sides = [number, u8::from(receives_egress), 0, 0];
            (*ifindex, own.unwrap_or(Whose { port: Whose::SHARED, sides }))
        };
        users.iter().map(of).collect()
    }

    /// What holds for each port.
    pub(super) fn configs(&self) -> impl Iterator<Item = (PortId, PortConfig)> {
        self.known.iter().map(|(port, known)| {
            let mut config = PortConfig { shared: [[PortConfig::NO_HOOK; 4]; MAX_SHARED], ..known.config };
            for (ifindex, number) in &self.numbers {
                let here = known.interfaces.get(ifindex);
                if let Some((place, here)) = config.shared.get_mut(usize::from(*number)).zip(here) {
                    *place = here.sides;
                }
            }
            (*port, config)
        })
    }

    /// The hooks of each port, by their numbers.
    pub(super) fn hooks(&self) -> impl Iterator<Item = (PortId, &[HookConfig; MAX_HOOKS])> {
        self.known.iter().map(|(port, known)| (*port, &known.hooks))
    }

    /// The ports by their MAC addresses.
    pub(super) fn macs(&self) -> BTreeMap<u64, u32> {
        self.known.iter().map(|(port, known)| (known.mac, port.0)).collect()
    }

    /// The ports by those of their IPv4 addresses that no other one has.
    pub(super) fn targets(&self) -> BTreeMap<u32, u32> {
        let owners = self.owners().into_iter();
        let of_one = owners.filter(|(_, ports)| ports.len() == 1);
        of_one.filter_map(|(address, ports)| Some((address, ports.first()?.0))).collect()
    }

    /// Addresses that several of the ports have.
    pub(super) fn common_addresses(&self) -> Vec<Ipv4Addr> {
        let common = self.owners().into_iter().filter(|(_, ports)| ports.len() > 1);
        common.map(|(address, _)| Ipv4Addr::from(address.to_le_bytes())).collect()
    }

    fn owners(&self) -> BTreeMap<u32, BTreeSet<PortId>> {
        let mut owners: BTreeMap<u32, BTreeSet<PortId>> = BTreeMap::new();
        for (port, known) in &self.known {
            for address in known.ipv4.iter().filter(|address| **address != 0) {
                owners.entry(*address).or_default().insert(*port);
            }
        }
        owners
    }

    /// Who uses each interface.
    fn users(&self) -> BTreeMap<u32, Vec<(PortId, &Here)>> {
        let mut users: BTreeMap<u32, Vec<(PortId, &Here)>> = BTreeMap::new();
        for (port, known) in &self.known {
            for (ifindex, here) in &known.interfaces {
                users.entry(*ifindex).or_default().push((*port, here));
            }
        }
        users
    }

    /// Interfaces with hooks that no port has alone.
    fn shared(&self) -> BTreeSet<u32> {
        let users = self.users().into_iter();
        let shared = users.filter(|(_, users)| {
            (users.len() > 1 || users.iter().any(|(_, here)| here.shared))
                && users.iter().any(|(_, here)| here.is_hooked())
        });
        shared.map(|(ifindex, _)| ifindex).collect()
    }

    /// Gives a number to each of them that has none.
    fn number_shared(&mut self) -> Result<(), AttachError> {
        for ifindex in self.shared() {
            if self.numbers.contains_key(&ifindex) {
                continue;
            }
            let taken: BTreeSet<u8> = self.numbers.values().copied().collect();
            let most = u8::try_from(MAX_SHARED).unwrap_or(u8::MAX);
            let free = (0..most).find(|number| !taken.contains(number));
            let number = free.ok_or_else(|| AttachError::TooManyShared { ifname: self.name_of(ifindex) })?;
            self.numbers.insert(ifindex, number);
        }
        Ok(())
    }

    fn name_of(&self, ifindex: u32) -> String {
        let here = self.known.values().filter_map(|known| known.interfaces.get(&ifindex));
        here.map(|here| here.ifname.clone()).find(|name| !name.is_empty()).unwrap_or_default()
    }
}

/// What the programs are told of a port, but for its places at shared interfaces.
fn configured(planned: &PortPlan, told: PortConfig) -> PortConfig {
    let plan = &planned.plan;
    PortConfig {
        mac: planned.mac,
        ipv4: planned.ipv4,
        guest_segment: plan.guest.0.into(),
        neighbour_entries: plan.neighbour_entries.bits(),
        entries: plan.entries.map(|hook| hook.0).array(),
        beside: TcSide::ALL.map(|side| placed::beside_at(plan, side).unwrap_or(PortConfig::NO_HOOK)),
        ..told
    }
}

/// The hooks with their numbers, and those on interfaces of the port's own with these.
fn numbered(port: PortId, plan: &Plan, mut hooks: [HookConfig; MAX_HOOKS]) -> [HookConfig; MAX_HOOKS] {
    for ((place, hook), planned) in (0_u32..).zip(&mut hooks).zip(&plan.hooks) {
        let is_own = !planned.is_neighbour() && hook.flags & HookConfig::SHARED == 0;
        hook.number = u16::try_from(number_of(port.0, place)).unwrap_or(u16::MAX);
        hook.ifindex = planned.interfaces.first().filter(|_| is_own).map_or(0, |own| own.ifindex.0);
    }
    hooks
}

/// The interfaces that a port's packets come by, by their indices.
fn interfaces(found_at: &Plan, further: &[Further]) -> BTreeMap<u32, Here> {
    let mut interfaces: BTreeMap<u32, Here> = BTreeMap::new();
    for (place, hook) in (0_u8..).zip(&found_at.hooks).filter(|(_, hook)| !hook.is_neighbour()) {
        for interface in &hook.interfaces {
            let here = interfaces.entry(interface.ifindex.0).or_default();
            here.ifname.clone_from(&interface.ifname);
            here.shared |= hook.config.flags & HookConfig::SHARED != 0;
            here.receives_egress |= receives_egress(hook);
            if let Some(side) = here.sides.get_mut(side_of(hook.side)) {
                *side = place;
            }
        }
    }
    for further in further {
        interfaces.entry(further.ifindex.0).or_default().shared |= further.shared;
    }
    interfaces
}

fn receives_egress(hook: &HookPlan) -> bool {
    let is_egress = hook.config.direction == 0;
    matches!(hook.side, Side::Ingress | Side::Xdp(_)) && is_egress
}

const fn side_of(side: Side) -> usize {
    match side {
        Side::Ingress => Whose::INGRESS,
        Side::Egress => Whose::EGRESS,
        Side::Xdp(_) => Whose::XDP,
        Side::Wire => Whose::WIRE,
    }
}

#[cfg(test)]
mod tests {
    use hoptrace_common::ports::{place_of, port_of};

    use super::*;
    use crate::{
        attach::{self, PlanOptions},
        model::{IfIndex, Role},
        path::testing::hop,
    };

    const NIC: u32 = 2;
    const BRIDGE: u32 = 30;

    fn planned(tap: u32, address: [u8; 4]) -> PortPlan {
        let hops = [hop(Role::Tap, &format!("tap{tap}"), tap), hop(Role::Nic, "eth0", NIC)];
        PortPlan {
            plan: attach::plan(&hops.each_ref(), PlanOptions::default()).unwrap(),
            mac: u64::from(tap) << 8,
            ipv4: [u32::from_le_bytes(address), 0, 0, 0],
        }
    }

    fn add(ports: &mut Ports, port: u32, planned: &PortPlan, further: &[Further]) {
        let hooks = std::array::from_fn(|place| {
            planned.plan.hooks.get(place).map_or_else(HookConfig::default, |hook| hook.config)
        });
        let told = (hooks, PortConfig { at_switch: port + 5, ..PortConfig::default() });
        ports.add(PortId(port), planned, &planned.plan, further, told).unwrap();
    }

    fn two() -> Ports {
        let mut ports = Ports::default();
        add(&mut ports, 0, &planned(11, [10, 0, 0, 1]), &[]);
        add(&mut ports, 1, &planned(12, [10, 0, 0, 2]), &[]);
        ports
    }

    /// The place of the hook on a side of an interface, by the plan.
    fn place(planned: &PortPlan, ifindex: u32, side: Side) -> u8 {
        let is_it = |hook: &HookPlan| hook.side == side && hook.interfaces[0].ifindex.0 == ifindex;
        u8::try_from(planned.plan.hooks.iter().position(is_it).unwrap()).unwrap()
    }

    #[test]
    fn a_tap_is_its_port_s_and_the_nic_is_shared() {
        let (ports, plan) = (two(), planned(12, [10, 0, 0, 2]));
        let whose = ports.whose();
        let sides = [Side::Ingress, Side::Egress].map(|side| place(&plan, 12, side));
        let none = PortConfig::NO_HOOK;
        assert_eq!(whose[&12], Whose { port: 1, sides: [sides[0], sides[1], none, none] });
        assert_eq!(whose[&NIC], Whose { port: Whose::SHARED, sides: [0, 0, 0, 0] });
        for (port, config) in ports.configs() {
            let at_nic = [Side::Ingress, Side::Egress].map(|side| place(&plan, NIC, side));
            assert_eq!(config.shared[0], [at_nic[0], at_nic[1], none, none]);
            assert_eq!(config.shared[1], [none; 4]);
            assert_eq!((config.at_switch, config.mac), (port.0 + 5, u64::from(11 + port.0) << 8));
            assert_eq!(config.beside, [none; 2]);
        }
    }

    #[test]
    fn a_nic_is_shared_whoever_is_traced_and_a_bridge_once_two_ports_use_it() {
        let bridge = [Further { ifindex: IfIndex(BRIDGE), shared: false }];
        let mut ports = Ports::default();
        add(&mut ports, 0, &planned(11, [10, 0, 0, 1]), &bridge);
        let alone = ports.whose();
        assert_eq!((alone[&NIC].port, alone[&BRIDGE].port), (Whose::SHARED, 0));
        add(&mut ports, 1, &planned(12, [10, 0, 0, 2]), &bridge);
        let together = ports.whose()[&BRIDGE];
        assert_eq!((together.port, together.shared()), (Whose::SHARED, PortConfig::NO_HOOK));
        ports.remove(PortId(0));
        assert_eq!(ports.whose()[&BRIDGE].port, 1);
        assert!(!ports.whose().contains_key(&11));
        ports.remove(PortId(1));
        assert!(ports.whose().is_empty() && ports.numbers.is_empty());
    }

    #[test]
    fn hooks_know_their_port_and_their_own_interface() {
        let ports = two();
        let plan = planned(12, [10, 0, 0, 2]);
        let (port, hooks) = ports.hooks().nth(1).unwrap();
        for (place, (told, hook)) in hooks.iter().zip(&plan.plan.hooks).enumerate() {
            let number = u32::from(told.number);
            assert_eq!((PortId(port_of(number)), place_of(number)), (port, u32::try_from(place).unwrap()));
            let own = hook.interfaces[0].ifindex.0;
            assert_eq!(told.ifindex, if own == NIC { 0 } else { own });
        }
    }

    #[test]
    fn an_address_that_two_ports_have_tells_neither() {
        let mut ports = two();
        add(&mut ports, 2, &planned(13, [10, 0, 0, 1]), &[]);
        assert_eq!(ports.targets(), BTreeMap::from([(u32::from_le_bytes([10, 0, 0, 2]), 1)]));
        assert_eq!(ports.common_addresses(), [Ipv4Addr::new(10, 0, 0, 1)]);
        ports.remove(PortId(2));
        assert_eq!((ports.targets().len(), ports.macs().len()), (2, 2));
    }

    #[test]
    fn there_is_room_for_so_many_shared_interfaces() {
        let mut ports = Ports::default();
        let of = |nic: u32| {
            let hops = [hop(Role::Tap, "tap", 1_000 + nic), hop(Role::Nic, &format!("eth{nic}"), nic)];
            let plan = attach::plan(&hops.each_ref(), PlanOptions::default()).unwrap();
            PortPlan { plan, mac: nic.into(), ipv4: [0; 4] }
        };
        let most = u32::try_from(MAX_SHARED).unwrap();
        (0..most).for_each(|nic| add(&mut ports, nic, &of(nic + 1), &[]));
        let last = of(most + 1);
        let told = (last.plan.hooks.iter().map(|hook| hook.config), PortConfig::default());
        let mut hooks = [HookConfig::default(); MAX_HOOKS];
        hooks.iter_mut().zip(told.0).for_each(|(place, hook)| *place = hook);
        let error = ports.add(PortId(most), &last, &last.plan, &[], (hooks, told.1)).unwrap_err();
        assert!(error.to_string().contains("eth17"), "{error}");
        assert_eq!(ports.macs().len(), MAX_SHARED, "nothing of it stays");
    }
}
