//! `hoptrace schema`

use super::{CliError, Exit, output};
use crate::report::{OutputSchema, schemas};

/// Options of `schema`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The command whose JSON is described; without it: all of them, and the versions of their JSON
    #[arg(value_name = "COMMAND", value_parser = parse_name)]
    name: Option<String>,
}

fn parse_name(text: &str) -> Result<String, String> {
    let names: Vec<_> = schemas().iter().map(|of| of.name).collect();
    if names.contains(&text) { Ok(text.to_owned()) } else { Err(format!("one of {}", names.join(", "))) }
}

/// Prints a JSON schema.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let all = schemas();
    let lines: Vec<_> = match &args.name {
        Some(name) => all.iter().filter(|of| of.name == name).map(OutputSchema::text).collect(),
        None => all.iter().map(|of| format!("{:8} {}\n", of.name, of.version)).collect(),
    };
    output::result(&lines.concat())?;
    Ok(Exit::Ok)
}
