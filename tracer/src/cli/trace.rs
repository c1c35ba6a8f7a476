//! `hoptrace trace`

use std::time::Duration;

use super::{
    CliError, CommonArgs, Exit,
    live::{Emission, Ending, Endings, HostWatch, LiveArgs, Prepared, Screen, Session},
    output,
};
use crate::{
    diagnose::{self, Verdict},
    explain,
    model::{Finding, HostReport, Path, Severity, Snapshot, Tail, TraceReport},
    report::{self, Canvas},
};

/// How often the kernel's table is swept.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
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
    let Prepared { path, filter, mut session, mut host, mut endings, timeout_ms } =
        live.begin(common, emission).await?;
    let diagnosed = |snapshot: &Snapshot, host: &HostReport, live: bool| {
        let filter = &filter;
        let report = TraceReport { path: &path, snapshot, host, findings: &[], filter, live, timeout_ms };
        diagnose::findings(&report)
    };
    let report = |snapshot: &Snapshot, host: &HostReport, findings: &[Finding], live: bool| {
        let canvas = output::canvas();
        let filter = &filter;
        let report = TraceReport { path: &path, snapshot, host, findings, filter, live, timeout_ms };
        if json && !live { (formats.json)(&report) + "\n" } else { (formats.text)(&report, canvas) }
    };
    let mut screen = (!json && output::can_be_drawn_over()).then(Screen::new);
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
                    let (snapshot, host) = (session.snapshot(), host.so_far());
                    let findings = diagnosed(&snapshot, host, true);
                    screen.draw(&report(&snapshot, host, &findings, true))?;
                }
            }
        }
    };
    let mut snapshot = finish(session, &mut host, &path, &ending, &mut endings).await;
    if emission.explain {
        tokio::select! {
            () = explain::explain(&path, &mut snapshot, host.rules()) => {}
            () = endings.signal() => {}
        }
    }
    if let Some(screen) = screen.as_mut() {
        screen.clear()?;
    }
    let host = host.so_far();
    let findings = diagnosed(&snapshot, host, false);
    output::result(&report(&snapshot, host, &findings, false))?;
    conclude(&ending, &snapshot, &findings)
}

/// Waits for the last packets, looks at the host once more, and gives the final figures. Nothing is attached any more then.
pub(super) async fn finish(
    mut session: Session,
    host: &mut HostWatch,
    path: &Path,
    ending: &Ending,
    endings: &mut Endings,
) -> Snapshot {
    tokio::join!(session.drain(ending, endings), host.look_again(path));
    let snapshot = session.finish();
    drop(session);
    tokio::select! {
        () = host.read_filters(path, &snapshot) => {}
        () = endings.signal() => {}
    }
    snapshot
}

/// The exit code, and a word on stderr where it is not 0.
pub(super) fn conclude(ending: &Ending, snapshot: &Snapshot, findings: &[Finding]) -> Result<Exit, CliError> {
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
    match diagnose::verdict(snapshot) {
        Verdict::Told => Ok(Exit::Ok),
        Verdict::NoTraffic => {
            let others = snapshot.evidence.iter().filter(|it| it.is_of_other_address());
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
            let wrong = findings.iter().find(|finding| finding.severity == Severity::Critical);
            let advice = wrong.map_or("check the filter, and that the VM has traffic", |it| it.text.as_str());
            Err(CliError::with_exit(Exit::NoTraffic, format!("no matching packet was seen; {advice}")))
        }
        Verdict::Inconclusive => {
            let what = "too many packets were untracked, or a ledger does not balance";
            let message = format!("inconclusive: {what}; see the report's ledger");
            Err(CliError::with_exit(Exit::Inconclusive, message))
        }
        Verdict::EverythingDied => {
            let all = findings.iter().find(|finding| finding.code == "everything-died");
            let what =
                all.map_or("packets were seen, and every one of a direction died", |it| it.text.as_str());
            Err(CliError::with_exit(Exit::Failed, what))
        }
    }
}
