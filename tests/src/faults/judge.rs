//! Holding a report against what was to be reported.

use serde_json::Value;

use super::{Case, Direction, Outcome, Platform, Why, fault::Ran};

/// Which of the ledger's entries must be nought, whatever the fault.
const NEVER: [&str; 7] = ["in_flight", "unseen", "evicted", "ambiguous", "untracked", "merged", "split"];
/// Hooks behind the place where packets are changed, in both directions: qvo and the NIC, or qvb and the tap.
const HOOKS_BEHIND_CHANGE: u64 = 2;

/// Fills in what the report says about a direction, and whether that is true.
pub(super) fn judge(
    case: &mut Case,
    report: &Value,
    direction: Direction,
    outcome: Outcome,
    ran: Ran,
    innocent: u64,
    platform: Platform,
) {
    let none = Value::Null;
    let (outcome, ran) = outcome.on(platform, ran);
    let found = report.pointer(&format!("/directions/{}", direction.name())).unwrap_or(&none);
    let drops: &[Value] = found.get("drops").and_then(Value::as_array).map_or(&[], Vec::as_slice);
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(u64::MAX);
    let add = |sum: u64, drop: &Value| sum.saturating_add(number(drop, "count"));
    if let Some(most) = drops.iter().max_by_key(|drop| number(drop, "count")) {
        case.blamed_after = text(most, "after");
        case.reason = text(most, "reason").map(|reason| match text(most, "subsystem") {
            Some(subsystem) => format!("{subsystem}: {reason}"),
            None => reason,
        });
        // One line of the kernel can be at several places of its machine code.
        let same = |drop: &&Value| {
            ["after", "reason", "subsystem"].iter().all(|key| drop.get(*key) == most.get(*key))
        };
        case.counted = drops.iter().filter(same).fold(0, add);
    }
    let counted_in_all = drops.iter().fold(0, add);
    case.injected = ran.taken;
    let ledger = found.get("ledger").unwrap_or(&none);
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            wrong.push(what);
        }
    };
    match outcome {
        Outcome::Dies { after, cause } => {
            let expected = match cause.on(platform) {
                Why::Lost => None,
                Why::Core(name) => Some(name.to_owned()),
                Why::Ovs(name) => Some(format!("openvswitch: {name}")),
            };
            let words = format!("{} after {after}, {}", ran.taken, expected.as_deref().unwrap_or("lost"));
            check(ran.taken > 0, "the fault took no packet".to_owned());
            check(
                case.blamed_after.as_deref() == Some(after)
                    && case.counted == ran.taken
                    && counted_in_all == ran.taken
                    && case.reason == expected,
                format!("{} instead of {words}", listed(drops)),
            );
        }
        Outcome::Ends { .. } | Outcome::Survives => {
            check(drops.is_empty(), format!("{} instead of nothing", listed(drops)));
        }
        Outcome::Changes { after, refused_after } => {
            let is_right = |drop: &Value| {
                let (hook, reason) = (text(drop, "after"), text(drop, "reason"));
                (hook.as_deref() == Some(after) && reason.is_none())
                    || (hook.as_deref() == refused_after && reason.as_deref() == Some("NOT_SPECIFIED"))
            };
            check(
                drops.iter().all(is_right) && counted_in_all == ran.taken,
                format!("{} instead of {} after {after}, lost", listed(drops), ran.taken),
            );
        }
    }
    let (entered, joined) = (innocent + ran.entered, number(ledger, "joined_midway"));
    let others = if matches!(outcome, Outcome::Changes { .. }) { ran.taken } else { 0 };
    let completed = entered - ran.taken + joined.min(others);
    check(
        number(ledger, "entered") == entered && number(ledger, "completed") == completed,
        format!("not {entered} entered, {completed} completed: {ledger}"),
    );
    // One that has another identity joins once; one that has none is met at every hook behind.
    let sights = joined.saturating_mul(HOOKS_BEHIND_CHANGE).saturating_add(number(ledger, "unparsed"));
    check(
        sights <= others * HOOKS_BEHIND_CHANGE,
        format!("more than {others} joined or without identity: {ledger}"),
    );
    check(ledger.get("balanced") == Some(&Value::Bool(true)), format!("not balanced: {ledger}"));
    for name in NEVER {
        check(number(ledger, name) == 0, format!("{name}: {ledger}"));
    }
    case.correct = wrong.is_empty();
    case.wrong = (!wrong.is_empty()).then(|| wrong.join("; "));
}

fn listed(drops: &[Value]) -> String {
    let each = drops.iter().map(|drop| {
        let of = |key: &str| drop.get(key).cloned().unwrap_or_default();
        format!("{} after {}, {} in {}", of("count"), of("after"), of("reason"), of("location"))
    });
    if drops.is_empty() { "nothing".to_owned() } else { each.collect::<Vec<_>>().join(" and ") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Case, Cause, Direction, Outcome, Platform, Why, fault::Ran};
    use super::judge;

    const DIES: Outcome =
        Outcome::Dies { after: "tap", cause: Cause::new(&[((6, 1), Why::Core("NETFILTER_DROP"))]) };

    fn report(drops: &Value, completed: u64, ambiguous: u64) -> Value {
        json!({"directions": {"egress": {"drops": drops, "ledger": {
            "entered": 30, "completed": completed, "balanced": true, "ambiguous": ambiguous,
            "joined_midway": 0, "unseen": 0, "in_flight": 0, "evicted": 0, "untracked": 0, "unparsed": 0, "merged": 0, "split": 0,
        }}}})
    }

    const PLATFORM: Platform = Platform { kernel: (6, 1), has_kernel_datapath: true };

    fn judged(report: &Value, outcome: Outcome, taken: u64) -> Case {
        let mut case = Case::new("x", "6.1.0", "egress");
        let ran = Ran { entered: 10, taken };
        judge(&mut case, report, Direction::Egress, outcome, ran, 20, PLATFORM);
        case
    }

    fn drop(after: &str, reason: &str, count: u64) -> Value {
        json!({"after": after, "reason": reason, "subsystem": null, "location": "f+0x1", "count": count})
    }

    #[test]
    fn what_is_true_is_correct() {
        let case = judged(&report(&json!([drop("tap", "NETFILTER_DROP", 10)]), 20, 0), DIES, 10);
        assert!(case.correct, "{case:?}");
        assert_eq!((case.counted, case.blamed_after.as_deref()), (10, Some("tap")));
        let at_two_places = json!([drop("tap", "NETFILTER_DROP", 7), drop("tap", "NETFILTER_DROP", 3)]);
        let case = judged(&report(&at_two_places, 20, 0), DIES, 10);
        assert!(case.correct && case.counted == 10, "{case:?}");
        assert!(judged(&report(&json!([]), 30, 0), Outcome::Survives, 0).correct);
    }

    #[test]
    fn where_the_path_ends_packets_die_if_the_kernel_says_so() {
        const ENDS: Outcome = Outcome::Ends {
            after: "qvo",
            cause: Cause::by_switch(&[((6, 1), Why::Lost), ((6, 6), Why::Core("DEV_READY"))]),
        };
        let judged = |report: &Value, kernel| {
            let mut case = Case::new("x", "6.1.0", "egress");
            let (platform, ran) = (Platform { kernel, ..PLATFORM }, Ran { entered: 10, taken: 10 });
            judge(&mut case, report, Direction::Egress, ENDS, ran, 20, platform);
            case.correct
        };
        let (dead, alive) =
            (report(&json!([drop("qvo", "DEV_READY", 10)]), 20, 0), report(&json!([]), 30, 0));
        assert!(judged(&dead, (6, 12)) && !judged(&alive, (6, 12)));
        assert!(judged(&alive, (6, 1)) && !judged(&dead, (6, 1)));
    }

    #[test]
    fn what_became_another_packet_is_lost_and_joined_midway() {
        const CHANGES: Outcome = Outcome::Changes { after: "qvb", refused_after: None };
        let report = |lost: u64, joined: u64| {
            let drops = if lost == 0 { json!([]) } else { json!([drop("qvb", "", lost)]) };
            let mut report = report(&drops, 30 - lost + joined, 0);
            if let Some(reason) = report.pointer_mut("/directions/egress/drops/0/reason") {
                *reason = Value::Null;
            }
            report["directions"]["egress"]["ledger"]["joined_midway"] = joined.into();
            report
        };
        for (lost, joined, changed, is_right) in [
            (0, 0, 0, true),
            (2, 2, 2, true),
            (2, 1, 2, true),
            (2, 2, 0, false),
            (1, 0, 2, false),
            (2, 3, 2, false),
        ] {
            let case = judged(&report(lost, joined), CHANGES, changed);
            assert_eq!(case.correct, is_right, "{lost} lost, {joined} joined, {changed} changed: {case:?}");
        }
    }

    #[test]
    fn anything_else_is_wrong() {
        let right = drop("tap", "NETFILTER_DROP", 10);
        for (what, report) in [
            ("hook", report(&json!([drop("qvb", "NETFILTER_DROP", 10)]), 20, 0)),
            ("reason", report(&json!([drop("tap", "NO_SOCKET", 10)]), 20, 0)),
            ("count", report(&json!([drop("tap", "NETFILTER_DROP", 9)]), 20, 0)),
            ("more", report(&json!([right, drop("nic", "NO_SOCKET", 1)]), 20, 0)),
            ("most", report(&json!([drop("tap", "NETFILTER_DROP", 9), drop("nic", "NO_SOCKET", 1)]), 20, 0)),
            ("ledger", report(&json!([right]), 19, 0)),
            ("ambiguous", report(&json!([right]), 20, 1)),
            ("nothing", report(&json!([]), 20, 0)),
        ] {
            let case = judged(&report, DIES, 10);
            assert!(!case.correct && case.wrong.is_some(), "{what}");
        }
        assert!(!judged(&report(&json!([right]), 20, 0), Outcome::Survives, 0).correct);
        assert!(!judged(&report(&json!([]), 30, 0), DIES, 0).correct, "a fault that takes nothing");
    }
}
