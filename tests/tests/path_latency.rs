//! Delays of one segment at a time on this machine's own timers.

use hoptrace_tests::faults::{delay_all, delay_table};
use hoptrace_tests::prelude::*;

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_delay_is_in_its_segment_and_nowhere_else() -> Result<()> {
    let delays = delay_all(&Lab::from_env()?, &mut |_| ())?;
    ensure!(
        !delays.is_empty() && delays.iter().all(|delay| delay.correct),
        "\n{}",
        delay_table(&delays).join("\n")
    );
    Ok(())
}
