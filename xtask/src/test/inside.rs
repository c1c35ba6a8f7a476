//! Running test programs where they belong: the part inside the lab or a VM.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};

use super::failures::Failures;
use super::times::Times;
use crate::progress::result_line;

/// Hidden subcommand: runs test binaries.
pub(crate) const INSIDE_COMMAND: &str = "test-inside";
const SLOWEST_SHOWN: usize = 10;

/// Runs every binary, also after one has failed, one test at a time: they share the path.
pub(crate) fn run_inside(hoptrace: &Path, binaries: &[PathBuf]) -> Result<ExitCode> {
    let (mut passed, mut failed) = (0, 0);
    let (mut times, mut failures) = (Times::default(), Failures::default());
    for binary in binaries {
        let mut child = Command::new(binary)
            .args(["--ignored", "--test-threads=1"])
            .env(hoptrace_tests::BINARY_ENV, hoptrace)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        let output = child.stdout.take().context("a test without output")?;
        times.begin(binary);
        failures.begin(binary);
        let failed_before = failed;
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            result_line(&line);
            times.read(&line);
            failures.read(&line);
            passed += number_before(&line, " passed;");
            failed += number_before(&line, " failed;");
        }
        let ended = child.wait()?;
        if !ended.success() && failed == failed_before {
            failures.ended_early(&ended.to_string());
            failed += 1;
        }
    }
    times.slowest(SLOWEST_SHOWN).for_each(|line| result_line(&line));
    failures.lines().iter().for_each(|line| result_line(line));
    result_line(&format!("end-to-end tests: {passed} passed, {failed} failed"));
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The number before `word` in libtest's last line; 0 in any other line.
fn number_before(line: &str, word: &str) -> u32 {
    let counts = line.strip_prefix("test result: ").and_then(|counts| counts.split_once(word));
    counts.and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::number_before;

    #[test]
    fn counts_come_from_the_result_line() {
        let line = "test result: FAILED. 8 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!((number_before(line, " passed;"), number_before(line, " failed;")), (8, 1));
        assert_eq!(number_before("test 5 passed; ... ok", " passed;"), 0);
    }
}
