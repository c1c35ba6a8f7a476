//! `hoptrace drops`

use super::{
    CliError, CommonArgs, Exit,
    format::{Format, FormatArgs},
    live::{LiveArgs, PortsArgs, Telling, Unnamed},
    output,
    watch::{Watch, watch},
};
use crate::{
    model::{Report, Timing},
    report,
};

/// Options of `drops`.
#[derive(Debug, Clone, clap::Args)]
#[command(override_usage = "hoptrace drops [OPTIONS] [VM]... [FILTER]")]
pub struct Args {
    #[command(flatten)]
    ports: PortsArgs,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    format: FormatArgs,
    /// Ask Open vSwitch at the end what its rules do with a packet of each kind that died there, and with one that went through
    #[arg(long)]
    explain: bool,
}

/// Traces ports until something ends it, all of the host where none is named, and tells what died.
///
/// # Errors
/// As `trace`.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    // It tells of no packet how long it took.
    let telling = Telling { timing: Timing::Nothing, explain: args.explain, ..Telling::default() };
    let begun = Box::pin(args.live.begin(common, args.ports.asked(Unnamed::All)?, telling)).await?;
    watch(begun, Watch { format: args.format.wanted(), render }).await
}

fn render(report: &Report, format: Format) -> String {
    match format {
        Format::Text => report::drops_text(report, output::canvas()),
        Format::Json => report::drops_json(report) + "\n",
    }
}
