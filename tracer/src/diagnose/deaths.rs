//! Packets that died: how many of how many, where, why, and what next.

use super::{
    advice::{Advice, advice},
    troubles::{Trouble, When, troubles},
    words::{came, counted, hook, packets},
};
use crate::model::{
    Direction, Drop, Evidence, EvidenceSource, Explanation, Finding, Hop, LogicalFlow, OpenFlowRule, Path,
    PortTrace, Printable, ProblemKind, Severity, Step,
};

/// Reasons that say enough by themselves: an interface that is down, say, is not why.
const SAY_WHY: [&str; 11] = [
    "NETFILTER_DROP",
    "PKT_TOO_BIG",
    "TC_INGRESS",
    "TC_EGRESS",
    "XDP",
    "CPU_BACKLOG",
    "IP_CSUM",
    "TCP_CSUM",
    "UDP_CSUM",
    "SKB_CSUM",
    "NOMEM",
];

pub(super) fn findings(report: &PortTrace<'_>) -> Vec<Finding> {
    Direction::ALL.into_iter().flat_map(|direction| of(report, direction)).collect()
}

/// Those of a direction, the most packets first; the first says how many died in all.
fn of(report: &PortTrace<'_>, direction: Direction) -> Vec<Finding> {
    let figures = report.port.directions.get(direction);
    let mut drops: Vec<&Drop> = figures.drops.iter().filter(|drop| drop.count > 0).collect();
    drops.sort_by_key(|drop| std::cmp::Reverse(drop.count));
    let died = drops.iter().fold(0_u64, |sum, drop| sum.saturating_add(drop.count));
    let known = figures.ledger.dropped.saturating_add(figures.ledger.lost);
    let all = came(&figures.ledger).max(died).max(known);
    let everything = figures.ledger.completed == 0 && figures.ledger.in_flight == 0 && died >= all;
    let code = if everything { "everything-died" } else { "packets-died" };
    let who = direction.course();
    // Those that died before the first hook are told by themselves.
    let of_those = if figures.early_drops.is_empty() { "" } else { " that hooks saw" };
    let sentence = |place: usize, drop: &Drop| {
        let many = if place > 0 {
            format!("{} {who} died", packets(drop.count))
        } else {
            let died_of = match (everything, died) {
                (true, 1) => format!("the only packet {who}{of_those} died"),
                (true, _) => format!("all {died} packets {who}{of_those} died"),
                (false, _) => format!("{died} of {} {who}{of_those} died", packets(all)),
            };
            match drops.len() {
                1 => died_of,
                _ if drop.count > died / 2 => format!("{died_of}, most of them ({})", drop.count),
                _ => format!("{died_of}, {} of them", drop.count),
            }
        };
        let after = hook(report.path(), &drop.after);
        let Advice { what, next } = cause(report, direction, drop);
        let bursts = drop.bursts.map_or_else(String::new, |bursts| format!(", {bursts}"));
        let text = format!("{many} after {after}{bursts}: {what}{}", late(report, direction, drop));
        let finding = Finding::new(Severity::Critical, code, text).at(drop.after.clone());
        match next {
            Some(next) => finding.next(next),
            None => finding,
        }
    };
    drops.iter().enumerate().map(|(place, drop)| sentence(place, drop)).collect()
}

/// Why, by what says most: what is wrong with the interfaces in between, the switch's own rule, the kernel's reason, and the
/// host's counters.
fn cause(report: &PortTrace<'_>, direction: Direction, drop: &Drop) -> Advice {
    let between = between(report, direction, &drop.after);
    let blocking = blocking(report, &between, direction, drop);
    if let Some((trouble, When::Throughout)) = &blocking {
        return Advice { what: trouble.words(report.path()), next: trouble.next(report.path()) };
    }
    let in_switch = between.iter().any(|node| is_switch(node));
    let counted: Vec<_> = report
        .trace
        .evidence
        .iter()
        .filter(|it| is_about(it, &between, in_switch) && is_of_way(it, report.path(), direction))
        .map(counter)
        .collect();
    let meanwhile = if counted.is_empty() {
        String::new()
    } else {
        format!("; counted meanwhile: {}", counted.join(", "))
    };
    let known = drop.explain.as_ref().and_then(|explained| by_rule(drop, explained, &meanwhile));
    let known = known.or_else(|| advice(report, direction, drop));
    match (known, blocking) {
        (Some(known), Some((trouble, When::Partly))) => {
            let what =
                format!("{}; some of them perhaps because {}", known.what, trouble.words(report.path()));
            Advice { what, ..known }
        }
        (Some(known), Some((trouble, When::NotKnown))) if !drop.is_lost() => {
            let what = format!("{}; {}", known.what, trouble.words(report.path()));
            Advice { what, next: trouble.next(report.path()).or(known.next) }
        }
        (Some(known), _) => known,
        (None, Some((trouble, when))) => {
            let some = if when == When::Partly { "some of them " } else { "" };
            let what = format!("lost, {some}perhaps because {}", trouble.words(report.path()));
            Advice { what, next: trouble.next(report.path()) }
        }
        (None, None) => {
            let next = (in_switch && drop.explain.is_none())
                .then(|| "the same with --explain asks Open vSwitch which of its rules it was".to_owned());
            Advice { what: format!("lost, no reason was seen{meanwhile}"), next }
        }
    }
}

/// A packet that comes after the time-out is lost at one hook, and joins midway at the next.
fn late(report: &PortTrace<'_>, direction: Direction, drop: &Drop) -> String {
    let ledger = &report.port.directions.get(direction).ledger;
    let maybe = drop.count.min(ledger.joined_midway);
    if !drop.is_lost() || maybe == 0 {
        return String::new();
    }
    format!(
        " (up to {maybe} may only have been late, or were changed: as many joined midway; a longer --timeout than {} ms tells)",
        report.trace.settings.timeout_ms
    )
}

/// What is between the hook and the next one, both included, in the order a packet passes it.
fn between<'a>(report: &PortTrace<'a>, direction: Direction, after: &str) -> Vec<&'a Step> {
    let (path, passed) = (report.path(), report.passed(direction, after));
    let Some(hop) = passed.first().copied() else { return Vec::new() };
    let next = passed.last();
    let place = |name: &str| path.steps.iter().position(|step| step.name() == name);
    let Some(from) = place(&hop.ifname) else { return Vec::new() };
    let to = next.and_then(|next| place(&next.ifname)).unwrap_or(from);
    let steps = path.steps.iter().skip(from.min(to)).take(from.abs_diff(to) + 1);
    // No packet goes from this uplink to another one.
    let is_other =
        |step: &&Step| matches!(step, Step::Interface(other) if other != hop && other.is_alternative_to(hop));
    let mut steps: Vec<_> = steps.filter(|step| !is_other(step)).collect();
    if direction == Direction::Ingress {
        steps.reverse();
    }
    steps
}

/// The trouble in between that can have killed them, and whether it was there when they died; an interface that is down rather than one
/// whose carrier went with it.
fn blocking(
    report: &PortTrace<'_>,
    between: &[&Step],
    direction: Direction,
    drop: &Drop,
) -> Option<(Trouble, When)> {
    let reason = drop.reason.as_deref().unwrap_or_default();
    if drop.subsystem.is_some()
        || SAY_WHY.contains(&reason)
        || (reason.starts_with("QDISC_") && reason != "QDISC_DROP")
    {
        return None;
    }
    let at_tap = report.path().hop_of(&drop.after).is_some_and(Hop::is_guests);
    let is_here = |trouble: &Trouble| match trouble.problem.kind {
        ProblemKind::Paused | ProblemKind::Unplugged => at_tap && direction == Direction::Ingress,
        // A ring is full of what the guest does not read.
        _ if reason == "FULL_RING" => false,
        kind => kind.blocks() && between.iter().any(|step| step.name() == trouble.problem.at),
    };
    let here = troubles(report).into_iter().filter(is_here).filter_map(|trouble| {
        let when = trouble.when_of(drop.first_ns, drop.last_ns)?;
        Some((trouble, when))
    });
    here.min_by_key(|(trouble, when)| (*when, trouble.problem.kind != ProblemKind::Down))
}

/// The last rule that an example hit, where it drops; `meanwhile`: what the host counted. That all of them hit it is only said where it was hit as often.
fn by_rule(drop: &Drop, explained: &Explanation, meanwhile: &str) -> Option<Advice> {
    let rule = explained.rules.last()?;
    let drops = explained.datapath_actions.last().is_some_and(|actions| actions == "drop");
    // One that was not hit was assumed wrongly.
    if !drops || explained.hits == Some(0) {
        return None;
    }
    if rule.priority.is_some() && forwards(rule) {
        let what = format!(
            "Open vSwitch drops it behind {} table {}, though no rule says so: a port's state (spanning tree, no-receive, no-forward, protected), multicast snooping, an MTU, an \
             address that is behind the port it comes from, or a VLAN that no other port is in can be why",
            Printable(&rule.bridge),
            rule.table
        );
        let next = format!(
            "ovs-ofctl show {}; ovs-vsctl --columns=name,status,rstp_status list port",
            Printable(&rule.bridge)
        );
        return Some(Advice { what, next: Some(next) });
    }
    let priority = rule.priority.map_or_else(String::new, |priority| format!(" priority {priority}"));
    let matches = if rule.matches.is_empty() { "everything" } else { &rule.matches };
    let bridge = Printable(&rule.bridge);
    let assumed =
        explained.assumed.as_deref().map_or_else(String::new, |assumed| format!(" ({})", Printable(assumed)));
    let place = format!("{bridge} table {}{priority}", rule.table);
    let what = match &rule.logical {
        Some(flow) => format!(
            "OVN's {}: {} {}{assumed} ({place})",
            Printable(flow.stage.as_deref().unwrap_or("logical flow")),
            Printable(&flow.matches),
            Printable(&flow.actions)
        ),
        None => {
            format!("{place}: {} {}{assumed}", Printable(matches), Printable(&rule.actions.join(", ")))
        }
    };
    let what = match explained.hits {
        Some(hits) if hits > drop.count => {
            format!("{what} (which was hit by {} meanwhile, others' included)", packets(hits))
        }
        Some(hits) if hits == drop.count => what,
        _ if drop.count == 1 => what,
        Some(hits) => format!(
            "one of them by {what}, which was hit by {} meanwhile; what became of the others is not known{meanwhile}",
            packets(hits)
        ),
        None => format!("one of them by {what}; what became of the others is not known{meanwhile}"),
    };
    let next = rule.logical.as_ref().and_then(of_acl);
    let next = next.unwrap_or_else(|| format!("ovs-ofctl dump-flows {bridge} table={}", rule.table));
    Some(Advice { what, next: Some(next) })
}

/// How to see the ACL that a logical flow was made of.
fn of_acl(flow: &LogicalFlow) -> Option<String> {
    let hint = flow.hint.as_deref().filter(|hint| hint.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    let is_acl = flow.stage.as_deref().is_some_and(|stage| stage.contains("_acl"));
    is_acl.then(|| format!("where OVN's northbound database is: ovn-nbctl list acl {hint}"))
}

/// Whether a rule sends packets on, or does not say what it does.
fn forwards(rule: &OpenFlowRule) -> bool {
    const ONWARD: [&str; 8] = ["NORMAL", "output", "FLOOD", "ALL", "LOCAL", "IN_PORT", "group", "enqueue"];
    let drops = rule.actions.iter().any(|action| action.contains("drop"));
    let onward = |action: &String| {
        ONWARD.iter().any(|name| action.starts_with(name)) || action.bytes().all(|byte| byte.is_ascii_digit())
    };
    !drops && (rule.actions.is_empty() || rule.actions.iter().any(onward))
}

fn is_switch(step: &Step) -> bool {
    matches!(step, Step::Bridge { kind, .. } if kind.is_ovs())
}

/// Whether a counter may have counted what died there.
fn is_about(evidence: &Evidence, between: &[&Step], in_switch: bool) -> bool {
    (evidence.source.is_switch() && in_switch)
        || (evidence.source.is_at_interface() && between.iter().any(|step| step.name() == evidence.at))
}

/// Whether a counter of an interface is for packets that go the way of `direction`: the tap and qvo receive what comes from the VM,
/// qvb and the NIC send it.
fn is_of_way(evidence: &Evidence, path: &Path, direction: Direction) -> bool {
    let counts = |start: &str| evidence.counter.starts_with(start);
    let is_received = counts("rx_") || evidence.source == EvidenceSource::Socket;
    if !is_received && !counts("tx_") {
        return true;
    }
    path.hop_at(&evidence.at).is_none_or(|hop| is_received == (direction == hop.facts.receives))
}

fn counter(evidence: &Evidence) -> String {
    let others = if evidence.shared { ", others' packets included" } else { "" };
    let at = Printable(&evidence.at);
    format!("{at} {} ({}{others})", Printable(&evidence.counter), counted(evidence.count, "packet"))
}
