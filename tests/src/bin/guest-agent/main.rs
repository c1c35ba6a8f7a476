//! The lab guest's only program: echo and sink ports, and a control port on which it is told what to send.
//!
//! Usage: `guest-agent SERIAL`. Writes `READY` to the serial port once everything listens.

mod control;
mod ping;
mod send;
mod serve;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("guest-agent: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let serial = std::env::args().nth(1).context("usage: guest-agent SERIAL")?;
    let sink = Arc::new(serve::Sink::default());
    serve::start(&sink)?;
    control::serve(&serial, &sink)
}

/// Writes to the guest's console, which the lab keeps as a file.
#[allow(clippy::print_stderr, reason = "the console is the only place a guest can write to")]
fn report(text: &str) {
    eprintln!("{text}");
}
