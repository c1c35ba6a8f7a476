//! The fault matrix: one fault at a time, and what the report says of it. `cargo xtask faults` runs the other groups, too.

use anyhow::{Result, ensure};
use hoptrace_tests::{
    faults::{Case, Fault, GROUPS, run_all, table},
    lab::Lab,
};

/// All faults of a group, each with a case of its own per direction.
fn assert_group(name: &str) -> Result<()> {
    let lab = Lab::from_env()?;
    let faults: Vec<&Fault> =
        GROUPS.iter().filter(|(group, _)| *group == name).flat_map(|(_, faults)| faults.iter()).collect();
    ensure!(!faults.is_empty(), "there is no group {name}");
    let cases = run_all(&lab, faults, None, &mut |_| ())?;
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
