//! Which tests failed, and what they said, for the end of a long output.

use std::path::Path;

use super::binaries::program_name;

/// Collects what libtest repeats of the tests that failed, program by program.
#[derive(Debug, Default)]
pub(super) struct Failures {
    program: String,
    /// Between libtest's `failures:` and its result.
    repeating: bool,
    lines: Vec<String>,
}

impl Failures {
    /// The program's first test begins.
    pub(super) fn begin(&mut self, program: &Path) {
        self.program = program_name(program);
        self.repeating = false;
    }

    /// Takes note of a line of the program.
    pub(super) fn read(&mut self, line: &str) {
        match line {
            "failures:" => self.repeat(),
            _ if line.starts_with("test result: ") => self.repeating = false,
            _ if self.repeating && !line.is_empty() => self.lines.push(line.to_owned()),
            _ => {}
        }
    }

    /// The program says again what failed: `failures:` comes once before the outputs and once before the names.
    fn repeat(&mut self) {
        if !std::mem::replace(&mut self.repeating, true) {
            self.lines.push(format!("failed in {}:", self.program));
        }
    }

    /// The program ended before it could count its tests.
    pub(super) fn ended_early(&mut self, how: &str) {
        self.lines.push(format!("failed in {}: it ended early: {how}", self.program));
    }

    /// What was collected, a line each.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Failures;

    #[test]
    fn what_a_failed_test_said_is_kept_and_nothing_else() {
        let mut failures = Failures::default();
        failures.begin(Path::new("/x/losses-0123456789abcdef"));
        let output = "running 2 tests\ntest good ... ok\ntest bad ... FAILED\n\nfailures:\n\n\
            ---- bad stdout ----\nError: 1 of 2\n\n\nfailures:\n    bad\n\n\
            test result: FAILED. 1 passed; 1 failed\n\nrunning 0 tests";
        output.lines().for_each(|line| failures.read(line));
        failures.begin(Path::new("/x/wire-0123456789abcdef"));
        failures.read("test good ... ok");
        failures.ended_early("signal: 9");
        let kept = [
            "failed in losses:",
            "---- bad stdout ----",
            "Error: 1 of 2",
            "    bad",
            "failed in wire: it ended early: signal: 9",
        ];
        assert_eq!(failures.lines(), kept);
    }
}
