//! Running the job, as the first process: it also reaps what nobody else waits for.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use hoptrace_tests::vm::Job;
use hoptrace_tests::vm::contract::{JOB_FILE, PAYLOAD_DIR, STDERR_PORT, STDOUT_PORT};
use rustix::process::{Pid, WaitOptions, wait};
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};

/// Runs it to the end and gives its exit code, as a shell reports it.
pub(crate) fn run() -> Result<u8> {
    let text = fs::read_to_string(JOB_FILE).with_context(|| format!("read {JOB_FILE}"))?;
    let job: Job = serde_json::from_str(&text).with_context(|| format!("parse {JOB_FILE}"))?;
    let (program, args) = job.command.split_first().context("there is nothing to run")?;
    let (out, err) = (port(STDOUT_PORT)?, port(STDERR_PORT)?);
    let child = Command::new(program)
        .args(args)
        .current_dir(PAYLOAD_DIR)
        .env_clear()
        .env("PATH", format!("{PAYLOAD_DIR}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"))
        .envs([("HOME", "/root"), ("LC_ALL", "C.UTF-8"), ("TERM", "dumb")])
        .envs(job.environment)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?)
        .spawn()
        .with_context(|| format!("run {program}"))?;
    let status =
        reap_until(i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?)?;
    for port in [&out, &err] {
        // The last words must be on the host before the VM is off.
        tcdrain(port).context("wait until all output is out")?;
    }
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}

/// A serial port that changes nothing of what is written to it.
fn port(path: &str) -> Result<File> {
    let port = File::options().write(true).open(path).with_context(|| format!("open {path}"))?;
    let mut settings = tcgetattr(&port).with_context(|| format!("ask {path}"))?;
    settings.make_raw();
    settings.set_speed(115_200).with_context(|| format!("set {path}"))?;
    tcsetattr(&port, OptionalActions::Now, &settings).with_context(|| format!("set {path}"))?;
    Ok(port)
}

fn reap_until(job: Pid) -> Result<ExitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == job => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for the job"),
        }
    }
}
