//! Which of the host's packet filters dropped packets: only what its rules and counters show, and otherwise that it is not
//! known.

use super::{advice::Advice, words::packets};
use crate::model::{Drop, Evidence, EvidenceSource, Firewall, FirewallRule, Path, PortTrace, Printable};

/// Characters of a port's id in the names of its security group's chains, as Neutron cuts them.
const CHAIN_ID_CHARS: usize = 10;
/// How the names of Neutron's chains begin.
const NEUTRON: &str = "neutron-";
/// Rules that are named at most.
const MAX_NAMED: usize = 3;

/// Said where more died than a rule has dropped.
const OTHERS: &str = "; what dropped the others is not known";

/// Counters of packets whose connection could not be entered: why, and what to look at.
const REFUSED: [(&str, &str, &str); 2] = [
    ("insert_failed", "another packet had made the same connection meanwhile", "conntrack -S"),
    (
        "chaintoolong",
        "too many connections share one place in its table",
        "sysctl net.netfilter.nf_conntrack_buckets; conntrack -S",
    ),
];

/// What dropped these packets in netfilter's name at `place` (`on qbr…`, `behind ens3`).
pub(super) fn advice(report: &PortTrace<'_>, place: &str, drop: &Drop) -> Advice {
    let firewall = report.trace.firewall.as_ref();
    let all = firewall.map_or(&[][..], |firewall| &firewall.rules);
    let rules: Vec<&FirewallRule> = all.iter().filter(|rule| may_be_about(rule, drop)).collect();
    let mut rose: Vec<(u64, &FirewallRule)> =
        rules.iter().filter_map(|rule| Some((rule.rose.filter(|rose| *rose > 0)?, *rule))).collect();
    rose.sort_by_key(|(rose, _)| std::cmp::Reverse(*rose));
    let most = rose.first().map_or(0, |(rose, _)| *rose);
    if let Some((count, mut full)) = conntrack(report).filter(|(count, _)| *count >= most) {
        if count < drop.count {
            full.what.push_str(OTHERS);
        }
        return full;
    }
    let has_fitting = rose.iter().any(|(rose, _)| *rose == drop.count);
    for (counter, why, next) in REFUSED {
        let count = of_conntrack(report, counter).map_or(0, |it| it.count);
        if count > 0 && (rose.is_empty() || count == drop.count && !has_fitting) {
            let others = if count < drop.count { OTHERS } else { "" };
            let what = format!("connection tracking drops it: {why} ({counter} rose by {count}){others}");
            return Advice::new(what).next(next);
        }
    }
    if !rose.is_empty() {
        return counted(report.path(), &rose, place, drop.count);
    }
    let Some(first) = rules.first() else { return unknown(firewall, place) };
    let named: Vec<_> = rules.iter().take(MAX_NAMED).map(|rule| name(rule)).collect();
    let more = if rules.len() > MAX_NAMED { " and others" } else { "" };
    let which = if rules.len() > 1 { "; which of them is not known" } else { "" };
    let what = format!(
        "a firewall rule {place} drops it: {}{more} can drop there, without a counter that tells{which}",
        named.join("; ")
    );
    Advice::new(what).next(show(first))
}

/// Whether the rule sees packets like the drop's example; what it matches, only its program knows.
fn may_be_about(rule: &FirewallRule, drop: &Drop) -> bool {
    let Some(example) = &drop.example else { return true };
    let protocol = &*example.flow.protocol;
    let is_ip = !matches!(protocol, "arp" | "rarp");
    match rule.family.as_str() {
        "ip" => is_ip && example.flow.source.is_ipv4(),
        "ip6" => is_ip && example.flow.source.is_ipv6(),
        "inet" => is_ip,
        "arp" => protocol == "arp",
        _ => true,
    }
}

/// Who it was, by rules whose counters rose, the most first: all `count` packets may be one's, or those of all of them.
fn counted(path: &Path, rose: &[(u64, &FirewallRule)], place: &str, count: u64) -> Advice {
    let with_group = |rule: &FirewallRule| {
        let group = group(path, rule).map_or_else(String::new, |group| format!(" ({group})"));
        format!("{}{group}", name(rule))
    };
    let by = |(rose, rule): &(u64, &FirewallRule)| {
        if rule.at_least {
            format!("{rose} at least, counters were set to zero meanwhile")
        } else {
            rose.to_string()
        }
    };
    let exactly = |counted: &&(u64, &FirewallRule)| counted.0 == count && !counted.1.at_least;
    let same: Vec<_> = rose.iter().filter(exactly).collect();
    let one = match (rose, same.as_slice()) {
        ([one], _) if one.0 < count && !one.1.at_least => Some((one, OTHERS)),
        ([one], _) => Some((one, "")),
        (_, [one]) => Some((*one, "; other rules' counters rose, too")),
        _ => None,
    };
    if let Some((one, others)) = one {
        let what = format!(
            "a firewall rule {place} drops it: {}, whose counter rose by {} in all{others}",
            with_group(one.1),
            by(one)
        );
        return Advice::new(what).next(show(one.1));
    }
    let named: Vec<_> =
        rose.iter().take(MAX_NAMED).map(|one| format!("{} (by {})", with_group(one.1), by(one))).collect();
    let more = if rose.len() > MAX_NAMED { " and others" } else { "" };
    let sum = rose.iter().fold(0_u64, |sum, (rose, _)| sum.saturating_add(*rose));
    let is_sum = sum == count && !rose.iter().any(|(_, rule)| rule.at_least);
    let which = if is_sum { "" } else { "; which of them is not known" };
    let what =
        format!("firewall rules {place} whose counters rose drop them: {}{more}{which}", named.join("; "));
    let next = rose.first().map_or_else(String::new, |(_, rule)| show(rule));
    Advice::new(what).next(next)
}

/// Nothing that can be read drops there.
fn unknown(firewall: Option<&Firewall>, place: &str) -> Advice {
    let why = match firewall {
        None => "the host's rules were not read".to_owned(),
        Some(firewall) if firewall.unread.is_empty() => {
            "no rule of nftables, iptables or ebtables that can be read drops there".to_owned()
        }
        Some(firewall) => {
            let unread: Vec<_> = firewall.unread.iter().map(|line| Printable(line).to_string()).collect();
            unread.join("; ")
        }
    };
    Advice::new(format!("a firewall rule {place} drops it; whose is not known ({why})"))
        .next("nft -a list ruleset; conntrack -S")
}

fn of_conntrack<'a>(report: &PortTrace<'a>, counter: &str) -> Option<&'a Evidence> {
    let is = |it: &&Evidence| it.source == EvidenceSource::Conntrack && it.counter == counter;
    report.trace.evidence.iter().find(is)
}

/// The table of connections is full, by its own counter of packets that it had no room for.
fn conntrack(report: &PortTrace<'_>) -> Option<(u64, Advice)> {
    let dropped = of_conntrack(report, "drop")?;
    let fill = dropped.about.as_deref().map_or_else(String::new, |fill| format!(" ({})", Printable(fill)));
    let what = format!(
        "the table of connections (conntrack) had no room for {}{fill}: its own counter of drops rose, others' packets included",
        packets(dropped.count)
    );
    let advice = Advice::new(what).next("sysctl net.netfilter.nf_conntrack_max; conntrack -S");
    Some((dropped.count, advice))
}

/// `nft table bridge t, chain f, rule handle 7`
fn name(rule: &FirewallRule) -> String {
    let table = match &*rule.program {
        "nft" => format!("{} {}", rule.family, rule.table),
        _ => rule.table.clone(),
    };
    let chain = rule.chains.last().map_or("", String::as_str);
    let what = rule.rule.as_deref().unwrap_or("policy");
    let text = format!("{} table {table}, chain {chain}, {what}", rule.program);
    Printable(&text).to_string()
}

/// The port's security group, if the packets came by its chain.
fn group(path: &Path, rule: &FirewallRule) -> Option<String> {
    let port: String = path.instance.port_id.as_deref()?.chars().take(CHAIN_ID_CHARS).collect();
    let is_ours = |chain: &&String| chain.starts_with(NEUTRON) && chain.ends_with(&port);
    let chain = rule.chains.iter().find(is_ours)?;
    Some(format!("the port's security group, chain {}", Printable(chain)))
}

fn show(rule: &FirewallRule) -> String {
    let chain = rule.chains.last().map_or("", String::as_str);
    let command = match &*rule.program {
        "nft" => format!("nft -a list chain {} {} {chain}", rule.family, rule.table),
        program if program.starts_with("ebtables") => format!("{program} -t {} -L {chain} --Lc", rule.table),
        program => format!("{program}-save -c -t {}", rule.table),
    };
    Printable(&command).to_string()
}
