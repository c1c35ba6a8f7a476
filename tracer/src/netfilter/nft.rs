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
pub(super) fn parse(text: &str) -> Option<Vec<Chain>> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let objects = answer.get("nftables")?.as_array()?;
    let of = |kind: &str| objects.iter().filter_map(|object| object.get(kind)).collect::<Vec<_>>();
    let mut chains: Vec<Chain> = of("chain").into_iter().filter_map(chain).collect();
    let at: HashMap<_, _> = chains.iter().enumerate().map(|(at, chain)| (key(chain), at)).collect();
    let counters = of("counter");
    let mut rules: Vec<(usize, Rule)> = Vec::new();
    for object in of("rule") {
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(&place) = at.get(&(text("family"), text("table"), text("chain"))) else { continue };
        let named = |name: &str| named_counter(&counters, &text("family"), &text("table"), name);
        rules.push((place, rule(object, named)));
    }
    for (place, rule) in rules {
        chains.get_mut(place)?.rules.push(rule);
    }
    Some(chains)
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

fn rule(object: &Value, named: impl Fn(&str) -> Option<u64>) -> Rule {
    let number = object.get("handle").and_then(Value::as_u64).unwrap_or_default();
    let mut rule = Rule { text: format!("rule {number}"), ..Rule::default() };
    if let Some(expressions) = object.get("expr") {
        read(expressions, &mut rule, &named, 0);
    }
    rule
}

/// Verdicts may be deep in an expression, as in a map of verdicts.
fn read(value: &Value, rule: &mut Rule, named: &impl Fn(&str) -> Option<u64>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| read(item, rule, named, depth + 1)),
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    name if DROPPING.contains(&name) => rule.drops = true,
                    "jump" | "goto" => {
                        let target = member.get("target").and_then(Value::as_str);
                        rule.calls.extend(target.map(str::to_owned));
                    }
                    "counter" => {
                        let own = member.get("packets").and_then(Value::as_u64);
                        rule.packets = own.or_else(|| member.as_str().and_then(named));
                    }
                    "xt" => {
                        let target = member.get("name").and_then(Value::as_str).unwrap_or_default();
                        rule.drops |= DROPPING_TARGETS.contains(&target);
                    }
                    _ => read(member, rule, named, depth + 1),
                }
            }
        }
        _ => {}
    }
}

fn named_counter(counters: &[&Value], family: &str, table: &str, name: &str) -> Option<u64> {
    let is = |counter: &Value, member: &str, value: &str| {
        counter.get(member).and_then(Value::as_str) == Some(value)
    };
    let found = counters
        .iter()
        .find(|it| is(it, "family", family) && is(it, "table", table) && is(it, "name", name))?;
    found.get("packets")?.as_u64()
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

    #[test]
    fn nonsense_is_no_ruleset() {
        for nonsense in ["", "{}", "[]", "{\"nftables\": 1}", "Error: syntax error"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
        assert_eq!(parse("{\"nftables\": [1, {\"chain\": 2}, {\"rule\": {}}]}"), Some(Vec::new()));
    }
}
