//! The packet path of one port: the ordered interfaces from the VM to the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Direction, HookChoice, Hop, IfIndex, InstanceId, OtherPort, Tunnel};

/// The layout a path follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// tap, Linux bridge, veth pair, br-int, br-ex, physical NIC: Neutron's OVS driver with `iptables_hybrid`.
    OvsHybrid,
    /// tap, br-int, and from there likewise: Neutron's OVS driver with its own firewall.
    OvsNative,
    /// The same where OVN programs the switch.
    Ovn,
    /// tap, Linux bridge, NIC: Neutron's Linux bridge agent, or a bridge of libvirt's or an operator's.
    LinuxBridge,
}

impl PathKind {
    /// As in machine-readable output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OvsHybrid => "ovs-hybrid",
            Self::OvsNative => "ovs-native",
            Self::Ovn => "ovn",
            Self::LinuxBridge => "linux-bridge",
        }
    }
}

/// What kind of thing is wrong on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// An interface or a bridge is not `IFF_UP`.
    Down,
    /// An interface has no carrier.
    NoCarrier,
    /// A bridge does not forward through a port.
    NotForwarding,
    /// An interface takes smaller packets than the one before.
    SmallerMtu,
    /// The VM's CPUs are stopped.
    Paused,
    /// The VM's network card has its cable pulled, as it were (`virsh domif-setlink`).
    Unplugged,
    /// The VM has no process.
    NotRunning,
    /// Open vSwitch could not open a port.
    NotOpened,
    /// No bridge of Open vSwitch has the port.
    NotInSwitch,
    /// The switch has no way out of the host.
    NoUplink,
    /// The port is in another VLAN than before.
    OtherVlan,
    /// Neutron could not bind the port.
    DeadVlan,
    /// What lets packets pass, perhaps not as they should.
    #[default]
    Other,
}

impl ProblemKind {
    /// Whether packets that come there die.
    #[must_use]
    pub const fn blocks(self) -> bool {
        !matches!(self, Self::SmallerMtu | Self::Other)
    }
}

/// Something wrong on the path, with the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// The interface, bridge or port it was seen at.
    pub at: String,
    /// What is wrong, and what shows it, in one line.
    pub what: String,
}

/// What a bridge on the path is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum BridgeKind {
    /// A Linux bridge; on the hybrid path the one where security groups are enforced.
    Linux,
    /// An Open vSwitch bridge.
    Ovs {
        /// `system` (kernel) or `netdev` (user space).
        datapath: String,
        /// `secure` or `standalone`.
        fail_mode: Option<String>,
    },
}

impl BridgeKind {
    /// Whether it is one of Open vSwitch's.
    #[must_use]
    pub const fn is_ovs(&self) -> bool {
        matches!(self, Self::Ovs { .. })
    }

    /// Whether it is one of Open vSwitch's userspace datapath.
    #[must_use]
    pub fn is_userspace(&self) -> bool {
        matches!(self, Self::Ovs { datapath, .. } if datapath == "netdev")
    }
}

/// A step on the way from the VM to the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "node", rename_all = "kebab-case")]
pub enum Step {
    /// An interface where hooks can sit.
    Interface(Hop),
    /// A bridge.
    Bridge {
        /// Its name.
        name: String,
        /// What it is made of.
        kind: BridgeKind,
    },
    /// A pair of ports between two OVS bridges, which gets no hooks.
    Patch {
        /// The end towards the VM.
        name: String,
        /// The end towards the wire.
        peer: String,
        /// Whether it is a veth pair of the kernel's, instead of patch ports, which are no interfaces.
        veth: bool,
    },
    /// A tunnel to other hosts, which gets no hooks.
    Tunnel(Tunnel),
    /// Where the way ends before it should.
    Gap {
        /// What is missing, by role or by the name it should have.
        missing: String,
    },
}

impl Step {
    /// The name problems refer to.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Interface(hop) => &hop.ifname,
            Self::Bridge { name, .. } | Self::Patch { name, .. } => name,
            Self::Tunnel(tunnel) => tunnel.ends.first().unwrap_or(&tunnel.kind),
            Self::Gap { missing } => missing,
        }
    }

    /// The names problems refer to, in the order of the way.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Patch { name, peer, .. } => vec![name, peer],
            Self::Tunnel(tunnel) if !tunnel.ends.is_empty() => {
                tunnel.ends.iter().map(String::as_str).collect()
            }
            _ => vec![self.name()],
        }
    }
}

/// How much of a path can be traced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "traceable", rename_all = "lowercase")]
pub enum Traceability {
    /// From the tap to the wire.
    Fully,
    /// Hooks can sit on some of it.
    Partly {
        /// Why not on all of it, in one line.
        why: String,
    },
    /// Nothing, or too little, to hook.
    No {
        /// Why, in one line.
        why: String,
    },
}

impl Traceability {
    /// Why not all of it, if so.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::Fully => None,
            Self::Partly { why } | Self::No { why } => Some(why),
        }
    }
}

/// The ordered interfaces from the VM to the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Path {
    /// The layout.
    pub kind: PathKind,
    /// Whose path.
    pub instance: InstanceId,
    /// Hops, bridges and patch ports from the VM to the wire. Several uplinks are alternatives of each other.
    pub steps: Vec<Step>,
    /// The network behind the port, in words: `vlan 101 on physnet1`.
    pub network: Option<String>,
    /// Interfaces beside the path, where packets leave it or come from: on the same switch, and the Linux bridge's own.
    pub other_ports: Vec<OtherPort>,
    /// The interface at which the path ends because there was no answer about the switch behind it, and the kernel has
    /// it in none of its own: what it receives, a userspace datapath may have taken.
    pub taken_unseen: Option<IfIndex>,
    /// What is wrong on the way. `at` is the name of a step, or [`Path::GUEST`].
    pub problems: Vec<Problem>,
    /// How much of it can be traced.
    #[serde(flatten)]
    pub traceability: Traceability,
}

impl Path {
    /// Where problems of the guest itself are noted.
    pub const GUEST: &'static str = "guest";

    /// The interfaces where hooks can sit, from the VM to the wire.
    #[must_use]
    pub fn hops(&self) -> impl DoubleEndedIterator<Item = &Hop> + Clone {
        self.steps.iter().filter_map(|step| match step {
            Step::Interface(hop) => Some(hop),
            _ => None,
        })
    }

    /// Those of them that get hooks. One that `merges` packets always does: what becomes of these is known by its hook.
    pub fn hooked(&self, choice: HookChoice, merges: impl Fn(&Hop) -> bool) -> Vec<&Hop> {
        let is_near_end = |hop: &&Hop| {
            let next = self.next(hop, Direction::Egress);
            next.is_some_and(|next| hop.is_pair_with(next))
        };
        let is_left_out = |hop: &&Hop| choice == HookChoice::Few && is_near_end(hop) && !merges(hop);
        let hooked: Vec<_> = self.hops().filter(|hop| !is_left_out(hop)).collect();
        // Latency is between two hooks at least.
        if hooked.len() > 1 { hooked } else { self.hops().collect() }
    }

    /// The hops that a packet passes from `from` to `to`, both among them, in its order.
    #[must_use]
    pub fn between<'p>(&'p self, from: &'p Hop, to: &'p Hop) -> Vec<&'p Hop> {
        let passed = |hop: &&Hop| {
            *hop == from || *hop == to || !(hop.is_alternative_to(from) || hop.is_alternative_to(to))
        };
        let hops: Vec<_> = self.hops().filter(passed).collect();
        let place = |wanted: &Hop| hops.iter().position(|hop| *hop == wanted);
        let Some((start, end)) = place(from).zip(place(to)) else { return vec![from, to] };
        let between = hops.iter().skip(start.min(end)).take(start.abs_diff(end) + 1).copied();
        if start > end { between.rev().collect() } else { between.collect() }
    }

    /// The hop with this interface.
    #[must_use]
    pub fn hop_at(&self, ifname: &str) -> Option<&Hop> {
        self.hops().find(|hop| hop.ifname == ifname)
    }

    /// The guest's own interface on the host.
    #[must_use]
    pub fn guests(&self) -> Option<&Hop> {
        self.hops().find(|hop| hop.is_guests())
    }

    /// Where packets of `direction` come next behind `hop`, or an alternative of it.
    #[must_use]
    pub fn next(&self, hop: &Hop, direction: Direction) -> Option<&Hop> {
        let is_beyond = |other: &&Hop| **other != *hop && !other.is_alternative_to(hop);
        let is_here = |other: &&Hop| **other == *hop;
        match direction {
            Direction::Egress => self.hops().skip_while(|other| !is_here(other)).find(is_beyond),
            Direction::Ingress => self.hops().rev().skip_while(|other| !is_here(other)).find(is_beyond),
        }
    }

    /// The bridges, with what they are made of.
    pub fn bridges(&self) -> impl Iterator<Item = (&str, &BridgeKind)> {
        self.steps.iter().filter_map(|step| match step {
            Step::Bridge { name, kind } => Some((name.as_str(), kind)),
            _ => None,
        })
    }

    /// What a Linux bridge of this path is, in words: whether the VM's firewall is there.
    #[must_use]
    pub fn firewall_in_words(&self) -> Option<&'static str> {
        self.hops().any(|hop| hop.facts.firewall_behind.is_some()).then_some("security groups")
    }

    /// The bridge that `hop` is a port of.
    #[must_use]
    pub fn bridge_of(&self, hop: &Hop) -> Option<&BridgeKind> {
        let bridge = hop.bridge.as_deref()?;
        self.bridges().find(|(name, _)| *name == bridge).map(|(_, kind)| kind)
    }

    /// Whether `hop` is a port of Open vSwitch.
    #[must_use]
    pub fn is_in_switch(&self, hop: &Hop) -> bool {
        self.bridge_of(hop).is_some_and(BridgeKind::is_ovs)
    }

    /// The hop that a hook's label means: its role, with the interface behind a colon where several have that role. XDP and
    /// the wire are at uplinks.
    #[must_use]
    pub fn hop_of(&self, label: &str) -> Option<&Hop> {
        let (layer, ifname) =
            label.split_once(':').map_or((label, None), |(layer, ifname)| (layer, Some(ifname)));
        let at_uplink = matches!(layer, "xdp" | "wire");
        let is_there = |hop: &&Hop| if at_uplink { hop.is_uplink() } else { hop.role.as_str() == layer };
        self.hops().filter(is_there).find(|hop| ifname.is_none_or(|ifname| hop.ifname == ifname))
    }

    /// Whether packets leave the host by what is drawn: at an uplink, or in a tunnel.
    #[must_use]
    pub fn leads_out(&self) -> bool {
        self.hops().any(Hop::is_uplink) || self.steps.iter().any(|step| matches!(step, Step::Tunnel(_)))
    }

    /// What is wrong at any of these names, in their order.
    pub fn problems_at_any<'a>(&'a self, names: &'a [&'a str]) -> impl Iterator<Item = &'a Problem> {
        names.iter().flat_map(|name| self.problems_at(name))
    }

    /// What is wrong at a step.
    pub fn problems_at<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Problem> {
        self.problems.iter().filter(move |problem| problem.at == name)
    }
}
