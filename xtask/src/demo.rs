//! `cargo xtask demo`: everything from nothing to a report of a real guest's packets.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hoptrace_tests::lab::sandbox::exit_code;
use hoptrace_tests::lab::{Folders, Guest, Lab, Runner};

use crate::progress::{heading, step};
use crate::{build, setup};

/// Hidden subcommand: the part of the demo that runs in the lab.
pub(crate) const INSIDE_COMMAND: &str = "demo-inside";

const ECHO_PORT: u16 = 7;
const TRACE_SECONDS: &str = "5";

pub(crate) fn run() -> Result<ExitCode> {
    setup::ensure()?;
    let folders = Folders::find()?;
    let binary = build::release(&folders)?;
    in_lab(folders, binary)
}

/// The demo itself, of what is built.
pub(crate) fn in_lab(folders: Folders, binary: PathBuf) -> Result<ExitCode> {
    heading("demo in the lab");
    let runner = Runner::new(folders, &step)?;
    let words = [std::env::current_exe()?, INSIDE_COMMAND.into(), binary];
    let command: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    Ok(exit_code(runner.run(&command, &step)?))
}

/// Draws the path, then traces while both sides send.
pub(crate) fn run_inside(binary: &Path) -> Result<ExitCode> {
    let lab = Lab::from_env()?;
    let guest = lab.guests.first().context("the lab has no guest")?;
    heading(&format!("hoptrace path {}", guest.display_name));
    let path = hoptrace(binary, &["path", &guest.display_name])?;
    heading(&format!("hoptrace trace {} --duration {TRACE_SECONDS}", guest.display_name));
    step("meanwhile: ping and UDP from the wire, ping and UDP from the guest");
    let stop = AtomicBool::new(false);
    let trace = std::thread::scope(|scope| -> Result<ExitStatus> {
        let (lab, stop) = (&lab, &stop);
        let senders: [fn(&Lab, &Guest) -> Result<()>; 3] = [wire_ping, wire_udp, from_guest];
        for sender in senders {
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(error) = sender(lab, guest) {
                        return step(&format!("traffic: {error:#}"));
                    }
                }
            });
        }
        let status = hoptrace(binary, &["trace", &guest.display_name, "--duration", TRACE_SECONDS]);
        stop.store(true, Ordering::Relaxed);
        status
    })?;
    for (what, status) in [("path", path), ("trace", trace)] {
        if !status.success() {
            step(&format!("hoptrace {what}: {status}"));
            return Ok(exit_code(status));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn hoptrace(binary: &Path, args: &[&str]) -> Result<ExitStatus> {
    Command::new(binary).args(args).status().with_context(|| format!("cannot run {}", binary.display()))
}

// Short rounds: each sender looks between two whether it is to stop.

fn wire_ping(lab: &Lab, guest: &Guest) -> Result<()> {
    lab.wire("ping", ["-q", "-c", "20", "-i", "0.02", &guest.ipv4.to_string()])
        .output()
        .map(drop)
        .context("run ping")
}

fn wire_udp(lab: &Lab, guest: &Guest) -> Result<()> {
    lab.wire_udp_echo((guest.ipv4, ECHO_PORT).into(), 200, 200, Duration::from_millis(2)).map(drop)
}

fn from_guest(lab: &Lab, guest: &Guest) -> Result<()> {
    // A listening port, so that the wire does not answer with ICMP errors.
    let sink = lab.wire_udp_sink(5009)?;
    guest.ping(lab.wire.ipv4.into(), 20, Duration::from_millis(10))?;
    let report = guest.send_udp((lab.wire.ipv4.into(), 5009), 100, 200, Duration::from_millis(2))?;
    sink.finish(report.sent, Duration::from_secs(1)).map(drop)
}
