//! Options of every command that attaches.

use std::time::Duration;

use super::{
    Endings,
    ports::Asked,
    units::{parse_mac, parse_time, parse_timeout},
};
use crate::{
    cli::{CliError, CommonArgs, note, output},
    model::{HookChoice, Hop, MacAddr, Mechanism, Path, Plan, Printable, Timing, XdpMode},
    trace::{RecordOptions, TraceOptions, Tracer},
};

/// What a command tells of packets.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Telling {
    /// Which are told one by one.
    pub(in crate::cli) records: RecordOptions,
    /// Which are timed.
    pub(in crate::cli) timing: Timing,
    /// Whether the switch is asked about some.
    pub(in crate::cli) explain: bool,
}

/// For how long, and how.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct LiveArgs {
    /// End after so many seconds; `500ms`, `2m` and `1h` work too
    #[arg(short, long, value_name = "TIME", value_parser = parse_time, allow_negative_numbers = true)]
    duration: Option<Duration>,
    /// End after so many packets have entered the path, both directions together
    #[arg(short, long, value_name = "PACKETS", value_parser = clap::value_parser!(u64).range(1..),
          allow_negative_numbers = true)]
    count: Option<u64>,
    /// Go on while this shell command runs; what it prints goes to stderr
    #[arg(long, value_name = "CMD")]
    cmd: Option<String>,
    /// A packet not seen again for so long is lost
    // As in `TraceOptions`.
    #[arg(long, value_name = "TIME", default_value = "900ms", value_parser = parse_timeout)]
    timeout: Duration,
    /// Packets that can be on their way at a time; 64 bytes of kernel memory each
    #[arg(long, value_name = "PACKETS", default_value_t = 65_536,
          value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    inflight: u32,
    /// Leave the ports of the host's other VMs alone; what goes to them then counts as lost
    #[arg(long)]
    path_only: bool,
    /// Trace packets for and from this MAC address, too, as the port's own: of a macvlan, VRRP, or whatever else is behind the
    /// port. Can be given several times; addresses that the guest uses itself are learned
    #[arg(long, value_name = "MAC", value_parser = parse_mac)]
    mac: Vec<MacAddr>,
    /// Follow packets on to the NIC's driver, behind its queueing discipline (a tracepoint)
    #[arg(long)]
    wire: bool,
    /// Follow packets from XDP at the NIC on, before TC sees them. This changes the host while it lasts: native XDP may
    /// reset the NIC and turn offloads off, generic XDP copies packets; the report says what it was
    #[arg(long, value_enum, value_name = "MODE")]
    xdp: Option<Xdp>,
    /// Where the hooks are; by default at the interfaces (TCX) from kernel 6.6 on, before that at tracepoints, which see every
    /// packet of the host. Before 6.6 clsact costs packets when it is attached and removed, and others can not limit bandwidth
    /// meanwhile
    #[arg(long, value_enum, value_name = "WHERE", default_value = "auto")]
    attach: Attach,
    /// Which of the path's interfaces get hooks: all, or few, of a veth pair only the end nearer to the wire; then a packet costs a hook
    /// less, and what dies in the pair is told behind the hook before it
    #[arg(long, value_enum, value_name = "WHICH", default_value = "all")]
    hooks: Hooks,
}

/// Which interfaces get hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Hooks {
    /// All of the path
    All,
    /// One of each veth pair
    Few,
}

impl From<Hooks> for HookChoice {
    fn from(hooks: Hooks) -> Self {
        match hooks {
            Hooks::All => Self::All,
            Hooks::Few => Self::Few,
        }
    }
}

/// Where hooks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Attach {
    /// Where it is best on this kernel
    Auto,
    /// At the interfaces, as links
    Tcx,
    /// At the interfaces, as filters
    Clsact,
    /// Where the kernel receives and queues packets
    Tracepoints,
}

impl Attach {
    const fn mechanism(self) -> Option<Mechanism> {
        match self {
            Self::Auto => None,
            Self::Tcx => Some(Mechanism::Tcx),
            Self::Clsact => Some(Mechanism::Clsact),
            Self::Tracepoints => Some(Mechanism::Tracepoints),
        }
    }
}

/// Where an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Xdp {
    /// In the driver
    Native,
    /// In the network stack, behind the driver
    Generic,
}

impl From<Xdp> for XdpMode {
    fn from(xdp: Xdp) -> Self {
        match xdp {
            Xdp::Native => Self::Native,
            Xdp::Generic => Self::Generic,
        }
    }
}

impl LiveArgs {
    /// Finds the paths of what is asked for, attaches, and admits packets.
    ///
    /// # Errors
    /// When a path cannot be traced, or the kernel refuses.
    pub(in crate::cli) async fn begin(
        &self,
        common: &CommonArgs,
        asked: Asked,
        telling: Telling,
    ) -> Result<(Tracer, Endings), CliError> {
        let options = TraceOptions {
            sources: common.sources(),
            filter: asked.filter,
            duration: self.duration,
            count: self.count,
            timeout: self.timeout,
            inflight: self.inflight,
            path_only: self.path_only,
            room: None,
            macs: self.mac.clone(),
            wire: self.wire,
            xdp: self.xdp.map(XdpMode::from),
            mechanism: self.attach.mechanism(),
            hooks: self.hooks.into(),
            timing: telling.timing,
            records: telling.records,
            explain: telling.explain,
            debug: common.verbose >= 2,
            note,
        };
        let mut endings = Endings::new()?;
        let tracer = Tracer::start(asked.targets, options).await?;
        if let Some(command) = &self.cmd {
            endings.run(command)?;
        }
        output::note(&greeting(&tracer));
        Ok((tracer, endings))
    }
}

/// What a user wants to know once packets are admitted.
fn greeting(tracer: &Tracer) -> String {
    let filter = tracer.filter();
    let what = if filter.is_empty() { "all packets".to_owned() } else { Printable(filter).to_string() };
    let paths: Vec<&Path> = tracer.ports().map(|(_, path)| path).collect();
    let of_whom = match &paths[..] {
        [path] => alone(path, tracer.plan()),
        paths => several(paths),
    };
    format!("tracing {what} of {of_whom}, ready after {} ms; Ctrl-C ends it", tracer.ready().as_millis())
}

/// One port, and where its hooks are.
fn alone(path: &Path, plan: &Plan) -> String {
    let is_hooked =
        |hop: &&Hop| plan.hooks.iter().flat_map(|hook| &hook.interfaces).any(|at| at.ifindex == hop.ifindex);
    let ifnames: Vec<_> =
        path.hops().filter(is_hooked).map(|hop| Printable(&hop.ifname).to_string()).collect();
    let neighbours = match plan.neighbours.len() {
        0 => String::new(),
        1 => " and at 1 port beside the path".to_owned(),
        count => format!(" and at {count} ports beside the path"),
    };
    format!(
        "{} ({}) with {} hooks at {}{neighbours}",
        Printable(&path.instance.title()),
        path.instance.mac,
        plan.hooks.len(),
        ifnames.join(", ")
    )
}

/// Ports that are named at most.
const MAX_NAMED: usize = 5;

/// `3 ports (web-1, web-2, db-1)`.
fn several(paths: &[&Path]) -> String {
    let title = |path: &&Path| Printable(&path.instance.title()).to_string();
    let mut named: Vec<String> = paths.iter().take(MAX_NAMED).map(title).collect();
    if paths.len() > MAX_NAMED {
        named.push(format!("{} more", paths.len() - MAX_NAMED));
    }
    format!("{} ports ({})", paths.len(), named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::trace_samples::path;

    #[test]
    fn a_few_of_several_ports_are_named() {
        let path = path();
        let paths = [&path; 7];
        let name = "vm\\u{1b}[2J-1";
        assert_eq!(several(&paths[..2]), format!("2 ports ({name}, {name})"));
        assert!(several(&paths).starts_with("7 ports (") && several(&paths).ends_with(", 2 more)"));
    }
}
