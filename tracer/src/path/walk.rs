//! A path while it is being walked.

use std::collections::HashSet;

use crate::model::{
    Bond, BridgeKind, Hop, HopFacts, IfIndex, Link, LinkKind, OtherPort, OvsBridge, Path, PathKind, Problem,
    ProblemKind, Role, Step, Traceability, Tunnel, VmPort,
};

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The way to the wire.
    Way,
    /// And every other port that it leads past: of a host with hundreds of ports far more than the way.
    Beside,
}

/// Collects steps and problems in path order.
pub(super) struct Walk {
    kind: PathKind,
    extent: Extent,
    steps: Vec<Step>,
    problems: Vec<Problem>,
    pub(super) network: Option<String>,
    other_ports: Vec<OtherPort>,
    pub(super) taken_unseen: Option<IfIndex>,
    /// Why the path does not reach the wire, first reason first.
    cut: Option<String>,
}

impl Walk {
    pub(super) const fn new(kind: PathKind, extent: Extent) -> Self {
        Self {
            kind,
            extent,
            steps: Vec::new(),
            problems: Vec::new(),
            network: None,
            other_ports: Vec::new(),
            taken_unseen: None,
            cut: None,
        }
    }

    pub(super) fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.steps.iter().filter_map(|step| match step {
            Step::Interface(hop) => Some(hop),
            _ => None,
        })
    }

    pub(super) fn hops_mut(&mut self) -> impl Iterator<Item = &mut Hop> {
        self.steps.iter_mut().filter_map(|step| match step {
            Step::Interface(hop) => Some(hop),
            _ => None,
        })
    }

    /// The names of the interfaces so far, those between bridges among them.
    pub(super) fn names(&self) -> HashSet<&str> {
        let mut names = HashSet::new();
        for step in &self.steps {
            match step {
                Step::Interface(hop) => names.extend([hop.ifname.as_str()]),
                Step::Patch { name, peer, .. } => names.extend([name.as_str(), peer.as_str()]),
                Step::Tunnel(tunnel) => names.extend(tunnel.ends.iter().map(String::as_str)),
                Step::Bridge { .. } | Step::Gap { .. } => {}
            }
        }
        names
    }

    /// Ports beside the way, given the names on it.
    pub(super) fn beside(&mut self, ports: impl FnOnce(&HashSet<&str>) -> Vec<OtherPort>) {
        if self.extent == Extent::Beside {
            let others = ports(&self.names());
            self.other_ports.extend(others);
        }
    }

    pub(super) fn hop(
        &mut self,
        (role, facts): (Role, HopFacts),
        link: &Link,
        bridge: Option<&str>,
        vlan_tag: Option<u16>,
    ) {
        self.steps.push(Step::Interface(Hop {
            role,
            ifname: link.name.clone(),
            ifindex: link.index,
            bridge: bridge.map(str::to_owned),
            vlan_tag,
            mtu_bytes: link.mtu_bytes,
            queue_packets: link.queue_packets,
            admin_up: link.admin_up,
            carrier: link.carrier,
            stacked: matches!(link.kind, LinkKind::Bond | LinkKind::Vlan),
            bond: None,
            limits: Vec::new(),
            facts,
        }));
    }

    /// The last hop is, stands on, or is a member of this bond.
    pub(super) fn bonded(&mut self, bond: Option<Bond>) {
        if let Some(Step::Interface(hop)) = self.steps.last_mut() {
            hop.bond = bond;
        }
    }

    pub(super) fn linux_bridge(&mut self, link: &Link) {
        self.steps.push(Step::Bridge { name: link.name.clone(), kind: BridgeKind::Linux });
    }

    pub(super) fn ovs_bridge(&mut self, bridge: &OvsBridge) {
        let datapath = if bridge.datapath_type.is_empty() { "system" } else { &bridge.datapath_type };
        self.steps.push(Step::Bridge {
            name: bridge.name.clone(),
            kind: BridgeKind::Ovs { datapath: datapath.to_owned(), fail_mode: bridge.fail_mode.clone() },
        });
    }

    pub(super) fn patch(&mut self, name: &str, peer: &str, veth: bool) {
        self.steps.push(Step::Patch { name: name.to_owned(), peer: peer.to_owned(), veth });
    }

    pub(super) fn tunnel(&mut self, tunnel: Tunnel) {
        self.steps.push(Step::Tunnel(tunnel));
    }

    pub(super) fn problem(&mut self, at: &str, what: impl Into<String>) {
        self.defect(ProblemKind::Other, at, what);
    }

    pub(super) fn defect(&mut self, kind: ProblemKind, at: &str, what: impl Into<String>) {
        self.problems.push(Problem { kind, at: at.to_owned(), what: what.into() });
    }

    /// The first thing found wrong there.
    pub(super) fn first_problem(&self, at: &str) -> Option<&str> {
        self.problems.iter().find(|problem| problem.at == at).map(|problem| problem.what.as_str())
    }

    /// Something the path cannot do without is not there.
    pub(super) fn gap(&mut self, missing: &str, what: impl Into<String>) {
        self.gap_of(ProblemKind::Other, missing, what);
    }

    /// The same where the reason is known.
    pub(super) fn gap_of(&mut self, kind: ProblemKind, missing: &str, what: impl Into<String>) {
        let what = what.into();
        self.cut(what.clone());
        self.steps.push(Step::Gap { missing: missing.to_owned() });
        self.defect(kind, missing, what);
    }

    /// Something is not there, but what is beside it may do.
    pub(super) fn missing(&mut self, missing: &str, what: impl Into<String>) {
        self.steps.push(Step::Gap { missing: missing.to_owned() });
        self.problem(missing, what);
    }

    /// The path ends before the wire; the first reason counts.
    pub(super) fn cut(&mut self, why: impl Into<String>) {
        self.cut.get_or_insert_with(|| why.into());
    }

    pub(super) fn finish(self, port: &VmPort) -> Path {
        let has_guests = self.hops().any(Hop::is_guests);
        let traceability = match self.cut {
            None => Traceability::Fully,
            // One interface has two hooks but no way between two places.
            Some(why) if !has_guests || self.hops().count() < 2 => Traceability::No { why },
            Some(why) => Traceability::Partly { why },
        };
        Path {
            kind: self.kind,
            instance: port.id.clone(),
            steps: self.steps,
            network: self.network,
            other_ports: self.other_ports,
            taken_unseen: self.taken_unseen,
            problems: self.problems,
            traceability,
        }
    }
}
