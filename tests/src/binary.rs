//! The program under test.

use std::process::Command;

use anyhow::{Context as _, Result};

/// Environment variable that holds the path of the `hoptrace` binary; `cargo xtask test` sets it.
pub const BINARY_ENV: &str = "HOPTRACE_BIN";

/// A command that runs `hoptrace`.
///
/// # Errors
/// Where [`BINARY_ENV`] is not set: which binary is tested must not be a guess.
pub fn hoptrace<I, S>(args: I) -> Result<Command>
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let path = std::env::var_os(BINARY_ENV).with_context(|| format!("{BINARY_ENV} is not set"))?;
    let mut command = Command::new(path);
    command.args(args);
    Ok(command)
}
