//! `hoptrace drops`

use super::{
    CliError, CommonArgs, Exit,
    live::LiveArgs,
    trace::{Formats, Wanted, watch},
};
use crate::{report, trace::RecordOptions};

/// Options of `drops`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    live: LiveArgs,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    /// Ask Open vSwitch at the end what its rules do with a packet of each kind that died there, and with one that went through
    #[arg(long)]
    explain: bool,
}

/// Traces one port until something ends it, and tells what died.
///
/// # Errors
/// As `trace`.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let formats = Formats { text: report::drops_text, json: report::drops_json };
    let wanted = Wanted { json: args.json, explain: args.explain };
    watch(common, &args.live, RecordOptions::default(), wanted, formats).await
}
