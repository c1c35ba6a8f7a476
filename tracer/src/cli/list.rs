//! `hoptrace list`

use super::{CliError, CommonArgs, Exit, note, output};
use crate::{path, report, trace::survey};

/// Options of `list`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Lists every instance and port.
///
/// # Errors
/// When no source can name a VM, or stdout cannot be written.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let topology = survey(&common.sources(), note).await?;
    let (rows, leftovers) = (path::list(&topology), path::leftovers(&topology));
    let text = if args.json {
        format!("{}\n", report::list_json(&rows, &leftovers, &topology.sources))
    } else {
        report::list_text(&rows, &leftovers, output::canvas())
    };
    output::result(&text)?;
    Ok(Exit::Ok)
}
