//! The lab guest's only program: echo and sink ports, and a control port on which it is told what to send.
//!
//! - `guest-agent SERIAL`: in a VM, with the control port on a serial port. It writes `READY` there once everything listens.
//! - `guest-agent inherited`: in a namespace, with a listening Unix socket as standard input; each client gets `READY` first.
//! - `guest-agent nic TAP NETNS INTERFACE true|false`: the NIC of such a guest. It prints `READY` once it is there.

mod control;
mod nic;
mod ping;
mod send;
mod serve;
mod think;
mod tun;

use std::io::Write as _;
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
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (what, args) = args.split_first().context("usage: guest-agent SERIAL|inherited|nic …")?;
    if what == "nic" {
        return nic::serve(args);
    }
    let sink = Arc::new(serve::Sink::default());
    serve::start(&sink)?;
    think::start()?;
    match what.as_str() {
        "inherited" => control::serve_inherited(&sink),
        serial => control::serve(serial, &sink),
    }
}

/// Tells the lab that the guest's NIC is there.
#[allow(clippy::print_stdout, reason = "one line on a pipe to the process that waits for it")]
fn ready() -> Result<()> {
    println!("READY");
    std::io::stdout().flush().context("say READY")
}

/// Writes to the guest's console, which the lab keeps as a file.
#[allow(clippy::print_stderr, reason = "the console is the only place a guest can write to")]
fn report(text: &str) {
    eprintln!("{text}");
}
