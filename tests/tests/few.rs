//! `--hooks few`: one hook of each veth pair, and every drop still has its place.

use hoptrace_tests::faults::{Case, GROUPS, Hooks, run_all, table};
use hoptrace_tests::prelude::*;

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn every_fault_is_told_as_with_all_hooks_but_behind_the_one_before() -> Result<()> {
    let lab = Lab::from_env()?;
    let faults = GROUPS.iter().flat_map(|(_, faults)| faults.iter());
    let cases = run_all(&lab, Hooks::Few, faults, None, &mut |_| ())?;
    ensure!(cases.iter().all(Case::has_passed), "\n{}", table(&cases).join("\n"));
    Ok(())
}
