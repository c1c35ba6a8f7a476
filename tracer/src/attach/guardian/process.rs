//! What the guardian does.

use std::{
    io::{self, Read as _},
    process::ExitCode,
};

use rustix::{
    process::setsid,
    thread::{CapabilitySet, capabilities, set_name},
};

use super::{Footprint, READY};

/// Waits for the tracer's end and removes what is left. Expects the tracer's socket as standard input.
#[must_use]
pub fn run() -> ExitCode {
    match guard() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Heard only before the tracer has gone.
            let _ = say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn guard() -> io::Result<()> {
    detach();
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    if !effective.contains(CapabilitySet::NET_ADMIN) {
        return Err(io::Error::other("it lacks CAP_NET_ADMIN"));
    }
    say(READY)?;
    let mut told = String::new();
    io::stdin().read_to_string(&mut told)?;
    let footprint: Footprint = told.parse().map_err(|()| io::Error::other("no tracer's words"))?;
    footprint.remove()
}

/// Leaves the tracer's session and ignores the signals that are meant for it. Keeps no file open but the socket and the
/// owner's number.
fn detach() {
    // Fails only for the first process of a session, which is what we want to be.
    let _ = setsid();
    let _ = set_name(c"hop-guardian");
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        // SAFETY: no handler of ours is involved, and no other thread runs.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // SAFETY: the process has just started and owns none of these: they come from the process that started the tracer.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}

fn say(words: &str) -> io::Result<()> {
    rustix::io::write(io::stdin(), format!("{words}\n").as_bytes())?;
    Ok(())
}
