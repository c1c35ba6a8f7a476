//! The fault matrix: one fault at a time, and what the report says of it; and delays of one segment at a time.
//! `cargo xtask faults` prints the same as a table.

use hoptrace_tests::faults::{Case, Fault, GROUPS, Hooks, delay_all, delay_table, run_all, table};
use hoptrace_tests::prelude::*;

/// All faults of a group, each with a case of its own per direction.
fn assert_group(name: &str) -> Result<()> {
    let lab = Lab::from_env()?;
    let faults: Vec<&Fault> =
        GROUPS.iter().filter(|(group, _)| *group == name).flat_map(|(_, faults)| faults.iter()).collect();
    ensure!(!faults.is_empty(), "there is no group {name}");
    let cases = run_all(&lab, Hooks::All, faults, None, &mut |_| ())?;
    ensure!(cases.iter().all(Case::has_passed), "\n{}", table(&cases).join("\n"));
    Ok(())
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn firewalls() -> Result<()> {
    assert_group("firewalls")
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn links_down_blocked_or_too_small() -> Result<()> {
    assert_group("links")
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn full_queues_and_limits() -> Result<()> {
    assert_group("queues")
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn port_security() -> Result<()> {
    assert_group("spoofing")
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn rules_tags_and_ports_of_open_vswitch() -> Result<()> {
    assert_group("switch")
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn what_is_no_loss() -> Result<()> {
    assert_group("survivors")
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn connection_tracking_and_upcalls() -> Result<()> {
    assert_group("tracking")
}

#[test]
#[ignore = "needs the lab or a VM: cargo xtask test"]
fn a_delay_is_in_its_segment_and_nowhere_else() -> Result<()> {
    let lab = Lab::from_env()?;
    let delays = delay_all(&lab, &mut |_| ())?;
    // Delays are set where guests are namespaces.
    ensure!(!delays.is_empty() || lab.datapath != "system", "nothing was delayed");
    ensure!(delays.iter().all(|delay| delay.correct), "\n{}", delay_table(&delays).join("\n"));
    Ok(())
}
