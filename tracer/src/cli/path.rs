//! `hoptrace path`

use super::{CliError, CommonArgs, Exit, note, output};
use crate::{report, trace::find_path};

/// Options of `path`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Instance name, display name, UUID, MAC, fixed IP, Neutron port id or interface name
    pub vm: String,
    /// How to print the path
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How to print a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A drawing
    Text,
    /// One JSON object
    Json,
    /// A Graphviz graph
    Dot,
    /// A Mermaid flowchart
    Mermaid,
}

/// Draws the path of one port.
///
/// # Errors
/// When there is none, or stdout cannot be written.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let (path, _) = find_path(&common.sources(), &args.vm, note).await?;
    let text = match args.format {
        Format::Text => report::path_text(&path, output::canvas()),
        Format::Json => format!("{}\n", report::path_json(&path)),
        Format::Dot => report::path_dot(&path),
        Format::Mermaid => report::path_mermaid(&path),
    };
    output::result(&text)?;
    Ok(Exit::Ok)
}
