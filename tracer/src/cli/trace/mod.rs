//! `hoptrace trace`

mod ending;
mod screen;
mod session;

use std::{io::IsTerminal as _, time::Duration};

use super::{CliError, CommonArgs, Exit, find_path, output};
use crate::{
    model::{Ledger, Snapshot, TraceFilter, TraceReport},
    report,
};
use ending::{Ending, Endings};
use screen::Screen;
use session::{Session, SessionOptions};

/// How often the kernel's table is swept.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// How often the report on a terminal is drawn anew, in sweeps.
const DRAW_EVERY: u32 = 5;
/// Packets out of all that may be ambiguous or untracked before the result is inconclusive: one in so many.
const DOUBTFUL_SHARE: u64 = 100;

/// Options of `trace`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Instance name, display name, UUID, MAC, fixed IP, Neutron port id or interface name
    pub vm: String,
    /// Which packets: icmp, tcp, udp or arp; host ADDRESS; port NUMBER; joined with `and`
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// End after so many seconds; `500ms`, `2m` and `1h` work too
    #[arg(short, long, value_name = "TIME", value_parser = parse_time)]
    pub duration: Option<Duration>,
    /// End after so many packets have entered the path, both directions together
    #[arg(short, long, value_name = "PACKETS", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Trace while this shell command runs; what it prints goes to stderr
    #[arg(long, value_name = "CMD")]
    pub cmd: Option<String>,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
    /// A packet not seen again for so long is lost
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_timeout)]
    pub timeout: Duration,
    /// Packets that can be on their way at a time; 64 bytes of kernel memory each
    #[arg(long, value_name = "PACKETS", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    pub inflight: u32,
}

/// Seconds, or a number with its unit.
fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let (scale, unit) = match text.get(digits.len()..).unwrap_or_default() {
        "" | "s" => (1.0, "s"),
        "ms" => (1e-3, "ms"),
        "m" => (60.0, "m"),
        "h" => (3600.0, "h"),
        other => return Err(format!("no unit of time: {other} (ms, s, m or h)")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("no number before the unit {unit}"))?;
    Duration::try_from_secs_f64(number * scale)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "must be more than 0".to_owned())
}

/// The kernel's table keeps 32 bits of nanoseconds per packet.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    let allowed = Duration::from_millis(10)..=Duration::from_secs(4);
    if allowed.contains(&time) { Ok(time) } else { Err("must be between 10ms and 4s".to_owned()) }
}

/// Traces one port until something ends it.
///
/// # Errors
/// When the port has no path that can be traced, the programs cannot be attached, or stdout cannot be written.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let filter = TraceFilter::parse(&args.filter.join(" "))
        .map_err(|error| CliError::with_exit(Exit::Usage, format!("filter: {error}")))?;
    let (path, _) = find_path(common, &args.vm).await?;
    let options = SessionOptions {
        timeout: args.timeout,
        inflight: args.inflight,
        filter: filter.filter,
        budget: args.count,
        debug: common.verbose >= 2,
    };
    let mut endings = Endings::new()?;
    let mut session = Session::start(&path, &options)?;
    endings.watch(session.plan());
    session.open();
    endings.begin(args.duration, args.cmd.as_deref())?;
    output::note(&session.greeting(&path, &filter.text));

    let report = |snapshot: &Snapshot, live: bool, canvas| {
        let timeout_ms = u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX);
        let report = TraceReport { path: &path, snapshot, filter: &filter.text, live, timeout_ms };
        if args.json && !live {
            report::trace_json(&report) + "\n"
        } else {
            report::trace_text(&report, canvas)
        }
    };
    let mut screen = (!args.json && std::io::stdout().is_terminal()).then(Screen::new);
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
    let snapshot = session.finish();
    drop(session);
    if let Some(screen) = screen.as_mut() {
        screen.clear()?;
    }
    output::result(&report(&snapshot, false, output::canvas()))?;
    conclude(&ending, &snapshot)
}

/// The exit code, and a word on stderr where it is not 0.
fn conclude(ending: &Ending, snapshot: &Snapshot) -> Result<Exit, CliError> {
    let ledgers = [&snapshot.directions.egress.ledger, &snapshot.directions.ingress.ledger];
    if let Ending::Vanished(ifname) = ending {
        return Err(CliError::new(format!(
            "interface {ifname} vanished while tracing: was the VM stopped, migrated or its port unplugged? The \
             report covers the time before"
        )));
    }
    if ledgers.iter().all(|ledger| seen(ledger) == 0) {
        let advice = "check the filter, and that the VM has traffic";
        return Err(CliError::with_exit(Exit::NoTraffic, format!("no matching packet was seen; {advice}")));
    }
    if ledgers.iter().any(|ledger| !ledger.balanced || doubtful(ledger) > seen(ledger) / DOUBTFUL_SHARE) {
        let what = "too many packets were ambiguous or untracked, or a ledger does not balance";
        return Err(CliError::with_exit(
            Exit::Inconclusive,
            format!("inconclusive: {what}; see the report's ledger"),
        ));
    }
    Ok(Exit::Ok)
}

const fn seen(ledger: &Ledger) -> u64 {
    ledger.entered + ledger.joined_midway + ledger.ambiguous + ledger.untracked + ledger.unparsed
}

const fn doubtful(ledger: &Ledger) -> u64 {
    ledger.ambiguous + ledger.untracked + ledger.evicted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("5"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_time("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "0", "-1", "1d", "nan", "1e400", "5 s"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        assert!(parse_timeout("5s").is_err() && parse_timeout("1ms").is_err() && parse_timeout("4s").is_ok());
    }
}
