//! `cargo xtask test`: set-up, lint, unit tests, then the end-to-end tests in one lab.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use hoptrace_tests::lab::{Folders, Runner};

use crate::progress::{heading, result_line, step};
use crate::{build, lint, process, setup};

/// Hidden subcommand: runs test binaries in the lab.
pub(crate) const INSIDE_COMMAND: &str = "test-inside";

pub(crate) fn run() -> Result<ExitCode> {
    let started = Instant::now();
    setup::ensure()?;
    let folders = Folders::find()?;
    lint::check(&folders)?;
    heading("unit tests");
    process::run(
        process::cargo(&["test", "--quiet", "--workspace", "--exclude", "hoptrace-ebpf"])
            .current_dir(&folders.workspace_root),
    )?;
    let hoptrace = build::release(&folders)?;
    let binaries = build_lab_tests(&folders)?;
    heading("end-to-end tests in the lab");
    let mut command = vec![std::env::current_exe()?, INSIDE_COMMAND.into(), hoptrace];
    command.extend(binaries);
    let command: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let status = Runner::new(folders, &step)?.run(&command, &step)?;
    let verdict = if status.success() { "passed" } else { "FAILED" };
    result_line(&format!("cargo xtask test: {verdict} in {:.0} s", started.elapsed().as_secs_f32()));
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the end-to-end tests; cargo says where they are, a JSON message per line.
fn build_lab_tests(folders: &Folders) -> Result<Vec<PathBuf>> {
    let output = process::cargo(&["test", "--package", "hoptrace-tests", "--test", "*", "--no-run"])
        .args(["--quiet", "--message-format=json"])
        .current_dir(&folders.workspace_root)
        .stderr(Stdio::inherit())
        .output()
        .context("build the end-to-end tests")?;
    if !output.status.success() {
        bail!("the end-to-end tests do not build: {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let binaries: Vec<PathBuf> = messages
        .filter(|message| message.pointer("/target/kind/0").and_then(|kind| kind.as_str()) == Some("test"))
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .collect();
    if binaries.is_empty() {
        bail!("cargo built no end-to-end tests");
    }
    Ok(binaries)
}

/// Runs every binary, also after one has failed, one test at a time: they share the path.
pub(crate) fn run_inside(hoptrace: &std::path::Path, binaries: &[PathBuf]) -> Result<ExitCode> {
    let (mut passed, mut failed) = (0, 0);
    for binary in binaries {
        let mut child = Command::new(binary)
            .args(["--ignored", "--test-threads=1"])
            .env(hoptrace_tests::BINARY_ENV, hoptrace)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        let output = child.stdout.take().context("a test without output")?;
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            result_line(&line);
            passed += number_before(&line, " passed;");
            failed += number_before(&line, " failed;");
        }
        if !child.wait()?.success() && failed == 0 {
            // It ended before it could count.
            failed += 1;
        }
    }
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
