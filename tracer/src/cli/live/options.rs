//! Options of every command that attaches.

use std::time::{Duration, Instant};

use hoptrace_common::filter::Filter;

use super::{
    Endings, FirstLook, HostWatch, Session,
    session::{Emission, SessionOptions},
    units::{parse_mac, parse_time, parse_timeout},
};
use crate::{
    cli::{CliError, CommonArgs, find_path, output},
    model::{MacAddr, Mechanism, PacketFilter, Path, XdpMode},
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
    // Less than a second by more than the sweeper's period: requests (ARP, neighbour discovery, SYN) are sent again after a
    // second, look the same, and would be ambiguous where the first is not settled yet.
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

/// Programs attached, packets admitted.
pub(in crate::cli) struct Prepared {
    /// Where.
    pub(in crate::cli) path: Path,
    /// The filter, as it was understood.
    pub(in crate::cli) filter: String,
    /// The trace.
    pub(in crate::cli) session: Session,
    /// What is watched beside it.
    pub(in crate::cli) host: HostWatch,
    /// What will end it.
    pub(in crate::cli) endings: Endings,
    /// The time-out, in milliseconds.
    pub(in crate::cli) timeout_ms: u64,
}

impl LiveArgs {
    /// Finds the path, attaches, and admits packets. `emission` says which packets are told one by one.
    ///
    /// # Errors
    /// When the filter makes no sense, the path cannot be traced, or the kernel refuses.
    pub(in crate::cli) async fn begin(
        &self,
        common: &CommonArgs,
        emission: Emission,
    ) -> Result<Prepared, CliError> {
        let began = Instant::now();
        let filter = PacketFilter::from_words(&self.filter)?;
        let first_look = FirstLook::begin();
        let (path, topology) = find_path(common, &self.vm).await?;
        // At once: what changes while the programs are loaded counts, too.
        let mut host = HostWatch::begin(common, &path, &topology, first_look);
        let mut endings = Endings::new()?;
        let mut session = Session::start(&path, &self.options(common, filter.to_kernel(), emission)).await?;
        endings.watch(session.plan(), session.filters());
        host.wait_for_filters().await;
        if emission.explain {
            host.count_rules(&path).await;
        }
        session.open(&path).await;
        endings.begin(self.duration, self.cmd.as_deref())?;
        let filter = filter.to_string();
        output::note(&session.greeting(&path, &filter, began.elapsed()));
        let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        Ok(Prepared { path, filter, session, host, endings, timeout_ms })
    }

    fn options(&self, common: &CommonArgs, filter: Filter, emission: Emission) -> SessionOptions {
        SessionOptions {
            timeout: self.timeout,
            inflight: self.inflight,
            filter,
            budget: self.count,
            path_only: self.path_only,
            macs: self.mac.clone(),
            wire: self.wire,
            xdp: self.xdp.map(XdpMode::from),
            mechanism: self.attach.mechanism(),
            emission,
            debug: common.verbose >= 2,
        }
    }
}
