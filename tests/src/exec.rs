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

/// Runs a program to its end and gives what it printed.
///
/// # Errors
/// Where it fails; the error carries the command line and what the tool said.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
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

/// Like [`finish`] for tools that say much when they fail: the error carries the line that says what is wrong.
pub(crate) fn finish_briefly(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("{program}: {}", what_is_wrong(&said).unwrap_or(&output.status.to_string()));
}

/// apt's first error or failed download, or else the last words.
fn what_is_wrong(said: &str) -> Option<&str> {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.clone().next_back();
    lines.find(|line| line.starts_with("E: ") || line.contains("Failed to fetch")).or(last)
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

#[cfg(test)]
mod tests {
    use super::what_is_wrong;

    #[test]
    fn of_many_words_the_one_that_matters_is_told() {
        let said =
            "Reading package lists...\nW: Failed to fetch http://a/b  Could not resolve 'a'\nE: other\n\n";
        assert_eq!(what_is_wrong(said), Some("W: Failed to fetch http://a/b  Could not resolve 'a'"));
        assert_eq!(what_is_wrong("one\n  two\n"), Some("two"));
        assert_eq!(what_is_wrong("\n"), None);
    }
}
