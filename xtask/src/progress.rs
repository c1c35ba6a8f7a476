//! What xtask says while it works. Everything goes to standard error; standard output belongs to the commands it runs.
#![allow(clippy::print_stderr, reason = "xtask talks to the person who called it")]

/// A step is done, or starts.
pub(crate) fn step(text: &str) {
    eprintln!("  {text}");
}

/// A part of a task starts.
pub(crate) fn heading(text: &str) {
    eprintln!("\n== {text}");
}

/// The task failed.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
