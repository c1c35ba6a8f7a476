//! What a drop means and what to look at, in a line of plain words. Pure; only what the kernel's reason says, no guesses.

use std::fmt;

use super::filters;
use crate::kernel::{is_in_queue, is_nf_queue, is_purge, is_queue_s};
use crate::model::{Beyond, Direction, Drop, Hop, Limit, LimitSource, Path, PortTrace, Printable};

/// Bytes before what an MTU is about.
const ETHERNET_HEADER_BYTES: u32 = 14;

/// A ring that outlasts a pause of the guest: 10 ms of a million packets a second.
const LONG_RING_PACKETS: u32 = 10_000;

/// Where XDP programs behind a driver drop.
const XDP: [&str; 3] = ["do_xdp_generic", "netif_receive_generic_xdp", "veth_xdp_rcv"];

/// Packets were waiting, and their queue is gone.
fn emptied() -> Advice {
    Advice::new(
        "it was still queued when its queue was emptied: its interface was taken down, its queue's length changed, or its queueing \
         discipline replaced",
    )
}

/// What a drop means, and what to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    /// What it means.
    pub what: String,
    /// What to look at, or to do.
    pub next: Option<String>,
}

impl Advice {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), next: None }
    }

    pub(super) fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.next {
            Some(next) => write!(f, "{}: {next}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Advice about packets that were dropped; `None` about lost ones: it is not known why.
#[must_use]
pub(super) fn advice(report: &PortTrace<'_>, direction: Direction, drop: &Drop) -> Option<Advice> {
    let location = drop.location.as_deref()?;
    let passed = report.passed(direction, &drop.after);
    let place = Place { path: report.path(), direction, after: &drop.after, passed };
    let reason = drop.reason.as_deref().unwrap_or_default();
    Some(match (drop.subsystem.as_deref(), reason) {
        (Some("openvswitch"), reason) => place.openvswitch(reason),
        (Some(subsystem), reason) => {
            Advice::new(format!("{} of {}", Printable(reason), Printable(subsystem)))
        }
        (None, "NETFILTER_DROP") => place.firewall(report, drop),
        (None, "" | "NOT_SPECIFIED") if is_nf_queue(location) => {
            let Advice { what, next } = place.firewall(report, drop);
            Advice {
                what: format!("a program at an NFQUEUE dropped it, or none reads the queue; {what}"),
                next,
            }
        }
        (None, reason) => place.core(reason, drop).unwrap_or_else(|| {
            let freed = format!("the kernel freed it in {}; the reason says no more", Printable(location));
            Advice::new(
                place.over_mtu(drop).map_or_else(|| freed.clone(), |text| format!("{freed}, but {text}")),
            )
        }),
    })
}

struct Place<'a> {
    path: &'a Path,
    direction: Direction,
    /// The hook's label: a role, perhaps with an interface behind a colon.
    after: &'a str,
    /// As [`PortTrace::passed`].
    passed: Vec<&'a Hop>,
}

impl Place<'_> {
    fn hop(&self) -> Option<&Hop> {
        self.path.hop_of(self.after)
    }

    /// Where the packets can have been: the hook's interface, and those behind it that have none.
    fn places(&self) -> impl Iterator<Item = &Hop> {
        let all = self.passed.len();
        self.passed.iter().take(if all > 1 { all - 1 } else { all }).copied()
    }

    /// The interface of the hook.
    fn own(&self) -> String {
        self.hop().map_or_else(|| self.after.to_owned(), |hop| Printable(&hop.ifname).to_string())
    }

    /// What shows that the packets' example is too large for the interface behind the hook, if it is.
    fn over_mtu(&self, drop: &Drop) -> Option<String> {
        let bytes = drop.example.as_ref()?.len_bytes.checked_sub(ETHERNET_HEADER_BYTES)?;
        let smallest = self.passed.iter().skip(1).min_by_key(|hop| hop.mtu_bytes)?;
        let Hop { ifname, mtu_bytes, .. } = smallest;
        let name = Printable(ifname);
        (bytes > *mtu_bytes)
            .then(|| format!("the one shown has {bytes} bytes, and the MTU of {name} is {mtu_bytes}"))
    }

    /// The guest's own interface.
    fn guests(&self) -> String {
        self.path.guests().map_or_else(|| "the tap".to_owned(), |hop| Printable(&hop.ifname).to_string())
    }

    /// The ring that the guest's device reads from, which is full again and again if packets die `in_bursts`.
    fn ring(&self, in_bursts: bool) -> Advice {
        let full = "the guest does not drain its queue: the ring of";
        let Some(tap) = self.path.guests() else {
            return Advice::new(format!("{full} {} is full", self.guests()));
        };
        let (name, packets) = (Printable(&tap.ifname), tap.queue_packets);
        let pauses = if in_bursts {
            ", again and again: more comes at once than it holds, or its CPUs pause or get no time"
        } else {
            ""
        };
        let advice = Advice::new(format!("{full} {name}, which holds {packets} packets, is full{pauses}"));
        let longer = (packets < LONG_RING_PACKETS).then(|| {
            format!(
                "ip link set dev {name} txqueuelen {LONG_RING_PACKETS}, if its CPUs pause for a moment only"
            )
        });
        let domain = self.path.instance.name.as_deref().filter(|_| in_bursts);
        let waits = domain.map(|domain| {
            let domain = Printable(domain);
            format!(
                "virsh domstats --vcpu {domain} tells how long its CPUs waited for one of the host's (delay)"
            )
        });
        let next: Vec<String> = longer.into_iter().chain(waits).collect();
        if next.is_empty() { advice } else { advice.next(next.join("; ")) }
    }

    /// What the kernel's own reasons mean; `None`: not known here.
    fn core(&self, reason: &str, drop: &Drop) -> Option<Advice> {
        Some(match reason {
            "FULL_RING" => self.ring(drop.bursts.is_some()),
            reason if is_queue_s(reason) => self.queue(),
            "PKT_TOO_BIG" => {
                let example = self.over_mtu(drop).map_or_else(String::new, |text| format!("; {text}"));
                Advice::new(format!(
                    "larger than the next interface's MTU: compare the MTUs (hoptrace path shows them){example}"
                ))
            }
            "CPU_BACKLOG" => Advice::new(
                "the CPU's input queue is full: more packets than the host's softirqs can take (net.core.netdev_max_backlog)",
            ),
            "DEV_READY" => Advice::new("the interface is down, or nothing is attached behind it"),
            "TC_INGRESS" => self.filter_of_tc(),
            // Limits that drop are where packets come in.
            "TC_EGRESS" => self.any_filter_of_tc(),
            "XDP" => Advice::new("another XDP program drops it"),
            "" | "NOT_SPECIFIED" if drop.location.as_deref().is_some_and(is_purge) => emptied(),
            "" | "NOT_SPECIFIED" if drop.location.as_deref().is_some_and(is_in_queue) => self.queue(),
            "" | "NOT_SPECIFIED"
                if drop
                    .location
                    .as_deref()
                    .is_some_and(|at| XDP.iter().any(|place| at.starts_with(place))) =>
            {
                Advice::new("another XDP program drops it")
            }
            "QUEUE_PURGE" => emptied(),
            "IP_CSUM" | "TCP_CSUM" | "UDP_CSUM" | "SKB_CSUM" => Advice::new(
                "its checksum is wrong: corrupted on its way, or an offload that was never completed",
            ),
            "NOMEM" => Advice::new("the host had no memory for it"),
            _ => return None,
        })
    }

    /// A filter of traffic control for what comes in: a limit, perhaps.
    fn filter_of_tc(&self) -> Advice {
        let mut limits = self.places().filter_map(|hop| Some((hop, self.limit(hop, Beyond::Die)?)));
        match limits.next() {
            Some((hop, limit)) => {
                let name = Printable(&hop.ifname);
                Advice::new(format!("a filter of tc drops it: {name} {}", limit.in_words()))
                    .next(format!("tc -s filter show dev {name} ingress"))
            }
            None => self.any_filter_of_tc(),
        }
    }

    fn any_filter_of_tc(&self) -> Advice {
        Advice::new("a filter of tc drops it")
            .next(format!("tc filter show dev {} (or its neighbour)", self.own()))
    }

    /// The limit there, if it is for these packets.
    fn limit<'h>(&self, hop: &'h Hop, beyond: Beyond) -> Option<&'h Limit> {
        let mut limits = hop.limits.iter().filter(|limit| limit.in_force != Some(false));
        limits.find(|limit| limit.direction == self.direction && limit.beyond == beyond)
    }

    /// The command that shows how a queue is limited.
    fn setting(&self, hop: &Hop, limit: &Limit) -> String {
        let name = Printable(&hop.ifname);
        match limit.set_by {
            LimitSource::Ovsdb => format!("ovs-appctl qos/show {name}"),
            LimitSource::Libvirt => {
                let domain = self.path.instance.name.as_deref().unwrap_or("DOMAIN");
                format!("virsh domiftune {} {name}", Printable(domain))
            }
            LimitSource::Kernel => format!("tc -s qdisc show dev {name}"),
        }
    }

    /// Which filter it was, as far as the host's rules and counters tell.
    fn firewall(&self, report: &PortTrace<'_>, drop: &Drop) -> Advice {
        let before = self.places().find(|hop| hop.facts.firewall_behind == Some(self.direction));
        let bridge = before.and_then(|hop| hop.bridge.as_deref()).map(|name| Printable(name).to_string());
        let place = match bridge {
            Some(bridge) => format!("on {bridge}"),
            None => format!("behind {}", self.own()),
        };
        filters::advice(report, &place, drop)
    }

    fn queue(&self) -> Advice {
        // An interface queues what it sends.
        let sends = |hop: &&Hop| hop.facts.receives != self.direction;
        let hop = self.places().find(sends).or_else(|| self.hop());
        let device = match hop {
            Some(hop) => Printable(&hop.ifname).to_string(),
            None => self.after.to_owned(),
        };
        if hop.is_some_and(|hop| hop.stacked) {
            return Advice::new(format!(
                "the queueing discipline of {device}, or of an interface below it, is full or limits the rate"
            ))
            .next(format!("ip -d link show {device}; tc -s qdisc"));
        }
        let limited = hop.and_then(|hop| Some((hop, self.limit(hop, Beyond::Wait)?)));
        if let Some((hop, limit)) = limited.filter(|(_, limit)| limit.bits_per_second.is_some()) {
            return Advice::new(format!(
                "the queueing discipline of {device} is full: it {}",
                limit.in_words()
            ))
            .next(self.setting(hop, limit));
        }
        Advice::new(format!("the queueing discipline of {device} is full or limits the rate"))
            .next(format!("tc -s qdisc show dev {device}"))
    }

    fn openvswitch(&self, reason: &str) -> Advice {
        let bridge = self.hop().and_then(|hop| hop.bridge.as_deref()).unwrap_or("its bridge");
        let bridge = Printable(bridge);
        let trace = |what: &str| format!("ovs-appctl ofproto/trace {bridge} {what}, or --explain");
        match reason {
            "LAST_ACTION" => {
                Advice::new("no OpenFlow rule sends it on").next(trace("shows which rule ends it"))
            }
            "EXPLICIT" | "EXPLICIT_WITH_ERROR" => {
                Advice::new("an OpenFlow rule drops it").next(trace("shows which"))
            }
            "METER" => {
                Advice::new("an OpenFlow meter limits the rate").next("ovs-ofctl -O OpenFlow13 meter-stats")
            }
            "CONNTRACK" => Advice::new("Open vSwitch's connection tracking refuses it"),
            "IP_TTL" => Advice::new("its TTL ran out in Open vSwitch"),
            "RECURSION_LIMIT" | "DEFERRED_LIMIT" => {
                Advice::new("Open vSwitch gave up: the rules send it around in a circle")
            }
            "FRAG_L2_TOO_LONG" | "FRAG_INVALID_PROTO" => {
                Advice::new("larger than the next interface's MTU, and Open vSwitch cannot fragment it")
            }
            other => Advice::new(format!("Open vSwitch drops it: {}", Printable(other))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{DropExample, Firewall, FirewallRule, HostReport, Role, Snapshot, Step},
        report::trace_samples::{packet, path, snapshot, watched},
    };

    /// In words, on a host whose filters are these.
    fn told(path: &Path, firewall: Option<Firewall>, direction: Direction, drop: &Drop) -> Option<String> {
        told_with(path, &snapshot(10), firewall, direction, drop)
    }

    fn told_with(
        path: &Path,
        snapshot: &Snapshot,
        firewall: Option<Firewall>,
        direction: Direction,
        drop: &Drop,
    ) -> Option<String> {
        let host = HostReport { firewall, ..HostReport::default() };
        let report = watched(path, snapshot, &host);
        let port = report.each_port().next().unwrap();
        advice(&port, direction, drop).map(|advice| advice.to_string())
    }

    fn of(direction: Direction, after: &str, reason: &str, subsystem: Option<&str>) -> Option<String> {
        let drop = Drop {
            after: after.to_owned(),
            reason: Some(reason.to_owned()),
            subsystem: subsystem.map(str::to_owned),
            location: Some("some_function+0x1".to_owned()),
            count: 1,
            ..Drop::default()
        };
        told(&path(), None, direction, &drop)
    }

    fn by_netfilter() -> Drop {
        Drop {
            after: "tap".to_owned(),
            reason: Some("NETFILTER_DROP".to_owned()),
            location: Some("nf_hook_slow+0x9a".to_owned()),
            count: 5,
            ..Drop::default()
        }
    }

    fn rule(program: &'static str, chains: &[&str], rule: Option<&str>, rose: Option<u64>) -> FirewallRule {
        FirewallRule {
            program: program.into(),
            family: "bridge".to_owned(),
            table: "t".to_owned(),
            chains: chains.iter().map(|chain| (*chain).to_owned()).collect(),
            rule: rule.map(str::to_owned),
            rose,
            at_least: false,
        }
    }

    fn filtered(rules: Vec<FirewallRule>) -> String {
        let firewall = Firewall { rules, unread: Vec::new() };
        told(&path(), Some(firewall), Direction::Egress, &by_netfilter()).unwrap()
    }

    #[track_caller]
    fn says(direction: Direction, after: &str, reason: &str, subsystem: Option<&str>, what: &str) {
        let advice = of(direction, after, reason, subsystem).unwrap();
        assert!(advice.contains(what), "{advice}");
    }

    #[test]
    fn a_filter_is_named_by_its_counter_or_by_what_it_can_do() {
        let counted = filtered(vec![
            rule("nft", &["f"], Some("rule 4"), Some(5)),
            rule("nft", &["g"], Some("rule 9"), None),
        ]);
        assert_eq!(
            counted,
            "a firewall rule on qbrc3d70d5c-a90 drops it: nft table bridge t, chain f, rule 4, whose counter rose by 5 in all: \
             nft -a list chain bridge t f"
        );
        // Which of several it was, counters tell if they fit.
        let two = |one: u64, other: u64| {
            filtered(vec![
                rule("nft", &["f"], Some("rule 4"), Some(one)),
                rule("nft", &["g"], Some("rule 9"), Some(other)),
            ])
        };
        assert!(two(40, 5).contains(
            "drops it: nft table bridge t, chain g, rule 9, whose counter rose by 5 in all; other"
        ));
        let only = filtered(vec![rule("nft", &["f"], Some("rule 4"), Some(2))]);
        assert!(only.contains("rose by 2 in all; what dropped the others is not known"), "{only}");
        let both = two(2, 3);
        assert!(both.contains("rule 9 (by 3); nft table bridge t, chain f, rule 4 (by 2): nft -a"), "{both}");
        let unclear = two(40, 3);
        assert!(
            unclear.contains("rule 4 (by 40); nft table bridge t, chain g, rule 9 (by 3); which of them"),
            "{unclear}"
        );
        // A rule for IPv6 does not see IPv4.
        let v6 = FirewallRule { family: "ip6".to_owned(), ..rule("nft", &["f"], Some("rule 4"), Some(5)) };
        let example = Some(DropExample { time_ns: 0, len_bytes: 98, flow: packet().flow });
        let drop = Drop { example, ..by_netfilter() };
        let firewall = |rules| Some(Firewall { rules, unread: Vec::new() });
        let seen = told(&path(), firewall(vec![v6]), Direction::Egress, &drop).unwrap();
        assert!(seen.contains("whose is not known"), "{seen}");
        let silent = filtered(vec![rule("nft", &["f"], Some("rule 4"), None)]);
        assert!(silent.contains("nft table bridge t, chain f, rule 4 can drop there"), "{silent}");
        let many = filtered(vec![rule("iptables", &["FORWARD"], None, None); 5]);
        assert!(many.contains("chain FORWARD, policy and others can drop there"), "{many}");
    }

    #[test]
    fn with_few_hooks_what_has_none_is_looked_at_where_packets_can_have_been() {
        let mut few = snapshot(10);
        for way in Direction::ALL {
            few.directions.get_mut(way).hooks.retain(|hook| hook.hook != "qvb");
        }
        let of = |direction, after: &str, reason: &str| {
            let drop = Drop {
                after: after.to_owned(),
                reason: Some(reason.to_owned()),
                location: Some("some_function+0x1".to_owned()),
                ..Drop::default()
            };
            told_with(&path(), &few, None, direction, &drop).unwrap()
        };
        for (direction, after) in [(Direction::Egress, "tap"), (Direction::Ingress, "qvo")] {
            let filter = of(direction, after, "NETFILTER_DROP");
            assert!(filter.contains("on qbrc3d70d5c-a90"), "{filter}");
        }
        let mut small = path();
        for step in &mut small.steps {
            if let Step::Interface(hop) = step
                && hop.role == Role::Qvo
            {
                hop.mtu_bytes = 1_000;
            }
        }
        let example = Some(DropExample { time_ns: 0, len_bytes: 1_400, flow: packet().flow });
        let drop =
            Drop { after: "tap".to_owned(), example, location: Some("f+0x1".to_owned()), ..Drop::default() };
        let large = told_with(&small, &few, None, Direction::Egress, &drop).unwrap();
        assert!(large.contains("and the MTU of qvoc3d70d5c-a90 is 1000"), "{large}");
        let queue = of(Direction::Egress, "tap", "QDISC_DROP");
        assert!(queue.contains("tc -s qdisc show dev qvb"), "{queue}");
        let queue = of(Direction::Ingress, "qvo", "QDISC_DROP");
        assert!(queue.contains("tc -s qdisc show dev qvo"), "{queue}");
    }

    #[test]
    fn a_security_group_is_named_where_the_packets_came_by_it() {
        let chains = ["FORWARD", "neutron-openvswi-oc3d70d5c-a", "neutron-openvswi-sg-fallback"];
        let ours = filtered(vec![rule("iptables", &chains, Some("-j DROP"), Some(5))]);
        assert!(ours.contains("security group, chain neutron-openvswi-oc3d70d5c-a)"), "{ours}");
        let chains = ["FORWARD", "neutron-openvswi-o11111111-1"];
        let other = filtered(vec![rule("iptables", &chains, Some("-j DROP"), Some(5))]);
        assert!(!other.contains("security group"), "{other}");
    }

    #[test]
    fn without_a_rule_that_drops_it_is_not_known_who_did() {
        let none = filtered(Vec::new());
        assert!(none.contains("whose is not known (no rule of nftables"), "{none}");
        assert!(!none.contains("neutron"), "{none}");
        let unread = Firewall { rules: Vec::new(), unread: vec!["nft is not installed".to_owned()] };
        let unread = told(&path(), Some(unread), Direction::Egress, &by_netfilter()).unwrap();
        assert!(unread.contains("not known (nft is not installed)"), "{unread}");
        let nobody =
            told(&path(), None, Direction::Ingress, &Drop { after: "nic".to_owned(), ..by_netfilter() });
        assert!(nobody.unwrap().contains("behind ens3"));
    }

    #[test]
    fn queues_and_rings_are_named() {
        use Direction::{Egress, Ingress};
        says(
            Ingress,
            "tap",
            "FULL_RING",
            None,
            "the guest does not drain its queue: the ring of tapc3d70d5c-a90, which holds 1000 packets, is full: ip link set dev \
             tapc3d70d5c-a90 txqueuelen 10000",
        );
        says(Egress, "nic", "QDISC_DROP", None, "tc -s qdisc show dev ens3");
        says(Egress, "wire", "QDISC_DROP", None, "dev ens3");
        says(Egress, "nic:ens3", "QDISC_OVERLIMIT", None, "dev ens3");
        let at = |place: &str| {
            let drop = Drop { location: Some(place.to_owned()), ..by_netfilter() };
            told(&path(), None, Egress, &Drop { reason: Some("NOT_SPECIFIED".to_owned()), ..drop }).unwrap()
        };
        for place in [
            "__rtnl_unlock+0x4a",
            "qdisc_reset+0x74",
            "tun_device_event+0x1",
            "rtnl_kfree_skbs+0x1",
            "skb_queue_purge_reason+0x8",
        ] {
            assert!(at(place).contains("its queue was emptied"), "{place}");
        }
        assert!(at("nfqnl_reinject+0x95").starts_with("a program at an NFQUEUE dropped it"));
        assert!(at("veth_xdp_rcv_skb+0x27d").contains("another XDP program"));
        says(Egress, "nic", "QUEUE_PURGE", None, "its interface was taken down, its queue's length changed");
        says(Egress, "qvo", "PKT_TOO_BIG", None, "MTU");
        says(Egress, "qvb", "CPU_BACKLOG", None, "softirqs");
    }

    #[test]
    fn a_limit_is_named_with_its_rate_and_who_has_set_it() {
        use Direction::{Egress, Ingress};
        let limit = |direction, beyond, set_by, name: &str| Limit {
            direction,
            beyond,
            bits_per_second: Some(1_024_000),
            in_force: Some(true),
            shared: false,
            set_by,
            name: name.to_owned(),
        };
        let mut path = path();
        let limits = [
            ("tap", limit(Ingress, Beyond::Wait, LimitSource::Libvirt, "<bandwidth> inbound")),
            ("qvo", limit(Egress, Beyond::Die, LimitSource::Ovsdb, "ingress_policing_rate")),
            ("qvo", limit(Ingress, Beyond::Wait, LimitSource::Ovsdb, "QoS linux-htb")),
        ];
        for step in &mut path.steps {
            let Step::Interface(hop) = step else { continue };
            let own = limits.iter().filter(|(role, _)| *role == hop.role.as_str());
            hop.limits = own.map(|(_, limit)| limit.clone()).collect();
        }
        let of = |direction, after: &str, reason: &str| {
            let location = Some("some_function+0x1".to_owned());
            let drop = Drop {
                after: after.to_owned(),
                reason: Some(reason.to_owned()),
                location,
                ..Drop::default()
            };
            told(&path, None, direction, &drop).unwrap()
        };
        assert_eq!(
            of(Egress, "qvo", "TC_INGRESS"),
            "a filter of tc drops it: qvoc3d70d5c-a90 lets 1.02 Mbit/s through from the VM (Open vSwitch's \
             ingress_policing_rate): tc -s filter show dev qvoc3d70d5c-a90 ingress"
        );
        let shaped = of(Ingress, "qvo", "QDISC_DROP");
        assert!(
            shaped.contains("is full: it lets 1.02 Mbit/s through to the VM (Open vSwitch's QoS linux-htb)"),
            "{shaped}"
        );
        assert!(shaped.ends_with("ovs-appctl qos/show qvoc3d70d5c-a90"), "{shaped}");
        let guests = of(Ingress, "tap", "QDISC_DROP");
        assert!(
            guests.contains("libvirt's <bandwidth> inbound") && guests.contains("virsh domiftune"),
            "{guests}"
        );
        // A limit on the other way is none on this one, nor is one of what comes in one of what goes out.
        assert!(!of(Egress, "qvo", "TC_EGRESS").contains("Mbit/s"));
        assert!(of(Ingress, "qvo", "TC_INGRESS").starts_with("a filter of tc drops it"));
        assert!(of(Egress, "nic", "QDISC_DROP").ends_with("tc -s qdisc show dev ens3"));
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
                location: Some(location.to_owned()),
                count: 1,
                example: Some(example),
                ..Drop::default()
            };
            told(&path(), None, direction, &drop).unwrap()
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
        let lost = Drop { after: "qvo".to_owned(), count: 1, ..Drop::default() };
        assert_eq!(told(&path(), None, Direction::Egress, &lost), None);
    }
}
