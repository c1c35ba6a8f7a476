//! Which rules packets of a path can have come by, and which of them can have dropped them. Pure.

use std::collections::{HashMap, HashSet};

use super::rules::{Chain, Rule};
use crate::model::FirewallRule;

/// Rules that are told at most.
const MAX_RULES: usize = 16;
/// Chains call each other no more deeply.
const MAX_DEPTH: usize = 16;

/// What decides which chains packets of a path come by.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// Interfaces of the path.
    pub interfaces: Vec<String>,
    /// Whether bridges show IPv4, IPv6 and ARP to the filters of those (`br_netfilter`).
    pub bridged_ip: bool,
    /// See `bridged_ip`.
    pub bridged_ip6: bool,
    /// See `bridged_ip`.
    pub bridged_arp: bool,
}

/// The rules and policies of `after` that can have dropped packets since `before`: what counts has counted since, and what does
/// not count stands at a place that they come by.
#[must_use]
pub(super) fn reach(before: Option<&[Chain]>, after: &[Chain], course: &Course) -> Vec<FirewallRule> {
    let before = before.map(counts);
    let was_reset = before
        .as_ref()
        .is_some_and(|before| counts(after).iter().any(|(key, now)| before.get(key) > Some(now)));
    let mut search = Search { before, was_reset, after, found: Vec::new(), seen: HashSet::new() };
    for chain in after.iter().filter(|chain| course.comes_by(chain)) {
        search.enter(chain, &mut Vec::new());
    }
    search.found.sort_by_key(|rule| std::cmp::Reverse(rule.rose));
    search.found.truncate(MAX_RULES);
    search.found
}

impl Course {
    fn comes_by(&self, chain: &Chain) -> bool {
        let Some(hook) = &chain.hook else { return false };
        let passes = matches!(hook.name.as_str(), "prerouting" | "forward" | "postrouting");
        // Programs of 2022 and before (nft 1.0.6) do not say at which devices a chain is.
        let is_there = |device: &String| self.interfaces.contains(device);
        let at_devices = matches!(hook.name.as_str(), "ingress" | "egress");
        let at_device = at_devices && (hook.devices.is_empty() || hook.devices.iter().any(is_there));
        match chain.family.as_str() {
            "netdev" => at_device,
            "bridge" => passes || hook.name == "brouting",
            "inet" => at_device || (passes && (self.bridged_ip || self.bridged_ip6)),
            "ip" => passes && self.bridged_ip,
            "ip6" => passes && self.bridged_ip6,
            "arp" => passes && self.bridged_arp,
            _ => false,
        }
    }
}

/// A rule by its chain and its text, and which of those with that text it is.
type Key<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, usize);

fn keyed(chain: &Chain) -> impl Iterator<Item = (Key<'_>, &Rule)> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    chain.rules.iter().map(move |rule| {
        let nth = seen.entry(&rule.text).or_default();
        *nth += 1;
        ((chain.program, &*chain.family, &*chain.table, &*chain.name, &*rule.text, *nth), rule)
    })
}

fn counts(chains: &[Chain]) -> HashMap<Key<'_>, u64> {
    chains.iter().flat_map(keyed).filter_map(|(key, rule)| Some((key, rule.packets?))).collect()
}

struct Search<'a> {
    before: Option<HashMap<Key<'a>, u64>>,
    /// A counter fell: it was set to zero, and perhaps others, too.
    was_reset: bool,
    after: &'a [Chain],
    found: Vec<FirewallRule>,
    /// Rules that are told already: several ways may lead to one.
    seen: HashSet<Key<'a>>,
}

impl<'a> Search<'a> {
    fn enter(&mut self, chain: &'a Chain, way: &mut Vec<&'a str>) {
        if way.len() >= MAX_DEPTH || way.contains(&chain.name.as_str()) {
            return;
        }
        way.push(&chain.name);
        for (key, rule) in keyed(chain) {
            let rose = self.rose(&key, rule);
            // It counts, and has not counted: nothing came by.
            if rose == Some(0) && (!self.was_reset || rule.packets == Some(0)) {
                continue;
            }
            let rose = rose.filter(|rose| *rose > 0);
            if rule.drops && self.seen.insert(key) {
                self.tell(chain, way, Some(&rule.text), rose);
            }
            for name in &rule.calls {
                let called = self.after.iter().find(|it| it.name == *name && it.is_beside(chain));
                if let Some(called) = called {
                    self.enter(called, way);
                }
            }
        }
        if chain.hook.as_ref().is_some_and(|hook| hook.policy_drops) {
            self.tell(chain, way, None, None);
        }
        way.pop();
    }

    /// A rule that was not there before has counted all it has since, and so has one whose counter fell.
    fn rose(&self, key: &Key<'a>, rule: &Rule) -> Option<u64> {
        let (now, before) = (rule.packets?, self.before.as_ref()?.get(key).copied().unwrap_or(0));
        Some(now.checked_sub(before).unwrap_or(now))
    }

    fn tell(&mut self, chain: &Chain, way: &[&str], rule: Option<&str>, rose: Option<u64>) {
        self.found.push(FirewallRule {
            program: chain.program.into(),
            family: chain.family.clone(),
            table: chain.table.clone(),
            chains: way.iter().map(|name| (*name).to_owned()).collect(),
            rule: rule.map(str::to_owned),
            rose,
            at_least: self.was_reset && rose.is_some(),
        });
    }
}

/// What can have dropped packets between two looks.
#[must_use]
pub fn can_drop(
    before: Option<&super::Filters>,
    after: &super::Filters,
    course: &Course,
) -> Vec<FirewallRule> {
    reach(before.map(super::Filters::chains), after.chains(), course)
}

#[cfg(test)]
mod tests {
    use super::{super::rules::Hook, *};

    fn chain(name: &str, hook: Option<(&str, bool)>, rules: Vec<Rule>) -> Chain {
        let hook = hook.map(|(name, policy_drops)| Hook {
            name: name.to_owned(),
            devices: Vec::new(),
            policy_drops,
        });
        Chain {
            program: "iptables",
            family: "ip".to_owned(),
            table: "filter".to_owned(),
            name: name.to_owned(),
            hook,
            rules,
        }
    }

    /// FORWARD goes to the chains of two ports, both of which fall back to one that drops.
    fn neutron(ours: u64, others: u64, fallback: u64) -> Vec<Chain> {
        vec![
            chain(
                "FORWARD",
                Some(("forward", false)),
                vec![
                    Rule::new("ours", Some(ours), false, &["o1"]),
                    Rule::new("theirs", Some(others), false, &["o2"]),
                ],
            ),
            chain("o1", None, vec![Rule::new("back", Some(ours), false, &["fallback"])]),
            chain("o2", None, vec![Rule::new("back", Some(others), false, &["fallback"])]),
            chain("fallback", None, vec![Rule::new("drop", Some(fallback), true, &[])]),
            chain("INPUT", Some(("input", true)), vec![Rule::new("drop", Some(900), true, &[])]),
        ]
    }

    const BRIDGED: Course =
        Course { interfaces: Vec::new(), bridged_ip: true, bridged_ip6: false, bridged_arp: false };

    #[test]
    fn the_way_that_packets_took_is_told() {
        let (before, after) = (neutron(10, 20, 30), neutron(15, 20, 35));
        let found = reach(Some(&before), &after, &BRIDGED);
        let [rule] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (&rule.chains[..], rule.rose),
            (&["FORWARD", "o1", "fallback"].map(str::to_owned)[..], Some(5))
        );
        // Nothing rose: nothing can have dropped.
        assert!(reach(Some(&before), &before, &BRIDGED).is_empty());
        // Not looked at before: it can.
        assert_eq!(reach(None, &after, &BRIDGED)[0].rose, None);
        // The bridge does not show it.
        assert!(reach(Some(&before), &after, &Course::default()).is_empty());
    }

    #[test]
    fn counters_that_were_set_to_zero_count_from_there() {
        let rules = |one: u64, two: u64, three: u64| {
            let rule = |name, packets| Rule::new(name, Some(packets), true, &[]);
            vec![chain(
                "FORWARD",
                Some(("forward", false)),
                vec![rule("a", one), rule("b", two), rule("c", three)],
            )]
        };
        let told = |before: &[Chain], after: &[Chain]| {
            let found = reach(Some(before), after, &BRIDGED);
            found
                .into_iter()
                .map(|rule| (rule.rule.unwrap_or_default(), rule.rose, rule.at_least))
                .collect::<Vec<_>>()
        };
        let of = |name: &str, rose, at_least| (name.to_owned(), rose, at_least);
        assert_eq!(
            told(&rules(60, 10, 3), &rules(30, 12, 0)),
            [of("a", Some(30), true), of("b", Some(2), true)]
        );
        // As high as before, by chance: it may have counted.
        assert_eq!(
            told(&rules(60, 10, 3), &rules(30, 10, 0)),
            [of("a", Some(30), true), of("b", None, false)]
        );
        assert_eq!(told(&rules(60, 10, 3), &rules(61, 10, 3)), [of("a", Some(1), false)]);
    }

    #[test]
    fn a_policy_and_a_rule_that_does_not_count_can_drop() {
        let quiet = vec![chain(
            "FORWARD",
            Some(("forward", true)),
            vec![Rule::new("drop", None, true, &[]), Rule::new("new", Some(4), true, &[])],
        )];
        let before =
            vec![chain("FORWARD", Some(("forward", true)), vec![Rule::new("drop", None, true, &[])])];
        let found = reach(Some(&before), &quiet, &BRIDGED);
        let told: Vec<_> = found.iter().map(|rule| (rule.rule.as_deref(), rule.rose)).collect();
        assert_eq!(told, [(Some("new"), Some(4)), (Some("drop"), None), (None, None)]);
    }

    #[test]
    fn circles_end() {
        let round = vec![
            chain("FORWARD", Some(("forward", false)), vec![Rule::new("a", None, false, &["x"])]),
            chain("x", None, vec![Rule::new("b", None, true, &["FORWARD", "x"])]),
        ];
        assert_eq!(reach(None, &round, &BRIDGED).len(), 1);
    }

    #[test]
    fn filters_at_interfaces_are_about_those_interfaces() {
        let at = |device: &str| {
            let mut chain = chain("i", Some(("ingress", false)), vec![Rule::new("drop", None, true, &[])]);
            chain.family = "netdev".to_owned();
            if let Some(hook) = &mut chain.hook {
                hook.devices = vec![device.to_owned()];
            }
            vec![chain]
        };
        let course = Course { interfaces: vec!["ens3".to_owned()], ..Course::default() };
        assert_eq!(reach(None, &at("ens3"), &course).len(), 1);
        assert!(reach(None, &at("eth9"), &course).is_empty());
        let mut unsaid = at("eth9");
        unsaid[0].hook.as_mut().unwrap().devices.clear();
        assert_eq!(reach(None, &unsaid, &course).len(), 1, "the program does not say where");
    }
}
