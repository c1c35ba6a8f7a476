//! Options of every command that attaches.

use std::time::Duration;

use super::{
    Endings,
    units::{parse_mac, parse_time, parse_timeout},
};
use crate::{
    cli::{CliError, CommonArgs, note, output},
    model::{MacAddr, Mechanism, PacketFilter, Printable, XdpMode},
    trace::{RecordOptions, TraceOptions, Tracer},
};

/// Which packets of which VM, and for how long.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct LiveArgs {
    /// Instance name, display name, UUID, MAC, fixed IP, Neutron port id or interface name
    pub(in crate::cli) vm: String,
    /// Which packets: icmp, icmp6, tcp, udp or arp; host ADDRESS; port NUMBER; joined with `and`
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
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
    /// Finds the path, attaches, and admits packets. `records` says which packets are told one by one, `explain` whether the switch is
    /// asked about some.
    ///
    /// # Errors
    /// When the filter makes no sense, the path cannot be traced, or the kernel refuses.
    pub(in crate::cli) async fn begin(
        &self,
        common: &CommonArgs,
        records: RecordOptions,
        explain: bool,
    ) -> Result<(Tracer, Endings), CliError> {
        let options = TraceOptions {
            sources: common.sources(),
            filter: PacketFilter::from_words(&self.filter)?,
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
            records,
            explain,
            debug: common.verbose >= 2,
            note,
        };
        let mut endings = Endings::new()?;
        let tracer = Tracer::start(&self.vm, options).await?;
        if let Some(command) = &self.cmd {
            endings.run(command)?;
        }
        output::note(&greeting(&tracer));
        Ok((tracer, endings))
    }
}

/// What a user wants to know once packets are admitted.
fn greeting(tracer: &Tracer) -> String {
    let (path, plan, filter) = (tracer.path(), tracer.plan(), tracer.filter());
    let what = if filter.is_empty() { "all packets".to_owned() } else { Printable(filter).to_string() };
    let ifnames: Vec<_> = path.hops().map(|hop| Printable(&hop.ifname).to_string()).collect();
    let neighbours = match plan.neighbours.len() {
        0 => String::new(),
        1 => " and at 1 port beside the path".to_owned(),
        count => format!(" and at {count} ports beside the path"),
    };
    format!(
        "tracing {what} of {} ({}) with {} hooks at {}{neighbours}, ready after {} ms; Ctrl-C ends it",
        Printable(&path.instance.title()),
        path.instance.mac,
        plan.hooks.len(),
        ifnames.join(", "),
        tracer.ready().as_millis()
    )
}
