//! What connection tracking may have said about an example. `ofproto/trace` does not ask it and assumes something; which state
//! it was, is told by what became of the packet, and by the counters of the rules that each state leads to. Pure.

use super::counters::RuleCounts;
use crate::model::Explanation;

/// What connection tracking can say, in the words of `--ct-next`. The first is what Open vSwitch assumes by itself.
pub(super) const STATES: [&str; 6] =
    ["trk,new", "trk,est", "trk,est,rpl", "trk,rel", "trk,rel,rpl", "trk,inv"];

/// How an answer says that something was assumed.
const RESUMED: &str = "resume conntrack with";
/// Passes through connection tracking for which a state is given at most.
const MAX_PASSES: usize = 4;

/// How often the packet goes through connection tracking, as far as it is told what that says.
pub(crate) fn passes(answer: &str) -> usize {
    answer.matches(RESUMED).count().min(MAX_PASSES)
}

/// What the same packet meets with one of [`STATES`].
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) state: &'static str,
    pub(super) explained: Explanation,
}

/// Of what was tried that which fits what became of the packet, with a line on why. `dead`: it died.
pub(super) fn fitting(
    tried: Vec<Tried>,
    dead: bool,
    counts: Option<(&RuleCounts, &RuleCounts)>,
) -> Option<Explanation> {
    let count = tried.len();
    let rose = |it: &Tried| {
        let (before, after) = counts?;
        after.risen(before, it.explained.rules.last()?)
    };
    let fits = |it: &Tried| drops(&it.explained) == dead;
    let mut best: Option<(Tried, Option<u64>)> = None;
    let mut fitting = 0;
    let mut other: Option<Tried> = None;
    for it in tried {
        if !fits(&it) {
            other.get_or_insert(it);
            continue;
        }
        fitting += 1;
        let risen = rose(&it);
        // Of those that count the same, the first.
        if best.as_ref().is_none_or(|(_, most)| risen > *most) {
            best = Some((it, risen));
        }
    }
    let became = if dead { "dies" } else { "goes on" };
    let (chosen, why) = match best {
        Some((it, Some(risen))) if risen > 0 => (
            it,
            format!("the rule that it ends at then was hit by {risen} packets meanwhile, others' included"),
        ),
        Some((it, risen)) if fitting == 1 => {
            let but = if risen.is_some() {
                ", but the rule that it ends at then was not hit meanwhile"
            } else {
                ""
            };
            (it, format!("with none of the {count} states tried but this one it {became}{but}"))
        }
        Some((it, _)) => (
            it,
            format!(
                "with {fitting} of the {count} states tried it {became}, and no counter tells which it was"
            ),
        ),
        None => (
            other?,
            format!(
                "with none of the {count} states tried it {became}: what became of it has another reason"
            ),
        ),
    };
    let state = chosen.state.replace(',', "|");
    let assumed =
        format!("connection tracking is not asked again: ct_state={state} is assumed, because {why}");
    Some(Explanation { assumed: Some(assumed), ..chosen.explained })
}

/// Whether the last pass ends with nothing.
fn drops(explained: &Explanation) -> bool {
    explained.datapath_actions.last().is_some_and(|actions| actions == "drop")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OpenFlowRule;

    fn tried(state: &'static str, matches: &str, actions: &str) -> Tried {
        let rule = OpenFlowRule {
            bridge: "br-int".to_owned(),
            table: 70,
            priority: Some(10),
            cookie: None,
            matches: matches.to_owned(),
            actions: Vec::new(),
            logical: None,
        };
        let explained = Explanation {
            bridge: "br-int".to_owned(),
            packet: "udp".to_owned(),
            rules: vec![rule],
            assumed: None,
            datapath_actions: vec!["ct,recirc(0x1)".to_owned(), actions.to_owned()],
            leaves_by: None,
            hits: None,
            is_cut: false,
        };
        Tried { state, explained }
    }

    fn told(explained: Option<Explanation>) -> (String, String) {
        let explained = explained.unwrap();
        (explained.rules[0].matches.clone(), explained.assumed.unwrap())
    }

    #[test]
    fn the_state_in_which_a_dead_packet_dies_is_taken() {
        let all = vec![tried("trk,new", "", "2"), tried("trk,inv", "ct_state=+inv+trk,ip", "drop")];
        let (rule, why) = told(fitting(all, true, None));
        assert_eq!(rule, "ct_state=+inv+trk,ip");
        assert!(
            why.contains("ct_state=trk|inv is assumed, because with none of the 2 states tried but this"),
            "{why}"
        );
    }

    #[test]
    fn of_several_the_one_whose_rule_was_hit_is_taken() {
        let counts = |inv: u64, new: u64| {
            let line = |state: &str, count: u64| {
                format!(
                    "table_id=70, duration=5s, n_packets={count}, n_bytes=9, priority=10,ct_state=+{state},actions=drop"
                )
            };
            RuleCounts::of("br-int", &[line("inv", inv), line("new", new)].join("\n"))
        };
        let all =
            || vec![tried("trk,new", "ct_state=+new", "drop"), tried("trk,inv", "ct_state=+inv", "drop")];
        let (rule, why) = told(fitting(all(), true, Some((&counts(0, 7), &counts(91, 7)))));
        assert!(rule == "ct_state=+inv" && why.contains("hit by 91 packets meanwhile"), "{rule}: {why}");
        let (rule, why) = told(fitting(all(), true, Some((&counts(0, 7), &counts(0, 7)))));
        assert!(
            rule == "ct_state=+new" && why.contains("2 of the 2 states tried it dies, and no counter"),
            "{why}"
        );
    }

    #[test]
    fn where_no_state_fits_that_is_said() {
        let (_, why) = told(fitting(vec![tried("trk,new", "", "2")], true, None));
        assert!(why.ends_with("it dies: what became of it has another reason"), "{why}");
        assert_eq!(fitting(Vec::new(), true, None), None);
    }

    #[test]
    fn an_answer_tells_how_often_something_is_assumed() {
        let line =
            "recirc(0x1) - resume conntrack with default ct_state=trk|new (use --ct-next to customize)\n";
        assert_eq!((passes(""), passes(line), passes(&line.repeat(9))), (0, 1, MAX_PASSES));
    }
}
