//! Holding a report against what was to be reported.

use super::{Case, Outcome, Platform, Why, fault::Ran};
use crate::report::{DirectionDrops, Dropped, Ledger};

/// Hooks behind the place where packets are changed, in both directions: qvo and the NIC, or qvb and the tap.
const HOOKS_BEHIND_CHANGE: u64 = 2;

/// Fills in what the report says about a direction, and whether that is true.
pub(super) fn judge(
    case: &mut Case,
    found: &DirectionDrops,
    outcome: Outcome,
    ran: Ran,
    innocent: u64,
    platform: Platform,
) {
    let (outcome, ran) = outcome.on(platform, ran);
    let drops = found.drops.as_slice();
    if let Some(most) = drops.iter().max_by_key(|drop| drop.count) {
        case.blamed_after = Some(most.after.clone());
        case.reason = most.reason.as_ref().map(|reason| match &most.subsystem {
            Some(subsystem) => format!("{subsystem}: {reason}"),
            None => reason.clone(),
        });
        // One line of the kernel can be at several places of its machine code.
        let of = |drop: &Dropped| (drop.after.clone(), drop.reason.clone(), drop.subsystem.clone());
        case.counted = drops.iter().filter(|drop| of(drop) == of(most)).map(|drop| drop.count).sum();
    }
    let counted_in_all = found.died();
    case.injected = ran.taken;
    let ledger = found.ledger;
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
            let is_right = |drop: &Dropped| {
                let (hook, reason) = (drop.after.as_str(), drop.reason.as_deref());
                (hook == after && reason.is_none())
                    || (Some(hook) == refused_after && reason == Some("NOT_SPECIFIED"))
            };
            check(
                drops.iter().all(is_right) && counted_in_all == ran.taken,
                format!("{} instead of {} after {after}, lost", listed(drops), ran.taken),
            );
        }
    }
    let (entered, joined) = (innocent + ran.entered, ledger.joined_midway);
    let others = if matches!(outcome, Outcome::Changes { .. }) { ran.taken } else { 0 };
    let completed = entered - ran.taken + joined.min(others);
    // One that has another identity joins once; one that has none is met at every hook behind.
    let sights = joined.saturating_mul(HOOKS_BEHIND_CHANGE).saturating_add(ledger.unparsed);
    check(
        sights <= others * HOOKS_BEHIND_CHANGE,
        format!("more than {others} joined or without identity: {ledger}"),
    );
    // Whatever the fault.
    let expected = Ledger {
        entered,
        completed,
        in_flight: 0,
        unseen: 0,
        evicted: 0,
        ambiguous: 0,
        untracked: 0,
        merged: 0,
        split: 0,
        ..ledger
    };
    let held = ledger.expect(&expected);
    check(held.is_ok(), held.err().map(|error| error.to_string()).unwrap_or_default());
    case.correct = wrong.is_empty();
    case.wrong = (!wrong.is_empty()).then(|| wrong.join("; "));
}

fn listed(drops: &[Dropped]) -> String {
    let or_null = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".to_owned());
    let each = drops.iter().map(|drop| {
        let Dropped { count, after, reason, location, .. } = drop;
        format!("{count} after {after}, {} in {}", or_null(reason), or_null(location))
    });
    if drops.is_empty() { "nothing".to_owned() } else { each.collect::<Vec<_>>().join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::super::{Case, Cause, Outcome, Platform, Why, fault::Ran};
    use super::{DirectionDrops, Dropped, Ledger, judge};

    const DIES: Outcome =
        Outcome::Dies { after: "tap", cause: Cause::new(&[((6, 1), Why::Core("NETFILTER_DROP"))]) };

    fn report(drops: &[Dropped], completed: u64, ambiguous: u64) -> DirectionDrops {
        let ledger = Ledger { entered: 30, completed, ambiguous, balanced: true, ..Ledger::default() };
        DirectionDrops { drops: drops.to_vec(), ledger, ..DirectionDrops::default() }
    }

    const PLATFORM: Platform = Platform { kernel: (6, 1), has_kernel_datapath: true };

    fn judged(report: &DirectionDrops, outcome: Outcome, taken: u64) -> Case {
        let mut case = Case::new("x", "6.1.0", "egress");
        let ran = Ran { entered: 10, taken };
        judge(&mut case, report, outcome, ran, 20, PLATFORM);
        case
    }

    fn drop(after: &str, reason: &str, count: u64) -> Dropped {
        let [after, reason, location] = [after, reason, "f+0x1"].map(str::to_owned);
        Dropped { after, reason: Some(reason), location: Some(location), count, ..Dropped::default() }
    }

    #[test]
    fn what_is_true_is_correct() {
        let case = judged(&report(&[drop("tap", "NETFILTER_DROP", 10)], 20, 0), DIES, 10);
        assert!(case.correct, "{case:?}");
        assert_eq!((case.counted, case.blamed_after.as_deref()), (10, Some("tap")));
        let at_two_places = [drop("tap", "NETFILTER_DROP", 7), drop("tap", "NETFILTER_DROP", 3)];
        let case = judged(&report(&at_two_places, 20, 0), DIES, 10);
        assert!(case.correct && case.counted == 10, "{case:?}");
        assert!(judged(&report(&[], 30, 0), Outcome::Survives, 0).correct);
    }

    #[test]
    fn where_the_path_ends_packets_die_if_the_kernel_says_so() {
        const ENDS: Outcome = Outcome::Ends {
            after: "qvo",
            cause: Cause::by_switch(&[((6, 1), Why::Lost), ((6, 6), Why::Core("DEV_READY"))]),
        };
        let judged = |report: &DirectionDrops, kernel| {
            let mut case = Case::new("x", "6.1.0", "egress");
            let (platform, ran) = (Platform { kernel, ..PLATFORM }, Ran { entered: 10, taken: 10 });
            judge(&mut case, report, ENDS, ran, 20, platform);
            case.correct
        };
        let (dead, alive) = (report(&[drop("qvo", "DEV_READY", 10)], 20, 0), report(&[], 30, 0));
        assert!(judged(&dead, (6, 12)) && !judged(&alive, (6, 12)));
        assert!(judged(&alive, (6, 1)) && !judged(&dead, (6, 1)));
    }

    #[test]
    fn what_became_another_packet_is_lost_and_joined_midway() {
        const CHANGES: Outcome = Outcome::Changes { after: "qvb", refused_after: None };
        let report = |lost: u64, joined: u64| {
            let died = Dropped { reason: None, ..drop("qvb", "", lost) };
            let drops = if lost == 0 { Vec::new() } else { vec![died] };
            let mut report = report(&drops, 30 - lost + joined, 0);
            report.ledger.joined_midway = joined;
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
            ("hook", report(&[drop("qvb", "NETFILTER_DROP", 10)], 20, 0)),
            ("reason", report(&[drop("tap", "NO_SOCKET", 10)], 20, 0)),
            ("count", report(&[drop("tap", "NETFILTER_DROP", 9)], 20, 0)),
            ("more", report(&[right.clone(), drop("nic", "NO_SOCKET", 1)], 20, 0)),
            ("most", report(&[drop("tap", "NETFILTER_DROP", 9), drop("nic", "NO_SOCKET", 1)], 20, 0)),
            ("ledger", report(std::slice::from_ref(&right), 19, 0)),
            ("ambiguous", report(std::slice::from_ref(&right), 20, 1)),
            ("nothing", report(&[], 20, 0)),
        ] {
            let case = judged(&report, DIES, 10);
            assert!(!case.correct && case.wrong.is_some(), "{what}");
        }
        assert!(!judged(&report(std::slice::from_ref(&right), 20, 0), Outcome::Survives, 0).correct);
        assert!(!judged(&report(&[], 30, 0), DIES, 0).correct, "a fault that takes nothing");
    }
}
