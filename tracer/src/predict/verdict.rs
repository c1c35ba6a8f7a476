//! Where a packet would go, from what the switch answered, in one line. Pure.

use super::known::{Known, name};
use crate::{
    explain::{Output, Outputs, UserSpace},
    model::{
        Direction, Explanation, Fate, OpenFlowRule, OtherPort, OvsPlace, PredictedPort, Printable, Step,
    },
    ovs::SwitchPort,
    path,
};

/// Ports that the line names at most.
const MAX_NAMES: usize = 8;
/// How the switch says what it did with a rule's action.
const DETAIL: &str = "-> ";

/// What the switch answered, and what is known of its ports.
#[derive(Debug)]
pub(super) struct Answered<'a> {
    pub(super) direction: Direction,
    /// The port of the switch that the packet comes in by.
    pub(super) in_port: &'a str,
    /// What was made up of the packet and may be why it goes nowhere, in words.
    pub(super) doubts: &'a [String],
    pub(super) explained: &'a Explanation,
    pub(super) outputs: Outputs,
    /// Why it could not finish, in its words.
    pub(super) failed: Option<&'a str>,
    pub(super) ports: &'a [SwitchPort],
}

/// The end of the way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) fate: Fate,
    pub(super) line: String,
    pub(super) outputs: Vec<PredictedPort>,
}

/// A port by which the packet leaves, and what that means.
struct Found {
    port: PredictedPort,
    fate: Fate,
    is_mirror: bool,
}

/// What became of the packet.
pub(super) fn verdict(known: Known<'_>, answered: &Answered<'_>) -> Verdict {
    let found: Vec<_> = answered.outputs.ports.iter().map(|output| found(known, answered, output)).collect();
    let (fate, line) = match failed(answered) {
        Some(line) => (Fate::Dropped, line),
        None => told(known, answered, &found),
    };
    let (fate, line) = doubted(answered, fate, line);
    Verdict { fate, line, outputs: found.into_iter().map(|found| found.port).collect() }
}

/// A packet with an address that is made up goes where none with the right one would.
fn doubted(answered: &Answered<'_>, fate: Fate, line: String) -> (Fate, String) {
    let is_doubtful = matches!(fate, Fate::Dropped | Fate::Flooded) && !answered.doubts.is_empty();
    if is_doubtful {
        (Fate::Unclear, format!("not known: {}; {line}", answered.doubts.join(", ")))
    } else {
        (fate, line)
    }
}

fn failed(answered: &Answered<'_>) -> Option<String> {
    answered.failed.map(|why| format!("dropped, because the switch could not finish: {}", Printable(why)))
}

fn told(known: Known<'_>, answered: &Answered<'_>, found: &[Found]) -> (Fate, String) {
    let (mirrors, ends): (Vec<_>, Vec<_>) = found.iter().partition(|found| found.is_mirror);
    let (fate, line) = match ends.as_slice() {
        [] if answered.outputs.hashed => by_hash(known, answered.explained),
        [] => nowhere(answered),
        [only] if !answered.outputs.hashed && answered.outputs.tunnelled > 1 => {
            let PredictedPort { ifname, what } = &only.port;
            let line =
                format!("flooded to {} other hosts by {} ({what})", answered.outputs.tunnelled, name(ifname));
            (Fate::Flooded, line)
        }
        [only] if !answered.outputs.hashed => (only.fate, one(only)),
        several => (Fate::Flooded, flooded(several, answered.outputs.hashed)),
    };
    let misses = answered.direction == Direction::Ingress && !ends.is_empty() && !answered.outputs.hashed;
    let line = if misses && !ends.iter().any(|end| matches!(end.fate, Fate::ToVm | Fate::Onward)) {
        format!("does not come to the VM: {line}")
    } else {
        line
    };
    let copies = (!mirrors.is_empty()).then(|| format!("; mirrored to {}", names(&mirrors)));
    let branch = (!ends.is_empty()).then(|| dropping(answered.explained)).flatten();
    let branch = branch.map(|rule| format!("; on another branch dropped by {}", in_words(rule)));
    (fate, line + &copies.unwrap_or_default() + &branch.unwrap_or_default())
}

/// By one port. What is there is safe to print already.
fn one(only: &Found) -> String {
    let PredictedPort { ifname, what } = &only.port;
    let ifname = name(ifname);
    match only.fate {
        Fate::ToWire => format!("leaves by {ifname} ({what})"),
        Fate::ToVm => format!("comes to the VM by {ifname} ({what})"),
        Fate::Answered => format!("the switch answers it itself: the answer comes back by {ifname} ({what})"),
        Fate::Onward => format!("goes on by {ifname}, {what}: what is done with it there is not predicted"),
        _ => format!("goes to {ifname} beside the path: {what}"),
    }
}

fn flooded(ends: &[&Found], hashed: bool) -> String {
    let count = ends.len();
    let ports = if count == 1 { "port" } else { "ports" };
    let more = if hashed { " and to one that the datapath chooses by a hash" } else { "" };
    format!("flooded to {count} {ports}{more}: {}", names(ends))
}

fn names(ends: &[&Found]) -> String {
    let shown: Vec<_> = ends.iter().take(MAX_NAMES).map(|end| name(&end.port.ifname)).collect();
    let more = if ends.len() > MAX_NAMES { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// By a bond, or a group that balances.
fn by_hash(known: Known<'_>, explained: &Explanation) -> (Fate, String) {
    let is_group =
        explained.rules.iter().flat_map(|rule| &rule.actions).any(|action| action.starts_with("group:"));
    if is_group {
        return (
            Fate::Unclear,
            "goes on as one of a group's buckets says, which the datapath chooses by a hash".to_owned(),
        );
    }
    let has_bond = known
        .topology
        .bridges()
        .iter()
        .flat_map(|bridge| &bridge.ports)
        .any(|port| port.interfaces.len() > 1);
    if !has_bond {
        return (Fate::Unclear, "goes on by a hash, which the switch's answer does not follow".to_owned());
    }
    let members: Vec<_> =
        known.path.hops().filter(|hop| hop.is_uplink()).map(|hop| name(&hop.ifname)).collect();
    let of =
        if members.is_empty() { String::new() } else { format!(" (of the path's: {})", members.join(", ")) };
    (Fate::ToWire, format!("leaves by a bond, whose member the datapath chooses by a hash{of}"))
}

/// By no port.
fn nowhere(answered: &Answered<'_>) -> (Fate, String) {
    let outputs = &answered.outputs;
    if let Some(whom) = outputs.user_space {
        let whom = match whom {
            UserSpace::Controller => " (controller)",
            UserSpace::SlowPath => " (slow path)",
            UserSpace::Other => "",
        };
        return (Fate::UserSpace, format!("goes to user space{whom}"));
    }
    if !outputs.unclear.is_empty() {
        let actions: Vec<_> = outputs.unclear.iter().take(MAX_NAMES).map(|action| name(action)).collect();
        let line = format!("what the datapath does with it is not understood: {}", actions.join(", "));
        return (Fate::Unclear, line);
    }
    (Fate::Dropped, dropped(answered.explained))
}

fn dropped(explained: &Explanation) -> String {
    let Some(rule) = explained.rules.last() else { return "dropped: the switch names no rule".to_owned() };
    if rule.priority.is_none() {
        return format!("dropped: no rule of table {} of {} matches", rule.table, name(&rule.bridge));
    }
    let by = in_words(rule);
    if drops(rule) {
        return format!("dropped by {by}");
    }
    let why = rule.actions.iter().rev().find_map(|action| action.strip_prefix(DETAIL));
    format!("dropped at {by}{}", why.map_or(String::new(), |why| format!(" ({})", name(why))))
}

fn in_words(rule: &OpenFlowRule) -> String {
    let matches = if rule.matches.is_empty() { "any packet".to_owned() } else { name(&rule.matches) };
    let priority = rule.priority.map_or_else(String::new, |priority| format!("priority {priority} "));
    format!("the rule of table {} of {}: {priority}{matches}", rule.table, name(&rule.bridge))
}

/// The last rule that does nothing but drop. (What goes through connection tracking is dropped behind that, too: it goes on in another pass.)
fn dropping(explained: &Explanation) -> Option<&OpenFlowRule> {
    explained.rules.iter().rev().find(|rule| rule.actions == ["drop"])
}

/// Whether it is what the rule says: a rule without actions drops, too.
fn drops(rule: &OpenFlowRule) -> bool {
    rule.actions.is_empty() || rule.actions.iter().any(|action| action == "drop")
}

fn found(known: Known<'_>, answered: &Answered<'_>, output: &Output) -> Found {
    let number: Option<u32> = output.port.parse().ok();
    let is_it = |port: &&SwitchPort| match number {
        Some(_) => port.number == number,
        None => port.name == output.port,
    };
    let ports: Vec<&SwitchPort> = answered.ports.iter().filter(is_it).collect();
    let tunnel = ports.iter().find(|port| port.is_tunnel());
    let ifname = match (ports.as_slice(), tunnel) {
        // Tunnels share a port of the datapath.
        ([_, _, ..], Some(tunnel)) => tunnel.kind.clone(),
        ([port, ..], _) => port.name.clone(),
        ([], _) if number.is_some() => format!("port {} of the datapath", output.port),
        ([], _) => output.port.clone(),
    };
    let beside = known.path.other_ports.iter().find(|other| other.ifname == ifname);
    let (fate, what) = match tunnel {
        Some(tunnel) => (Fate::ToWire, format!("a {} tunnel", name(&tunnel.kind))),
        None if output.tunnel => (Fate::ToWire, "a tunnel".to_owned()),
        None if ifname == answered.in_port && answered.direction == Direction::Egress => {
            (Fate::Answered, whose(known, &ifname, beside, ports.first().copied()).1)
        }
        None => whose(known, &ifname, beside, ports.first().copied()),
    };
    let bridges = known.topology.bridges();
    let is_output =
        |port: &&SwitchPort| bridges.iter().any(|bridge| bridge.mirror_outputs.contains(&port.name));
    let is_mirror = beside.is_some_and(|other| other.is_mirror) || ports.iter().any(is_output);
    Found { port: PredictedPort { ifname, what }, fate, is_mirror }
}

/// Whose port it is.
fn whose(
    known: Known<'_>,
    ifname: &str,
    beside: Option<&OtherPort>,
    port: Option<&SwitchPort>,
) -> (Fate, String) {
    if let Some(hop) = known.path.hop_at(ifname) {
        let fate = if hop.leads_out() { Fate::ToWire } else { Fate::ToVm };
        return (fate, hop.role.as_str().to_owned());
    }
    if let Some(bridge) = veth_to(known, ifname) {
        return (Fate::Onward, format!("a veth pair to {}", name(bridge)));
    }
    let vm = known.vm_at(ifname);
    let leads_out = |place: OvsPlace<'_>| path::leads_out(known.topology, place.interface);
    if vm.is_none() && known.topology.ovs_interface(ifname).is_some_and(leads_out) {
        return (Fate::ToWire, "which is not on the path that is drawn".to_owned());
    }
    let what = match (vm, beside, port) {
        (Some(vm), _, _) => format!("VM {} on this host", name(&vm.id.title())),
        (None, Some(other), _) => other.place(),
        (None, None, Some(port)) => format!("a port of bridge {}", name(&port.bridge)),
        (None, None, None) => "nothing is known of it".to_owned(),
    };
    (Fate::Beside, what)
}

/// The bridge behind a veth pair of the path, one of whose ends the port is.
fn veth_to<'a>(known: Known<'a>, ifname: &str) -> Option<&'a str> {
    let far = known.path.steps.iter().find_map(|step| match step {
        Step::Patch { name, peer, veth: true } if name == ifname => Some(peer),
        Step::Patch { name, peer, veth: true } if peer == ifname => Some(name),
        _ => None,
    })?;
    known.topology.ovs_interface(far).map(|place| place.bridge.name.as_str())
}
