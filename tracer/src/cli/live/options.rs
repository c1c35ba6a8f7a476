//! Options of every command that attaches.

use std::time::{Duration, Instant};

use hoptrace_common::filter::Filter;

use super::{Endings, Session, session::SessionOptions};
use crate::{
    cli::{CliError, CommonArgs, find_path, output},
    model::{PacketFilter, Path},
};

/// Which packets of which VM, and for how long.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct LiveArgs {
    /// Instance name, display name, UUID, MAC, fixed IP, Neutron port id or interface name
    pub(in crate::cli) vm: String,
    /// Which packets: icmp, tcp, udp or arp; host ADDRESS; port NUMBER; joined with `and`
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// End after so many seconds; `500ms`, `2m` and `1h` work too
    #[arg(short, long, value_name = "TIME", value_parser = parse_time)]
    duration: Option<Duration>,
    /// End after so many packets have entered the path, both directions together
    #[arg(short, long, value_name = "PACKETS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Go on while this shell command runs; what it prints goes to stderr
    #[arg(long, value_name = "CMD")]
    cmd: Option<String>,
    /// A packet not seen again for so long is lost
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_timeout)]
    timeout: Duration,
    /// Packets that can be on their way at a time; 64 bytes of kernel memory each
    #[arg(long, value_name = "PACKETS", default_value_t = 65_536,
          value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    inflight: u32,
    /// Leave the ports of the host's other VMs alone; what goes to them then counts as lost
    #[arg(long)]
    path_only: bool,
}

/// Programs attached, packets admitted.
pub(in crate::cli) struct Prepared {
    /// Where.
    pub(in crate::cli) path: Path,
    /// The filter, as it was understood.
    pub(in crate::cli) filter: String,
    /// The trace.
    pub(in crate::cli) session: Session,
    /// What will end it.
    pub(in crate::cli) endings: Endings,
    /// The time-out, in milliseconds.
    pub(in crate::cli) timeout_ms: u64,
}

impl LiveArgs {
    /// Finds the path, attaches, and admits packets. `ring_bytes` is room for packet records, 0 for none.
    ///
    /// # Errors
    /// When the filter makes no sense, the path cannot be traced, or the kernel refuses.
    pub(in crate::cli) async fn begin(
        &self,
        common: &CommonArgs,
        ring_bytes: u32,
    ) -> Result<Prepared, CliError> {
        let began = Instant::now();
        let filter = PacketFilter::from_words(&self.filter)?;
        let (path, _) = find_path(common, &self.vm).await?;
        let mut endings = Endings::new()?;
        let mut session = Session::start(&path, &self.options(common, filter.to_kernel(), ring_bytes))?;
        endings.watch(session.plan());
        session.open();
        endings.begin(self.duration, self.cmd.as_deref())?;
        let filter = filter.to_string();
        output::note(&session.greeting(&path, &filter, began.elapsed()));
        let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        Ok(Prepared { path, filter, session, endings, timeout_ms })
    }

    fn options(&self, common: &CommonArgs, filter: Filter, ring_bytes: u32) -> SessionOptions {
        SessionOptions {
            timeout: self.timeout,
            inflight: self.inflight,
            filter,
            budget: self.count,
            path_only: self.path_only,
            ring_bytes,
            debug: common.verbose >= 2,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("5"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_time("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_mins(2)));
        for bad in ["", "s", "0", "-1", "1d", "nan", "1e400", "5 s"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        assert!(parse_timeout("5s").is_err() && parse_timeout("1ms").is_err() && parse_timeout("4s").is_ok());
    }
}
