//! `hoptrace trace`

use std::{io::IsTerminal as _, time::Duration};

use super::{
    CliError, CommonArgs, Exit,
    live::{Emission, Ending, LiveArgs, Prepared, Screen},
    output,
};
use crate::{
    explain,
    model::{Direction, Ledger, Snapshot, Tail, TraceReport},
    report::{self, Canvas},
};

/// How often the kernel's table is swept.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// Room for records of slow packets. Before the first look, every packet is one: 30,840 of them.
const RING_BYTES: u32 = 4 << 20;
/// How often the report on a terminal is drawn anew, in sweeps.
const DRAW_EVERY: u32 = 5;
/// Packets out of all that may be untracked before the result is inconclusive: one in so many.
const DOUBTFUL_SHARE: u64 = 100;

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
    fn emission(&self) -> Emission {
        let explain = self.explain;
        self.slowest.map_or_else(
            || Emission { explain, ..Emission::default() },
            |count| Emission {
                ring_bytes: RING_BYTES,
                sample_below: 0,
                tail: Tail::Top(usize::from(count)),
                explain,
            },
        )
    }
}

/// Traces one port until something ends it.
///
/// # Errors
/// When the port has no path that can be traced, the programs cannot be attached, or stdout cannot be written.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let formats = Formats { text: report::trace_text, json: report::trace_json };
    watch(common, &args.live, args.emission(), args.json, formats).await
}

/// How a trace is rendered.
#[derive(Clone, Copy)]
pub(super) struct Formats {
    pub(super) text: fn(&TraceReport<'_>, Canvas) -> String,
    /// One object, without a newline.
    pub(super) json: fn(&TraceReport<'_>) -> String,
}

/// The same for every command that reports at the end, and on a terminal meanwhile.
pub(super) async fn watch(
    common: &CommonArgs,
    live: &LiveArgs,
    emission: Emission,
    json: bool,
    formats: Formats,
) -> Result<Exit, CliError> {
    let Prepared { path, filter, mut session, mut endings, timeout_ms } =
        live.begin(common, emission).await?;
    let report = |snapshot: &Snapshot, live: bool, canvas| {
        let report = TraceReport { path: &path, snapshot, filter: &filter, live, timeout_ms };
        if json && !live { (formats.json)(&report) + "\n" } else { (formats.text)(&report, canvas) }
    };
    let mut screen = (!json && std::io::stdout().is_terminal()).then(Screen::new);
    let mut sweeps = tokio::time::interval(SWEEP_EVERY);
    let mut swept: u32 = 0;
    let ending = loop {
        tokio::select! {
            ending = endings.next() => break ending,
            _ = sweeps.tick() => {
                let progress = session.sweep();
                if progress.used_up {
                    break Ending::Count;
                }
                swept = swept.wrapping_add(1);
                if let Some(screen) = screen.as_mut().filter(|_| swept.is_multiple_of(DRAW_EVERY)) {
                    screen.draw(&report(&session.snapshot(), true, output::canvas()))?;
                }
            }
        }
    };
    session.drain(&mut endings).await;
    let mut snapshot = session.finish();
    drop(session);
    if emission.explain {
        tokio::select! {
            () = explain::explain(&path, &mut snapshot) => {}
            () = endings.signal() => {}
        }
    }
    if let Some(screen) = screen.as_mut() {
        screen.clear()?;
    }
    output::result(&report(&snapshot, false, output::canvas()))?;
    conclude(&ending, &snapshot)
}

/// The exit code, and a word on stderr where it is not 0.
pub(super) fn conclude(ending: &Ending, snapshot: &Snapshot) -> Result<Exit, CliError> {
    let ledgers = [&snapshot.directions.egress.ledger, &snapshot.directions.ingress.ledger];
    if let Ending::Vanished(ifname) = ending {
        return Err(CliError::new(format!(
            "interface {ifname} vanished while tracing: was the VM stopped, migrated or its port unplugged? The \
             report covers the time before"
        )));
    }
    let early = Direction::ALL.iter().any(|way| !snapshot.directions.get(*way).early_drops.is_empty());
    if !early && ledgers.iter().all(|ledger| seen(ledger) == 0) {
        let advice = "check the filter, and that the VM has traffic";
        return Err(CliError::with_exit(Exit::NoTraffic, format!("no matching packet was seen; {advice}")));
    }
    let [egress, _] = ledgers;
    let missed = snapshot.tracer.missed_runs.max(egress.unseen) > seen(egress) / DOUBTFUL_SHARE;
    if missed
        || ledgers.iter().any(|ledger| !ledger.balanced || doubtful(ledger) > seen(ledger) / DOUBTFUL_SHARE)
    {
        let what = "too many packets were untracked, or a ledger does not balance";
        return Err(CliError::with_exit(
            Exit::Inconclusive,
            format!("inconclusive: {what}; see the report's ledger"),
        ));
    }
    Ok(Exit::Ok)
}

const fn seen(ledger: &Ledger) -> u64 {
    ledger.entered + ledger.joined_midway + ledger.untracked + ledger.unparsed
}

const fn doubtful(ledger: &Ledger) -> u64 {
    ledger.untracked
}
