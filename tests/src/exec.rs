//! Running the tools the lab is made of.

use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// A command that also finds the tools of `sbin`, whatever `PATH` the caller has.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"));
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// Runs to the end; the error carries the command line and what the tool said.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<String> {
    finish(command(program).args(args))
}

/// Like [`run`], with the command prepared by the caller.
pub(crate) fn finish(command: &mut Command) -> Result<String> {
    let line = line_of(command);
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        let said = String::from_utf8_lossy(if stderr.is_empty() { &stdout } else { &stderr }).into_owned();
        bail!("`{line}`: {status}: {}", said.trim());
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Runs a daemon that goes into the background by itself once it is ready. Its output goes nowhere: a daemon that kept a
/// pipe open would never let us see the end of it.
pub(crate) fn daemon(program: &str, args: &[&str]) -> Result<()> {
    let mut command = command(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let line = line_of(&command);
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("`{line}`: {status} (see its log)");
    }
    Ok(())
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
