//! From the command line to the exit code.

use std::process::ExitCode;

use clap::Parser as _;

use super::{Cli, CliError, Command, Exit, logging, output};
use crate::attach::guardian;

/// Runs the program and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Help and version are results; printing fails only when they are not read.
            let _ = message.print();
            return if message.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    if matches!(cli.command, Command::Guardian) {
        // Before anything else is opened.
        return guardian::run_guardian();
    }
    logging::start(cli.common.verbose);
    match run(&cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !error.is_silent() {
                output::note(&format!("hoptrace: {error}"));
            }
            error.exit().into()
        }
    }
}

fn run(cli: &Cli) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(cli.command.run(&cli.common));
    // A blocking call that hangs (a host name's look-up) must not keep the program from ending.
    runtime.shutdown_background();
    outcome
}
