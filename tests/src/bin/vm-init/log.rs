//! Words for the host, through the kernel's log: whole lines, in order with the kernel's own.

use std::fs::File;
use std::io::Write as _;

use hoptrace_tests::vm::contract::{EXIT, FAILED, TAG};

/// Writes a line. There is nobody to tell where that fails.
pub(crate) fn say(text: &str) {
    // Level 1 (alert) reaches the console however quiet the kernel is.
    let line = format!("<1>{TAG} {}\n", text.replace('\n', "; "));
    if let Ok(mut log) = File::options().write(true).open("/dev/kmsg") {
        drop(log.write_all(line.as_bytes()));
    }
}

pub(crate) fn verdict_exit(code: u8) {
    say(&format!("{EXIT} {code}"));
}

pub(crate) fn verdict_failed(error: &anyhow::Error) {
    say(&format!("{FAILED} {error:#}"));
}
