//! `hoptrace packets`

use super::{
    CliError, CommonArgs, Exit,
    conclude::conclude,
    live::{Format, LiveArgs, PortArgs, Printer, Telling, parse_sample, parse_share_ppm, parse_threshold_ns},
    output,
};
use crate::{
    model::Tail,
    report::{findings_text, packet_json, packet_text, packets_summary},
    trace::{Ending, Event, RecordOptions},
};

/// Room for records: 123,361 packets, nine tenths of a second at full rate.
const RING_BYTES: u32 = 16 << 20;

/// Options of `packets`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    port: PortArgs,
    #[command(flatten)]
    live: LiveArgs,
    /// Print one JSON object per line and packet
    #[arg(long)]
    jsonl: bool,
    /// Print one packet of N, the same ones on every host; slow ones too where an option below asks for them
    #[arg(long, value_name = "1:N", value_parser = parse_sample)]
    sample: Option<u32>,
    /// Print packets whose whole way, from the first hook to the last, took longer: `200us`, `1.5ms`
    #[arg(long, value_name = "TIME", value_parser = parse_threshold_ns, conflicts_with = "slowest")]
    slower_than: Option<u64>,
    /// Print about the slowest 0.1 % of each direction's packets, or another share. What is slow is decided ten times a
    /// second from the packets before, the last 100,000 of them at most; until one is among these, the 1,000th
    /// for 0.1 %, none is printed
    #[arg(long, value_name = "SHARE", value_parser = parse_share_ppm, num_args = 0..=1, require_equals = true,
          default_missing_value = "0.1%")]
    slowest: Option<u32>,
}

impl Args {
    fn telling(&self) -> Telling {
        let tail = match (self.slower_than, self.slowest) {
            (Some(threshold_ns), _) => Tail::SlowerThan(threshold_ns),
            (None, Some(share_ppm)) => Tail::Slowest(share_ppm),
            (None, None) => Tail::None,
        };
        let sample_below = match self.sample {
            Some(one_of) => u64::MAX / u64::from(one_of.max(1)),
            None if tail == Tail::None => u64::MAX,
            None => 0,
        };
        Telling {
            records: RecordOptions { ring_bytes: RING_BYTES, sample_below, tail },
            ..Telling::default()
        }
    }
}

/// Prints packets as they complete their way, until something ends the trace.
///
/// # Errors
/// As `trace`.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let (mut tracer, mut endings) =
        Box::pin(args.live.begin(common, args.port.asked()?, args.telling())).await?;
    let format: Format = if args.jsonl { packet_json } else { packet_text };
    let records = tracer.take_records().ok_or_else(|| CliError::new("the records are taken already"))?;
    let mut printer = Printer::start(records, tracer.plan().clone(), format);
    let ending = loop {
        tokio::select! {
            event = tracer.next() => if let Event::Ended(ending) = event {
                break ending;
            },
            () = endings.next() => break Ending::Wanted,
            error = printer.failed() => return Err(error.into()),
        }
    };
    let report = Box::pin(tracer.finish(&ending, async || endings.signal().await)).await;
    let told = printer.finish(&mut endings).await?;
    for line in packets_summary(&report, told) {
        output::note(&line);
    }
    for line in findings_text(&report) {
        output::note(&line);
    }
    conclude(&ending, &report)
}
