//! `hoptrace trace`

use super::{
    CliError, CommonArgs, Exit,
    live::{LiveArgs, Screen},
    output,
};
use crate::{
    diagnose::{self, Verdict},
    model::{Report, Severity, Tail},
    report::{self, Canvas},
    trace::{Ending, Event, RecordOptions},
};

/// Room for records of slow packets. Before the first look, every packet is one: 30,840 of them.
const RING_BYTES: u32 = 4 << 20;
/// How often the report on a terminal is drawn anew, in sweeps.
const DRAW_EVERY: u32 = 5;

/// Options of `trace`.
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
    /// List the N slowest packets of each direction, with their times at all hooks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
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

/// Traces one port until something ends it.
///
/// # Errors
/// When the port has no path that can be traced, the programs cannot be attached, or stdout cannot be written.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let formats = Formats { text: report::trace_text, json: report::trace_json };
    watch(common, &args.live, args.records(), Wanted { json: args.json, explain: args.explain }, formats)
        .await
}

/// What is to be given at the end.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) json: bool,
    /// Whether the switch is asked about some packets.
    pub(super) explain: bool,
}

/// How a trace is rendered.
#[derive(Clone, Copy)]
pub(super) struct Formats {
    pub(super) text: fn(&Report, Canvas) -> String,
    /// One object, without a newline.
    pub(super) json: fn(&Report) -> String,
}

/// The same for every command that reports at the end, and on a terminal meanwhile.
pub(super) async fn watch(
    common: &CommonArgs,
    live: &LiveArgs,
    records: RecordOptions,
    wanted: Wanted,
    formats: Formats,
) -> Result<Exit, CliError> {
    let (mut tracer, mut endings) = Box::pin(live.begin(common, records, wanted.explain)).await?;
    let mut screen = (!wanted.json && output::can_be_drawn_over()).then(Screen::new);
    let mut swept: u32 = 0;
    let ending = loop {
        let event = tokio::select! {
            event = tracer.next() => event,
            () = endings.next() => Event::Ended(Ending::Wanted),
        };
        match event {
            Event::Ended(ending) => break ending,
            Event::Swept => swept = swept.wrapping_add(1),
        }
        if let Some(screen) = screen.as_mut().filter(|_| swept.is_multiple_of(DRAW_EVERY)) {
            screen.draw(&(formats.text)(&tracer.snapshot(), output::canvas()))?;
        }
    };
    let report = Box::pin(tracer.finish(&ending, async || endings.signal().await)).await;
    if let Some(screen) = screen.as_mut() {
        screen.clear()?;
    }
    let text =
        if wanted.json { (formats.json)(&report) + "\n" } else { (formats.text)(&report, output::canvas()) };
    output::result(&text)?;
    conclude(&ending, &report)
}

/// The exit code, and a word on stderr where it is not 0.
pub(super) fn conclude(ending: &Ending, report: &Report) -> Result<Exit, CliError> {
    if let Ending::Vanished(ifname) = ending {
        return Err(CliError::new(format!(
            "interface {ifname} vanished while tracing: was the VM stopped, migrated or its port unplugged? The \
             report covers the time before"
        )));
    }
    if let Ending::Taken(taken) = ending {
        let what = format!(
            "inconclusive: somebody removed the hooks at {} at {}; the report covers the time before",
            taken.hooks, taken.at
        );
        return Err(CliError::with_exit(Exit::Inconclusive, what));
    }
    match diagnose::verdict(report) {
        Verdict::Told => Ok(Exit::Ok),
        Verdict::NoTraffic => {
            let others = report.evidence.iter().filter(|it| it.is_of_other_address());
            let others = others.fold(0, |sum: u64, it| sum.saturating_add(it.count));
            if others > 0 {
                return Err(CliError::with_exit(
                    Exit::Inconclusive,
                    format!(
                        "inconclusive: no packet for the port's own address was seen, but {others} frames for other addresses \
                         passed to the guest; the report names them, and --mac follows them"
                    ),
                ));
            }
            let wrong = report.findings.iter().find(|finding| finding.severity == Severity::Critical);
            let advice = wrong.map_or("check the filter, and that the VM has traffic", |it| it.text.as_str());
            Err(CliError::with_exit(Exit::NoTraffic, format!("no matching packet was seen; {advice}")))
        }
        Verdict::Inconclusive => {
            let what = "too many packets were untracked, or a ledger does not balance";
            let message = format!("inconclusive: {what}; see the report's ledger");
            Err(CliError::with_exit(Exit::Inconclusive, message))
        }
        Verdict::EverythingDied => {
            let all = report.findings.iter().find(|finding| finding.code == "everything-died");
            let what =
                all.map_or("packets were seen, and every one of a direction died", |it| it.text.as_str());
            Err(CliError::with_exit(Exit::Failed, what))
        }
    }
}
