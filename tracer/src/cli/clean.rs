//! `hoptrace clean`

use super::{CliError, Exit, output};
use crate::{
    attach::{self, Wanted},
    discover::links,
    model::{Cleaning, Interface, Printable},
    report,
};

/// Options of `clean`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Removes what killed tracers have left on any interface of this network namespace.
///
/// # Errors
/// When the kernel cannot be asked or refuses, or stdout cannot be written.
pub(super) async fn run(args: &Args) -> Result<Exit, CliError> {
    let mechanism = attach::mechanism();
    let failed = |error: &dyn std::fmt::Display| CliError::new(Printable(&error.to_string()).to_string());
    if !args.dry_run {
        attach::preflight(Wanted::default()).map_err(|error| failed(&error))?;
    }
    let links = links().await.map_err(|error| failed(&error))?;
    let interfaces: Vec<_> =
        links.into_iter().map(|link| Interface { ifname: link.name, ifindex: link.index }).collect();
    let clean = if args.dry_run { attach::leftovers } else { attach::remove_leftovers };
    let leftovers = clean(&interfaces).map_err(|error| failed(&error))?;
    let cleaning = Cleaning { mechanism, dry_run: args.dry_run, leftovers };
    let text = if args.json { report::clean_json(&cleaning) + "\n" } else { report::clean_text(&cleaning) };
    output::result(&text)?;
    Ok(Exit::Ok)
}
