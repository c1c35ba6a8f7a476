//! `hoptrace packets`

use std::time::Duration;

use super::{
    CliError, CommonArgs, Exit,
    live::{
        Emission, Ending, Format, LiveArgs, Prepared, Printer, parse_sample, parse_share_ppm,
        parse_threshold_ns,
    },
    output,
    trace::{conclude, finish},
};
use crate::{
    diagnose,
    model::{Tail, TraceReport},
    report,
};

/// Room for records: 123,361 packets, nine tenths of a second at full rate.
const RING_BYTES: u32 = 16 << 20;
/// How often the kernel's table is swept.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// Options of `packets`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
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
    fn emission(&self) -> Emission {
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
        Emission { ring_bytes: RING_BYTES, sample_below, tail, explain: false }
    }
}

/// Prints packets as they complete their way, until something ends the trace.
///
/// # Errors
/// As `trace`.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let Prepared { path, filter, mut session, mut host, mut endings, timeout_ms } =
        args.live.begin(common, args.emission()).await?;
    let format: Format = if args.jsonl { report::packet_json } else { report::packet_text };
    let records = session.take_records().ok_or_else(|| CliError::new("the records are taken already"))?;
    let mut printer = Printer::start(records, session.plan().clone(), format);
    let mut sweeps = tokio::time::interval(SWEEP_EVERY);
    let ending = loop {
        tokio::select! {
            ending = endings.next() => break ending,
            error = printer.failed() => return Err(error.into()),
            _ = sweeps.tick() => if session.sweep().used_up {
                break Ending::Count;
            }
        }
    };
    let snapshot = finish(session, &mut host, &path, &ending, &mut endings).await;
    let told = printer.finish(&mut endings).await?;
    for line in report::packets_summary(&snapshot, told) {
        output::note(&line);
    }
    let (filter, host) = (filter.as_str(), host.so_far());
    let bare = TraceReport {
        path: &path,
        snapshot: &snapshot,
        host,
        findings: &[],
        filter,
        live: false,
        timeout_ms,
    };
    let findings = diagnose::findings(&bare);
    for line in report::findings_text(&TraceReport { findings: &findings, ..bare }) {
        output::note(&line);
    }
    conclude(&ending, &snapshot, &findings)
}
