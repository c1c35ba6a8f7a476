//! What `ofproto/trace` answers, for whoever asks. Pure.
//!
//! The text is made for people: a bridge's name and a line below it; a line for each rule (`table. match, priority N, cookie
//! C`), indented, with its actions further indented below it; at the end the datapath's actions. For each pass through
//! the datapath (behind connection tracking, for example) the same again.

use std::collections::VecDeque;

use crate::model::{Explanation, OpenFlowRule};

/// Rules that are told at most.
const MAX_RULES: usize = 64;
/// Actions of a rule that are told at most.
const MAX_ACTIONS: usize = 16;
/// Passes that are told at most.
const MAX_PASSES: usize = 8;
/// Characters of one part that are told at most.
const MAX_CHARS: usize = 400;

const DATAPATH: &str = "Datapath actions:";
/// A pass goes on where another one had stopped.
const THAW: &str = "thaw";
/// It stopped for connection tracking, and goes on behind it.
const FORKED: &str = "The forked pipeline will be resumed";
const TRACKED: &str = "resume conntrack with";
/// What stands at the start of a line between the rules and the datapath's actions, or before the first bridge.
const NO_ACTIONS: [&str; 7] =
    ["Flow:", "Final flow:", "Megaflow:", "---", "===", "recirc(", "This flow is handled"];

/// What the datapath is told to do, in full: for each pass through it one list of actions.
pub(crate) fn datapath_actions(answer: &str) -> impl Iterator<Item = &str> {
    answer.lines().filter_map(|line| Some(line.trim().strip_prefix(DATAPATH)?.trim()))
}

/// Why the switch gave up, in its words; `None`: it did not.
pub(crate) fn failure(answer: &str) -> Option<&str> {
    answer.lines().map(str::trim).find(|line| line.starts_with("Translation failed"))
}

/// The answer about `packet`. `None`: it has neither rules nor actions of the datapath.
pub(crate) fn parse(bridge: &str, packet: &str, answer: &str) -> Option<Explanation> {
    let mut told = Explanation {
        bridge: bridge.to_owned(),
        packet: packet.to_owned(),
        rules: Vec::new(),
        assumed: None,
        datapath_actions: Vec::new(),
        leaves_by: None,
        hits: None,
        is_cut: false,
    };
    let mut at = bridge.to_owned();
    // Whose rules gave a packet to connection tracking: these get it back, whatever bridge the next pass is said to be on.
    let (mut tracking, mut resumed) = (VecDeque::new(), None);
    // Whether lines are actions of the last rule: not behind the last rule of a pass.
    let mut in_rule = false;
    for line in answer.lines() {
        let words = line.trim();
        if let Some(actions) = words.strip_prefix(DATAPATH) {
            in_rule = false;
            told.is_cut |= !push(&mut told.datapath_actions, MAX_PASSES, || short(actions.trim()));
        } else if let Some(name) = words.strip_prefix("bridge(\"").and_then(|rest| rest.strip_suffix("\")")) {
            in_rule = false;
            at = short(name);
        } else if words == THAW {
            at = resumed.take().unwrap_or(at);
        } else if let Some(rule) = rule(&at, words) {
            let is_full = told.rules.len() >= MAX_RULES;
            in_rule = true;
            match told.rules.last_mut().filter(|_| is_full) {
                // Where it ends is told in any case.
                Some(last) => (*last, told.is_cut) = (rule, true),
                None => told.rules.push(rule),
            }
        } else if words.is_empty() || NO_ACTIONS.iter().any(|start| words.starts_with(start)) {
            in_rule &= !words.is_empty() && words.starts_with("---");
            if words.contains(TRACKED) {
                resumed = tracking.pop_front();
            }
        } else if let Some(rule) = told.rules.last_mut().filter(|_| in_rule) {
            if words.contains(FORKED) {
                tracking.push_back(rule.bridge.clone());
            }
            told.is_cut |= !push(&mut rule.actions, MAX_ACTIONS, || short(words));
        }
    }
    (!told.rules.is_empty() || !told.datapath_actions.is_empty()).then_some(told)
}

/// `0. udp,tp_dst=4444, priority 1000, cookie 0x17`, or `0. No match.`
fn rule(bridge: &str, line: &str) -> Option<OpenFlowRule> {
    let (table, rest) = line.split_once(". ")?;
    let table = table.parse().ok()?;
    let (matches, numbers) = match rest.rsplit_once("priority ") {
        Some((matches, numbers)) => (matches.trim_end().trim_end_matches(','), Some(numbers)),
        None => (rest, None),
    };
    let mut numbers = numbers.into_iter().flat_map(|numbers| numbers.split(", "));
    let priority = numbers.next().and_then(|number| number.trim().parse().ok());
    let cookie = numbers.find_map(|part| part.strip_prefix("cookie "));
    Some(OpenFlowRule {
        bridge: bridge.to_owned(),
        table,
        priority,
        cookie: cookie.map(|cookie| short(cookie.trim())),
        matches: short(matches),
        actions: Vec::new(),
        logical: None,
    })
}

/// Adds what `item` gives where there is room.
fn push<T>(items: &mut Vec<T>, room: usize, item: impl FnOnce() -> T) -> bool {
    let has_room = items.len() < room;
    if has_room {
        items.push(item());
    }
    has_room
}

/// No more of it than a report has room for.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Open vSwitch 3.1 answers.
    const DROPPED: &str = r#"Flow: udp,in_port=1,vlan_tci=0x0000,dl_src=fa:16:3e:21:1b:4b,dl_dst=52:54:00:99:99:01,nw_src=10.99.99.111,nw_dst=10.99.99.1,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=54321,tp_dst=4444

bridge("br-int")
----------------
 0. udp,tp_dst=4444, priority 1000, cookie 0x17
    drop

Final flow: unchanged
Megaflow: recirc_id=0,eth,udp,in_port=1,nw_frag=no,tp_dst=4444
Datapath actions: drop
"#;

    const TRACKED: &str = r#"Flow: icmp,in_port=1,vlan_tci=0x0000,icmp_type=8,icmp_code=0

bridge("br-int")
----------------
 0. icmp, priority 2000
    ct(table=5)
    drop
     -> A clone of the packet is forked to recirculate. The forked pipeline will be resumed at table 5.
     -> Sets the packet to an untracked state, and clears all the conntrack fields.

Final flow: unchanged
Megaflow: recirc_id=0,eth,icmp,in_port=1,nw_frag=no
Datapath actions: ct,recirc(0x1)

===============================================================================
recirc(0x1) - resume conntrack with default ct_state=trk|new (use --ct-next to customize)
===============================================================================

Flow: recirc_id=0x1,ct_state=new|trk,eth,icmp,in_port=1

bridge("br-int")
----------------
    thaw
        Resuming from table 5
 5. ct_state=+trk,icmp, priority 2000
    NORMAL
     -> forwarding to learned port

bridge("br-ex")
---------------
 0. in_port=2,dl_vlan=1, priority 4
    strip_vlan
    NORMAL
     -> forwarding to learned port

Final flow: unchanged
Megaflow: recirc_id=0x1,ct_state=+trk,eth,icmp,in_port=1
Datapath actions: 2
"#;

    fn told(rule: &OpenFlowRule) -> (&str, u32, Option<u32>, &str, Vec<&str>) {
        let actions = rule.actions.iter().map(String::as_str).collect();
        (&rule.bridge, rule.table, rule.priority, &rule.matches, actions)
    }

    #[test]
    fn the_rule_that_drops_is_told() {
        let explained = parse("br-int", "udp,…", DROPPED).unwrap();
        let [rule] = &explained.rules[..] else { panic!("{explained:?}") };
        assert_eq!(told(rule), ("br-int", 0, Some(1_000), "udp,tp_dst=4444", vec!["drop"]));
        assert_eq!(rule.cookie.as_deref(), Some("0x17"));
        assert_eq!((explained.datapath_actions, explained.is_cut), (vec!["drop".to_owned()], false));
        assert!(
            datapath_actions(DROPPED).eq(["drop"]) && datapath_actions(TRACKED).eq(["ct,recirc(0x1)", "2"])
        );
    }

    #[test]
    fn every_bridge_and_every_pass_is_told() {
        let explained = parse("br-int", "icmp,…", TRACKED).unwrap();
        let rules: Vec<_> = explained.rules.iter().map(told).collect();
        let [first, second, third] = &rules[..] else { panic!("{rules:?}") };
        assert_eq!((first.0, first.1, first.2, first.3), ("br-int", 0, Some(2_000), "icmp"));
        assert_eq!(first.4[..2], ["ct(table=5)", "drop"]);
        assert_eq!(first.4.len(), 4);
        let learned = "-> forwarding to learned port";
        assert_eq!(*second, ("br-int", 5, Some(2_000), "ct_state=+trk,icmp", vec!["NORMAL", learned]));
        assert_eq!(
            *third,
            ("br-ex", 0, Some(4), "in_port=2,dl_vlan=1", vec!["strip_vlan", "NORMAL", learned])
        );
        assert_eq!(explained.datapath_actions, ["ct,recirc(0x1)", "2"]);
    }

    #[test]
    fn behind_connection_tracking_the_bridge_goes_on_that_asked_for_it() {
        // The second pass is said to be on the bridge where the packet came in.
        let answer = TRACKED_ANSWER_OF_WIRE;
        let explained = parse("br-ex", "udp,…", answer).unwrap();
        let bridges: Vec<_> = explained.rules.iter().map(|rule| (rule.bridge.as_str(), rule.table)).collect();
        assert_eq!(bridges, [("br-ex", 0), ("br-int", 0), ("br-int", 70)]);
    }

    const TRACKED_ANSWER_OF_WIRE: &str = r#"bridge("br-ex")
---------------
 0. priority 0
    NORMAL
     -> forwarding to learned port

bridge("br-int")
----------------
 0. udp, priority 1000
    ct(table=70)
    drop
     -> A clone of the packet is forked to recirculate. The forked pipeline will be resumed at table 70.

Final flow: unchanged
Datapath actions: ct,recirc(0x2)

===============================================================================
recirc(0x2) - resume conntrack with default ct_state=trk|new (use --ct-next to customize)
===============================================================================

Flow: recirc_id=0x2,ct_state=new|trk,eth,udp,in_port=1

bridge("br-ex")
---------------
    thaw
        Resuming from table 70
70. ct_state=+inv+trk,ip, priority 10
    drop

Datapath actions: drop
"#;

    #[test]
    fn rules_without_a_match_or_a_priority() {
        let answer = "bridge(\"br-int\")\n---\n 0. priority 0\n    resubmit(,60)\n60. No match.\n            drop\n\nDatapath actions: drop";
        let explained = parse("br-int", "udp", answer).unwrap();
        let rules: Vec<_> = explained.rules.iter().map(told).collect();
        assert_eq!(
            rules,
            [
                ("br-int", 0, Some(0), "", vec!["resubmit(,60)"]),
                ("br-int", 60, None, "No match.", vec!["drop"])
            ]
        );
    }

    #[test]
    fn an_endless_answer_is_cut_and_nonsense_is_none() {
        let rules = " 0. priority 0\n".to_owned() + &"  note:aa\n".repeat(50);
        let endless = format!("bridge(\"b\")\n{}Datapath actions: {}", rules.repeat(200), "1,".repeat(9_999));
        let explained = parse("br-int", "udp", &endless).unwrap();
        assert!(explained.is_cut);
        assert_eq!((explained.rules.len(), explained.rules[0].actions.len()), (MAX_RULES, MAX_ACTIONS));
        assert!(explained.datapath_actions[0].chars().count() <= MAX_CHARS + 1);
        for nonsense in ["", "\n\n", "no such bridge", "bridge(\"", "0.", "x. y"] {
            assert_eq!(parse("br-int", "udp", nonsense), None, "{nonsense}");
        }
    }
}
