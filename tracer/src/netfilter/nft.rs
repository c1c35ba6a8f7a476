//! The answer of `nft -j list ruleset`. Pure.

use std::collections::HashMap;

use serde_json::Value;

use super::rules::{Chain, Hook, Rule};

/// What can drop, by its name in an expression.
const DROPPING: [&str; 3] = ["drop", "reject", "queue"];
/// The same of targets that `iptables-nft` and `ebtables-nft` leave to their own modules.
const DROPPING_TARGETS: [&str; 4] = ["DROP", "REJECT", "NFQUEUE", "QUEUE"];
/// Expressions are not nested more deeply.
const MAX_DEPTH: usize = 32;

/// Every chain with its rules. `None`: it is no ruleset.
pub(super) fn parse(listing: &str) -> Option<Vec<Chain>> {
    let answer: Value = serde_json::from_str(listing).ok()?;
    let objects = answer.get("nftables")?.as_array()?;
    let of = |kind: &str| objects.iter().filter_map(|object| object.get(kind)).collect::<Vec<_>>();
    let mut chains: Vec<Chain> = of("chain").into_iter().filter_map(chain).collect();
    let at: HashMap<_, _> = chains.iter().enumerate().map(|(at, chain)| (key(chain), at)).collect();
    let named = Named::of(&of("counter"), &of("map"), &of("rule"));
    let mut rules: Vec<(usize, Rule)> = Vec::new();
    for object in of("rule") {
        let Some(&place) = at.get(&(text(object, "family"), text(object, "table"), text(object, "chain")))
        else {
            continue;
        };
        let mut rule = rule(object, &named);
        // Chains without a name are not listed: what they do is not known.
        let is_listed =
            |name: &String| at.contains_key(&(text(object, "family"), text(object, "table"), name.clone()));
        if !rule.calls.iter().all(is_listed) {
            (rule.drops, rule.packets) = (true, None);
        }
        rules.push((place, rule));
    }
    for (place, rule) in rules {
        chains.get_mut(place)?.rules.push(rule);
    }
    Some(chains)
}

fn text(object: &Value, member: &str) -> String {
    object.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Where something with a name is: family, table, name.
type Place = (String, String, String);

fn place(object: &Value, name: &str) -> Place {
    (text(object, "family"), text(object, "table"), name.to_owned())
}

/// What rules refer to by a name.
struct Named<'a> {
    /// Packets of counters that one rule alone uses.
    counters: HashMap<Place, u64>,
    /// The elements of maps.
    maps: HashMap<Place, &'a Value>,
}

impl<'a> Named<'a> {
    fn of(counters: &[&Value], maps: &[&'a Value], rules: &[&Value]) -> Self {
        let mut used: HashMap<Place, usize> = HashMap::new();
        for rule in rules {
            let expressions = rule.get("expr").and_then(Value::as_array).into_iter().flatten();
            for name in expressions.filter_map(|expression| expression.get("counter")?.as_str()) {
                *used.entry(place(rule, name)).or_default() += 1;
            }
        }
        let counter = |it: &&Value| {
            let place = place(it, &text(it, "name"));
            let packets = it.get("packets")?.as_u64()?;
            (used.get(&place) == Some(&1)).then_some((place, packets))
        };
        let map = |it: &&'a Value| Some((place(it, &text(it, "name")), it.get("elem")?));
        Self {
            counters: counters.iter().filter_map(counter).collect(),
            maps: maps.iter().filter_map(map).collect(),
        }
    }
}

fn key(chain: &Chain) -> (String, String, String) {
    (chain.family.clone(), chain.table.clone(), chain.name.clone())
}

fn chain(object: &Value) -> Option<Chain> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let devices = match object.get("dev") {
        Some(Value::String(device)) => vec![device.clone()],
        Some(Value::Array(devices)) => devices.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let policy_drops = object.get("policy").and_then(Value::as_str) == Some("drop");
    let hook = text("hook").map(|name| Hook { name, devices, policy_drops });
    Some(Chain {
        program: "nft",
        family: text("family")?,
        table: text("table")?,
        name: text("name")?,
        hook,
        rules: Vec::new(),
    })
}

fn rule(object: &Value, named: &Named<'_>) -> Rule {
    let number = object.get("handle").and_then(Value::as_u64).unwrap_or_default();
    let mut rule = Rule { text: format!("rule {number}"), ..Rule::default() };
    let expressions = object.get("expr").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for expression in expressions {
        read(expression, object, named, &mut rule, 0);
        if let Some(counter) = expression.get("counter") {
            let own = counter.get("packets").and_then(Value::as_u64);
            let by_name = || named.counters.get(&place(object, counter.as_str()?)).copied();
            rule.packets = own.or_else(by_name);
        } else if narrows(expression) {
            // What was counted before has not all come farther.
            rule.packets = None;
        }
    }
    rule
}

/// Whether not every packet that comes to an expression goes on to the next one, or to the same verdict.
fn narrows(expression: &Value) -> bool {
    let has = |name: &str| expression.get(name).is_some();
    let is_match =
        expression.get("xt").and_then(|xt| xt.get("type")).and_then(Value::as_str) == Some("match");
    is_match || ["match", "limit", "quota", "ct count", "vmap"].iter().any(|name| has(name))
}

/// Verdicts may be deep in an expression, as in a map of verdicts.
fn read(value: &Value, of: &Value, named: &Named<'_>, rule: &mut Rule, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| read(item, of, named, rule, depth + 1)),
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    name if DROPPING.contains(&name) => rule.drops = true,
                    "jump" | "goto" => match member.get("target").and_then(Value::as_str) {
                        Some(target) => rule.calls.push(target.to_owned()),
                        // A chain without a name, of which nothing is told.
                        None => rule.calls.push(String::new()),
                    },
                    "counter" => {}
                    "vmap" => {
                        let data = member.get("data");
                        let map = data.and_then(Value::as_str).and_then(|name| name.strip_prefix('@'));
                        let elements = map.and_then(|name| named.maps.get(&place(of, name)).copied());
                        if let Some(verdicts) = elements.or(data) {
                            read(verdicts, of, named, rule, depth + 1);
                        }
                    }
                    "xt" => {
                        let target = member.get("name").and_then(Value::as_str).unwrap_or_default();
                        rule.drops |= DROPPING_TARGETS.contains(&target);
                    }
                    _ => read(member, of, named, rule, depth + 1),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of nft 1.0.6, shortened.
    const RULESET: &str = r#"{"nftables": [
        {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
        {"table": {"family": "bridge", "name": "t", "handle": 1}},
        {"counter": {"family": "bridge", "name": "seen", "table": "t", "handle": 9, "packets": 7, "bytes": 1}},
        {"chain": {"family": "bridge", "table": "t", "name": "f", "handle": 1, "type": "filter", "hook": "forward",
                   "prio": 0, "policy": "drop"}},
        {"chain": {"family": "bridge", "table": "t", "name": "sub", "handle": 2}},
        {"rule": {"family": "bridge", "table": "t", "chain": "f", "handle": 3, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 4444}},
            {"counter": {"packets": 250, "bytes": 9}}, {"drop": null}]}},
        {"rule": {"family": "bridge", "table": "t", "chain": "f", "handle": 4, "expr": [
            {"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": [["a", {"jump": {"target": "sub"}}],
                                                                            ["b", {"drop": null}]]}}}]}},
        {"rule": {"family": "bridge", "table": "t", "chain": "sub", "handle": 5, "expr": [
            {"counter": "seen"}, {"accept": null}]}},
        {"chain": {"family": "netdev", "table": "d", "name": "i", "handle": 1, "type": "filter", "hook": "ingress",
                   "dev": ["tap0", "ens3"], "prio": 0, "policy": "accept"}}
    ]}"#;

    #[test]
    fn chains_rules_counters_and_verdicts_are_read() {
        let chains = parse(RULESET).unwrap();
        let [forward, sub, device] = &chains[..] else { panic!("{chains:?}") };
        assert!(forward.hook.as_ref().is_some_and(|hook| hook.name == "forward" && hook.policy_drops));
        assert_eq!(
            forward.rules,
            [Rule::new("rule 3", Some(250), true, &[]), Rule::new("rule 4", None, true, &["sub"]),]
        );
        assert_eq!((&sub.hook, &sub.rules[..]), (&None, &[Rule::new("rule 5", Some(7), false, &[])][..]));
        assert_eq!(device.hook.as_ref().unwrap().devices, ["tap0", "ens3"]);
    }

    /// Rules of one chain, `x` beside it, and a map `m` of verdicts; `c` is a counter that two rules use, `d` one that one does.
    fn rules(expressions: &[&str]) -> Vec<Rule> {
        let of = r#""family": "ip", "table": "t""#;
        let rule = |expression: &&str| {
            format!(r#"{{"rule": {{{of}, "chain": "f", "handle": 3, "expr": [{expression}]}}}}"#)
        };
        let chain = |name: &str| format!(r#"{{"chain": {{{of}, "name": "{name}"}}}}"#);
        let counter = |name: &str| format!(r#"{{"counter": {{{of}, "name": "{name}", "packets": 60}}}}"#);
        let map = format!(
            r#"{{"map": {{{of}, "name": "m", "map": "verdict", "elem": [[5001, {{"drop": null}}], [5002, {{"jump": {{"target": "x"}}}}]]}}}}"#
        );
        let mut objects = vec![chain("f"), chain("x"), counter("c"), counter("d"), map];
        objects.extend(expressions.iter().map(rule));
        let listing = format!(r#"{{"nftables": [{}]}}"#, objects.join(","));
        parse(&listing).unwrap().swap_remove(0).rules
    }

    const MATCH: &str = r#"{"match": {"op": "==", "left": 1, "right": 2}}"#;

    #[test]
    fn a_map_of_verdicts_with_a_name_and_a_chain_without_one_can_drop() {
        let found = rules(&[
            r#"{"vmap": {"key": 1, "data": "@m"}}"#,
            r#"{"vmap": {"key": 1, "data": "@unknown"}}"#,
            r#"{"jump": {"target": "__chain7"}}"#,
            r#"{"jump": {}}"#,
            r#"{"jump": {"target": "x"}}"#,
        ]);
        let told: Vec<_> = found.iter().map(|rule| (rule.drops, rule.calls.join(","))).collect();
        let of = |drops, calls: &str| (drops, calls.to_owned());
        assert_eq!(told, [of(true, "x"), of(false, ""), of(true, "__chain7"), of(true, ""), of(false, "x")]);
    }

    #[test]
    fn a_counter_counts_for_a_verdict_only_if_nothing_comes_between_and_no_other_rule_uses_it() {
        let counter = r#"{"counter": {"packets": 20}}"#;
        let found = rules(&[
            &format!(r#"{MATCH}, {counter}, {{"drop": null}}"#),
            &format!(r#"{counter}, {MATCH}, {{"drop": null}}"#),
            &format!(r#"{counter}, {{"limit": {{}}}}, {{"drop": null}}"#),
            r#"{"counter": "c"}, {"accept": null}"#,
            r#"{"counter": "c"}, {"drop": null}"#,
            r#"{"counter": "d"}, {"drop": null}"#,
        ]);
        let packets: Vec<_> = found.iter().map(|rule| rule.packets).collect();
        assert_eq!(packets, [Some(20), None, None, None, None, Some(60)]);
    }

    #[test]
    fn nonsense_is_no_ruleset() {
        for nonsense in ["", "{}", "[]", "{\"nftables\": 1}", "Error: syntax error"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
        assert_eq!(parse("{\"nftables\": [1, {\"chain\": 2}, {\"rule\": {}}]}"), Some(Vec::new()));
    }
}
