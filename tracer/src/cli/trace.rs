//! `hoptrace trace`

use super::{
    CliError, CommonArgs, Exit,
    format::{Format, FormatArgs},
    live::{LiveArgs, PortsArgs, Telling, TimingArgs, Unnamed},
    output,
    watch::{Watch, watch},
};
use crate::{
    model::{Report, Tail},
    report,
    trace::RecordOptions,
};

/// Room for records of slow packets. Before the first look, every packet is one: 30,840 of them.
const RING_BYTES: u32 = 4 << 20;

/// Options of `trace`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    override_usage = "hoptrace trace [OPTIONS] <VM>... [FILTER]\n       hoptrace trace [OPTIONS] --all [FILTER]"
)]
pub struct Args {
    #[command(flatten)]
    ports: PortsArgs,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    timing: TimingArgs,
    #[command(flatten)]
    format: FormatArgs,
    /// Ask Open vSwitch at the end what its rules do with a packet of each kind that died there, and with one that went through
    #[arg(long)]
    explain: bool,
    /// List the N slowest packets of each direction, with their times at all hooks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000),
          conflicts_with_all = ["timed", "cost"])]
    slowest: Option<u16>,
}

impl Args {
    fn records(&self) -> RecordOptions {
        let slowest = |count| RecordOptions {
            ring_bytes: RING_BYTES,
            sample_below: 0,
            tail: Tail::Top(usize::from(count)),
        };
        self.slowest.map_or_else(RecordOptions::default, slowest)
    }
}

/// Traces ports until something ends it.
///
/// # Errors
/// When a port has no path that can be traced, the programs cannot be attached, or stdout cannot be written.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let telling = Telling { records: args.records(), timing: args.timing.timing(), explain: args.explain };
    let asked = args.ports.asked(Unnamed::Nothing)?;
    let begun = Box::pin(args.live.begin(common, asked, telling)).await?;
    watch(begun, Watch { format: args.format.wanted(), render }).await
}

fn render(report: &Report, format: Format) -> String {
    match format {
        Format::Text => report::trace_text(report, output::canvas()),
        Format::Json => report::trace_json(report) + "\n",
    }
}
