//! How long each test took.

use std::path::Path;
use std::time::{Duration, Instant};

use super::binaries::program_name;

/// The tests of several programs, which run one at a time: a test has taken the time between the line before its own and that.
#[derive(Debug, Default)]
pub(super) struct Times {
    program: String,
    before: Option<Instant>,
    taken: Vec<(Duration, String)>,
}

impl Times {
    /// The program's first test begins.
    pub(super) fn begin(&mut self, program: &Path) {
        self.program = program_name(program);
        self.before = Some(Instant::now());
    }

    /// Takes note of a line of the program.
    pub(super) fn read(&mut self, line: &str) {
        let now = Instant::now();
        let Some(test) = named(line) else { return };
        if let Some(before) = self.before.replace(now) {
            self.taken.push((now.duration_since(before), format!("{}: {test}", self.program)));
        }
    }

    /// The `count` slowest tests, one a line, the slowest first.
    pub(super) fn slowest(&mut self, count: usize) -> impl Iterator<Item = String> {
        self.taken.sort_by_key(|(taken, _)| std::cmp::Reverse(*taken));
        self.taken.iter().take(count).map(|(taken, test)| format!("{:8.1} s  {test}", taken.as_secs_f32()))
    }
}

/// The test that this line of libtest's says the result of.
fn named(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Times, named};

    #[test]
    fn a_result_names_its_test() {
        assert_eq!(named("test a_flood_is_told ... ok"), Some("a_flood_is_told"));
        assert_eq!(named("test result: ok. 1 passed; 0 failed"), None);
        assert_eq!(named("running 4 tests"), None);
    }

    #[test]
    fn the_slowest_comes_first_with_its_program() {
        let mut times = Times::default();
        times.begin(Path::new("/x/losses-0123456789abcdef"));
        times.read("test quick ... ok");
        std::thread::sleep(std::time::Duration::from_millis(20));
        times.read("test slow ... FAILED");
        let lines: Vec<_> = times.slowest(1).collect();
        assert!(lines.len() == 1 && lines[0].ends_with("losses: slow"), "{lines:?}");
    }
}
