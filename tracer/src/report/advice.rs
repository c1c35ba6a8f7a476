//! What a drop means and what to look at, in a line of plain words. Pure; only what the kernel's reason says, no guesses.

use crate::model::{Direction, Drop, EarlyDrop, Hop, Node, Path, Printable, Role};

/// Characters of a port's id in the names of its security group's chains, as Neutron cuts them.
const CHAIN_ID_CHARS: usize = 10;

/// Bytes before what an MTU is about.
const ETHERNET_HEADER_BYTES: u32 = 14;

/// Advice about packets that were dropped; `None` about lost ones: nobody said why.
#[must_use]
pub(super) fn advice(path: &Path, direction: Direction, drop: &Drop) -> Option<String> {
    let location = drop.location.as_deref()?;
    let place = Place { path, direction, after: &drop.after };
    let reason = drop.reason.as_deref().unwrap_or_default();
    Some(match (drop.subsystem.as_deref(), reason) {
        (Some("openvswitch"), reason) => place.openvswitch(reason),
        (Some(subsystem), reason) => format!("{} of {}", Printable(reason), Printable(subsystem)),
        (None, "NETFILTER_DROP") => place.firewall(),
        (None, "FULL_RING") => {
            format!("the guest does not drain its queue: the ring of {} is full", place.interface(Role::Tap))
        }
        (None, reason) if reason.starts_with("QDISC_") => place.queue(),
        (None, "PKT_TOO_BIG") => {
            let example = place.over_mtu(drop).map_or_else(String::new, |text| format!("; {text}"));
            format!("larger than the next interface's MTU: compare the MTUs (hoptrace path shows them){example}")
        }
        (None, "CPU_BACKLOG") => {
            "the CPU's input queue is full: more packets than the host's softirqs can take (net.core.netdev_max_backlog)"
                .to_owned()
        }
        (None, "DEV_READY") => "the interface is down, or nothing is attached behind it".to_owned(),
        (None, "TC_INGRESS" | "TC_EGRESS") => {
            format!("a filter of tc drops it: tc filter show dev {} (or its neighbour)", place.own())
        }
        (None, "XDP") => "another XDP program drops it".to_owned(),
        (None, "QUEUE_PURGE") => "it was still queued when its interface was taken down".to_owned(),
        (None, "IP_CSUM" | "TCP_CSUM" | "UDP_CSUM" | "SKB_CSUM") => {
            "its checksum is wrong: corrupted on its way, or an offload that was never completed".to_owned()
        }
        (None, "NOMEM") => "the host had no memory for it".to_owned(),
        _ => match place.over_mtu(drop) {
            Some(text) => {
                format!("the kernel freed it in {}; the reason says no more, but {text}", Printable(location))
            }
            None => format!("the kernel freed it in {}; the reason says no more", Printable(location)),
        },
    })
}

/// What it means that packets died before the first hook.
#[must_use]
pub(super) fn early_advice(path: &Path, direction: Direction, early: &EarlyDrop) -> String {
    let own = Place { path, direction, after: &early.before }.own();
    match early.reason.as_deref().unwrap_or_default() {
        reason if reason.starts_with("TC_") => format!(
            "somebody else's filter drops what {own} receives, before hoptrace sees it: tc filter show dev {own} ingress, \
             bpftool net show dev {own}"
        ),
        "CPU_BACKLOG" => "the CPU's input queue is full: more packets than the host's softirqs can take \
                          (net.core.netdev_max_backlog)"
            .to_owned(),
        _ => format!("an XDP program drops what {own} receives: ip -details link show dev {own}"),
    }
}

struct Place<'a> {
    path: &'a Path,
    direction: Direction,
    /// The hook's label: a role, perhaps with an interface behind a colon.
    after: &'a str,
}

impl Place<'_> {
    fn hop(&self) -> Option<&Hop> {
        let (role, ifname) =
            self.after.split_once(':').map_or((self.after, None), |(role, ifname)| (role, Some(ifname)));
        // The wire hook, and XDP, are at the NIC.
        let role = if matches!(role, "wire" | "xdp") { Role::Nic.as_str() } else { role };
        let is = |hop: &&Hop| hop.role.as_str() == role && ifname.is_none_or(|ifname| hop.ifname == ifname);
        self.path.hops.iter().find(is)
    }

    /// The interface of the hook.
    fn own(&self) -> String {
        self.hop().map_or_else(|| self.after.to_owned(), |hop| Printable(&hop.ifname).to_string())
    }

    /// What shows that the packets' example is too large for the interface behind the hook, if it is.
    fn over_mtu(&self, drop: &Drop) -> Option<String> {
        let bytes = drop.example.as_ref()?.len_bytes.checked_sub(ETHERNET_HEADER_BYTES)?;
        let hop = self.hop()?;
        let same = |other: &Hop| other.role == hop.role;
        let hops = &self.path.hops;
        let behind = match self.direction {
            Direction::Egress => hops.get(hops.iter().rposition(same)? + 1),
            Direction::Ingress => hops.get(hops.iter().position(same)?.checked_sub(1)?),
        }?;
        let mtu_bytes = self.path.nodes.iter().find_map(|node| match node {
            Node::Interface(state) if state.ifname == behind.ifname => Some(state.mtu_bytes),
            _ => None,
        })?;
        let name = Printable(&behind.ifname);
        (bytes > mtu_bytes)
            .then(|| format!("the one shown has {bytes} bytes, and the MTU of {name} is {mtu_bytes}"))
    }

    fn interface(&self, role: Role) -> String {
        let hop = self.path.hops.iter().find(|hop| hop.role == role);
        hop.map_or_else(|| role.as_str().to_owned(), |hop| Printable(&hop.ifname).to_string())
    }

    /// Between tap and qvb are the security groups.
    fn firewall(&self) -> String {
        let in_bridge = match self.direction {
            Direction::Egress => self.hop().is_some_and(|hop| hop.role == Role::Tap),
            Direction::Ingress => self.hop().is_some_and(|hop| hop.role == Role::Qvb),
        };
        let bridge = self.hop().and_then(|hop| hop.bridge.as_deref()).map(|name| Printable(name).to_string());
        let Some(bridge) = bridge.filter(|_| in_bridge) else {
            return format!("a rule of the host's firewall drops it behind {}", self.own());
        };
        match &self.path.instance.port_id {
            Some(port) => {
                let letter = if self.direction == Direction::Egress { 'o' } else { 'i' };
                let id: String = port.chars().take(CHAIN_ID_CHARS).collect();
                format!(
                    "a firewall rule on {bridge} drops it: the security group's chain is neutron-openvswi-{letter}{}",
                    Printable(&id)
                )
            }
            None => format!("a firewall rule on {bridge} drops it"),
        }
    }

    fn queue(&self) -> String {
        let device = match self.hop() {
            Some(hop) => Printable(&hop.ifname).to_string(),
            None => self.after.to_owned(),
        };
        format!(
            "the queueing discipline of {device} is full or limits the rate: tc -s qdisc show dev {device}"
        )
    }

    fn openvswitch(&self, reason: &str) -> String {
        let bridge = self.hop().and_then(|hop| hop.bridge.as_deref()).unwrap_or("its bridge");
        let bridge = Printable(bridge);
        match reason {
            "LAST_ACTION" => format!(
                "no OpenFlow rule sends it on: ovs-appctl ofproto/trace {bridge} shows which rule ends it"
            ),
            "EXPLICIT" | "EXPLICIT_WITH_ERROR" => {
                format!("an OpenFlow rule drops it: ovs-appctl ofproto/trace {bridge} shows which")
            }
            "METER" => "an OpenFlow meter limits the rate: ovs-ofctl -O OpenFlow13 meter-stats".to_owned(),
            "CONNTRACK" => "Open vSwitch's connection tracking refuses it".to_owned(),
            "IP_TTL" => "its TTL ran out in Open vSwitch".to_owned(),
            "RECURSION_LIMIT" | "DEFERRED_LIMIT" => {
                "Open vSwitch gave up: the rules send it around in a circle".to_owned()
            }
            "FRAG_L2_TOO_LONG" | "FRAG_INVALID_PROTO" => {
                "larger than the next interface's MTU, and Open vSwitch cannot fragment it".to_owned()
            }
            other => format!("Open vSwitch drops it: {}", Printable(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::DropExample,
        report::trace_samples::{packet, path},
    };

    fn of(direction: Direction, after: &str, reason: &str, subsystem: Option<&str>) -> Option<String> {
        let drop = Drop {
            after: after.to_owned(),
            reason: Some(reason.to_owned()),
            subsystem: subsystem.map(str::to_owned),
            location: Some("some_function+0x1".to_owned()),
            count: 1,
            first_ns: 0,
            last_ns: 0,
            example: None,
            head: None,
            explain: None,
        };
        advice(&path(), direction, &drop)
    }

    #[track_caller]
    fn says(direction: Direction, after: &str, reason: &str, subsystem: Option<&str>, what: &str) {
        let advice = of(direction, after, reason, subsystem).unwrap();
        assert!(advice.contains(what), "{advice}");
    }

    #[test]
    fn the_firewall_names_neutron_s_chain() {
        use Direction::{Egress, Ingress};
        says(Egress, "tap", "NETFILTER_DROP", None, "on qbrc3d70d5c-a90 drops it");
        says(Egress, "tap", "NETFILTER_DROP", None, "chain is neutron-openvswi-oc3d70d5c-a");
        says(Ingress, "qvb", "NETFILTER_DROP", None, "chain is neutron-openvswi-ic3d70d5c-a");
        let elsewhere = of(Ingress, "nic", "NETFILTER_DROP", None).unwrap();
        assert!(!elsewhere.contains("neutron") && elsewhere.contains("ens3"), "{elsewhere}");
        let mut nameless = path();
        nameless.instance.port_id = None;
        let drop = Drop {
            after: "tap".to_owned(),
            reason: Some("NETFILTER_DROP".to_owned()),
            subsystem: None,
            location: Some("nf_hook_slow+0x9a".to_owned()),
            count: 1,
            first_ns: 0,
            last_ns: 0,
            example: None,
            head: None,
            explain: None,
        };
        let advice = advice(&nameless, Egress, &drop).unwrap();
        assert_eq!(advice, "a firewall rule on qbrc3d70d5c-a90 drops it");
    }

    #[test]
    fn queues_and_rings_are_named() {
        use Direction::{Egress, Ingress};
        says(
            Ingress,
            "tap",
            "FULL_RING",
            None,
            "the guest does not drain its queue: the ring of tapc3d70d5c-a90",
        );
        says(Egress, "nic", "QDISC_DROP", None, "tc -s qdisc show dev ens3");
        says(Egress, "wire", "QDISC_DROP", None, "dev ens3");
        says(Egress, "nic:ens3", "QDISC_OVERLIMIT", None, "dev ens3");
        says(Egress, "qvo", "PKT_TOO_BIG", None, "MTU");
        says(Egress, "qvb", "CPU_BACKLOG", None, "softirqs");
    }

    #[test]
    fn open_vswitch_says_which_kind_of_rule() {
        use Direction::{Egress, Ingress};
        let ovs = Some("openvswitch");
        says(Egress, "qvo", "LAST_ACTION", ovs, "ofproto/trace br-int");
        says(Ingress, "nic", "EXPLICIT", ovs, "ofproto/trace br-ex");
        says(Egress, "qvo", "METER", ovs, "meter");
        says(Egress, "qvo", "NEW_ONE", ovs, "NEW_ONE");
        says(Egress, "qvo", "U_REPLAY", Some("mac80211_unusable"), "U_REPLAY of mac80211_unusable");
    }

    #[test]
    fn what_is_too_large_for_the_next_interface_is_told_with_both_figures() {
        let of = |direction, after: &str, location: &str, len_bytes| {
            let example = DropExample { time_ns: 0, len_bytes, flow: packet().flow };
            let drop = Drop {
                after: after.to_owned(),
                reason: Some("NOT_SPECIFIED".to_owned()),
                subsystem: None,
                location: Some(location.to_owned()),
                count: 1,
                first_ns: 0,
                last_ns: 0,
                example: Some(example),
                head: None,
                explain: None,
            };
            advice(&path(), direction, &drop).unwrap()
        };
        let ovs = of(Direction::Egress, "qvo", "do_execute_actions+0x1038 [openvswitch]", 1515);
        assert_eq!(
            ovs,
            "the kernel freed it in do_execute_actions+0x1038 [openvswitch]; the reason says no more, but the one shown \
             has 1501 bytes, and the MTU of ens3 is 1500"
        );
        let ovs = of(Direction::Ingress, "nic", "ovs_vport_send+0x9c", 1600);
        assert!(ovs.contains("the MTU of qvoc3d70d5c-a90 is 1500"), "{ovs}");
        // As large as may be; and behind the last interface.
        for (after, len_bytes) in [("qvo", 1514), ("nic", 1515)] {
            let other = of(Direction::Egress, after, "ovs_vport_send+0x9c", len_bytes);
            assert!(other.ends_with("the reason says no more"), "{other}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        says(Direction::Egress, "qvo", "NOT_SPECIFIED", None, "freed it in some_function+0x1");
        says(Direction::Egress, "tap", "SOMETHING_NEW\x1b[2J", None, "the reason says no more");
        let lost = Drop {
            after: "qvo".to_owned(),
            reason: None,
            subsystem: None,
            location: None,
            count: 1,
            first_ns: 0,
            last_ns: 0,
            example: None,
            head: None,
            explain: None,
        };
        assert_eq!(advice(&path(), Direction::Egress, &lost), None);
    }
}
