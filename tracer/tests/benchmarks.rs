//! What the benchmarks compute and read, beside what they measure.

#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]
#![allow(dead_code, reason = "the benchmarks need the rest")]

#[path = "../benches/support/figures.rs"]
mod figures;
#[path = "../benches/support/mitigations.rs"]
mod mitigations;
#[path = "../benches/support/quantiles.rs"]
mod quantiles;
#[path = "../benches/path/tcpdump.rs"]
mod tcpdump;

use std::time::Duration;

use figures::{above, median, median_ratio, median_ratio_above, spread_pct};
use mitigations::Mitigations;
use quantiles::Times;
use tcpdump::missed;

const EXACT: f64 = 1e-9;

fn is(figure: f64, wanted: f64) -> bool {
    (figure - wanted).abs() < EXACT
}

#[test]
fn the_median_is_in_the_middle() {
    assert!(
        is(median(&[9.0, 1.0, 2.0]), 2.0) && is(median(&[4.0, 1.0, 2.0, 9.0]), 3.0) && is(median(&[]), 0.0)
    );
    assert!(is(spread_pct(&[10.0; 5]), 0.0) && is(spread_pct(&[8.0, 9.0, 10.0, 11.0, 12.0]), 10.0));
}

#[test]
fn each_round_is_compared_with_itself() {
    let (hop, clock) = ([40.0, 80.0, 120.0], [20.0, 40.0, 60.0]);
    assert!(is(median_ratio(&hop, &clock), 2.0));
}

#[test]
fn what_calling_a_program_costs_is_taken_off_both() {
    let (hop, clock, empty) = ([50.0, 62.0], [30.0, 36.0], [10.0, 10.0]);
    assert_eq!(above(&hop, &empty), [40.0, 52.0]);
    assert!(is(median_ratio_above(&hop, &clock, &empty), 2.0));
    // A round in which the clock took nothing says nothing.
    assert!(is(median_ratio_above(&[50.0, 70.0], &[30.0, 10.0], &empty), 2.0));
    assert!(is(median_ratio_above(&[50.0], &[10.0], &[10.0]), 0.0));
}

#[test]
fn quantiles_are_those_of_all_times() {
    let mut times = Times::new().unwrap();
    for us in 1..=1_000 {
        times.record(Duration::from_micros(us));
    }
    assert_eq!(times.count(), 1_000);
    let near = |ns: f64, wanted_ns: f64| (ns - wanted_ns).abs() <= wanted_ns / 500.0;
    let [half, most, nearly_all] = times.quantiles_ns();
    assert!(near(half, 500e3) && near(most, 990e3) && near(nearly_all, 999e3), "{half} {most} {nearly_all}");
}

#[test]
fn no_time_is_too_short_or_too_long() {
    let mut times = Times::new().unwrap();
    assert!(times.quantiles_ns().into_iter().all(|ns| is(ns, 0.0)));
    times.record(Duration::ZERO);
    times.record(Duration::MAX);
    assert_eq!(times.count(), 2);
}

fn of(states: &[(&str, &str)]) -> Mitigations {
    Mitigations::of(states.iter().map(|(flaw, state)| ((*flaw).to_owned(), (*state).to_owned())))
}

#[test]
fn dear_calls_are_told_from_cheap_ones() {
    let dear = [
        "Mitigation: Retpolines; STIBP: disabled; RSB filling; PBRSB-eIBRS: Not affected; BHI: Retpoline\n",
        "Mitigation: Enhanced IBRS + Retpolines; RSB filling",
        "Mitigation: Full generic retpoline, IBPB: conditional",
    ];
    for state in dear {
        assert_eq!(of(&[("spectre_v2", state)]).in_short(), "retpolines, no return thunks", "{state}");
    }
    let cheap = [
        "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; PBRSB-eIBRS: SW sequence; BHI: Retpoline",
        "Mitigation: IBRS; IBPB: conditional",
    ];
    for state in cheap {
        assert_eq!(of(&[("spectre_v2", state)]).in_short(), "no retpolines, no return thunks", "{state}");
    }
}

#[test]
fn what_is_not_there_or_not_mended_is_said() {
    assert_eq!(of(&[]).in_short(), "no retpolines, no return thunks");
    let machine = of(&[
        ("indirect_target_selection", "Mitigation: Aligned branch/return thunks\n"),
        ("meltdown", "Not affected\n"),
        ("retbleed", "Vulnerable\n"),
        ("spec_store_bypass", "Vulnerable\n"),
        ("spectre_v2", "Mitigation: Retpolines; STIBP: disabled\n"),
    ]);
    let wanted = "retpolines, return thunks; vulnerable: retbleed, spec_store_bypass";
    assert_eq!(machine.in_short(), wanted);
    for state in [
        "Mitigation: untrained return thunk; SMT disabled",
        "Mitigation: Safe RET",
        "Vulnerable: Safe RET, no microcode",
    ] {
        assert!(of(&[("spec_rstack_overflow", state)]).in_short().contains(", return thunks"), "{state}");
    }
    let json = serde_json::to_value(&machine).unwrap();
    assert_eq!(json["retpolines"], true);
    assert!(json["mitigations"].get("meltdown").is_none() && json["mitigations"]["retbleed"] == "Vulnerable");
}

#[test]
fn tcpdump_s_last_words_are_understood() {
    let said =
        "1250000 packets captured\n1250312 packets received by filter\n312 packets dropped by kernel\n";
    assert_eq!(missed(said), Some(312));
    assert_eq!(missed("tcpdump: no such device\n"), None);
}
