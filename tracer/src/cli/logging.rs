//! Log records to stderr.

use std::io::Write as _;

use log::{LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = record.level().as_str().to_lowercase();
        // Without stderr a failure cannot be told.
        let _ = writeln!(std::io::stderr().lock(), "{level}: {}", record.args());
    }

    fn flush(&self) {}
}

/// Starts logging: warnings, with `-v` information, with `-vv` debugging, with `-vvv` everything.
pub(super) fn start(verbosity: u8) {
    let level = match verbosity {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    // Only a second start fails, and then there is a logger.
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(level);
    }
}
