//! A whole trace, as one owned object: what every format renders, live and at the end, and what is read back from a file.

use std::{collections::HashMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Direction, Directions, Evidence, Finding, Firewall, GuestTimes, HookChoice, Hop, HostReport, InstanceId,
    Latencies, LinkChange, MacAddr, Mechanism, Neighbour, Path, Problem, Snapshot, SourceName, Taken, Timing,
    TracerCost, Upcalls, XdpMode, timed_part,
};

/// Which version of the report it is. Another number means that something was renamed, moved or removed; members may be added
/// without that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TraceSchema {
    /// The second.
    #[serde(rename = "hoptrace.trace/2")]
    V2,
}

/// What a trace found. Latencies are in nanoseconds, and null where no packet was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Which version of the report it is.
    pub schema: TraceSchema,
    /// What is to know first, in words: the worst first.
    pub findings: Vec<Finding>,
    /// Where it was traced.
    pub host: HostFacts,
    /// What was asked for.
    pub settings: Settings,
    /// Whether the trace still runs.
    pub live: bool,
    /// When packets were admitted first, in nanoseconds since 1970.
    pub began_ns: u64,
    /// How long they were, in seconds.
    #[serde(rename = "duration_s", serialize_with = "seconds", deserialize_with = "from_seconds")]
    #[schemars(with = "f64", range(min = 0))]
    pub duration: Duration,
    /// The ports that were traced.
    pub ports: Vec<PortReport>,
    /// What the switch gave to user space; `None`: there is no kernel datapath, or its upcalls can not be seen.
    pub upcalls: Option<Upcalls>,
    /// What else went wrong: questions without an answer, and, known at the end only, counters of the host that rose.
    pub evidence: Vec<Evidence>,
    /// The host's packet filters, where packets died in one.
    pub firewall: Option<Firewall>,
    /// Sources that had answered at the start, and did not at the end.
    pub silent_at_end: Vec<SourceName>,
    /// What else is to know about the trace, such as what attaching changed on the host; a line each.
    pub notes: Vec<String>,
    /// Frees of packets from more places than are kept apart: those packets are lost without a reason.
    pub drops_without_site: u64,
    /// Hooks that another program took away, which ended the trace.
    pub taken: Option<Taken>,
    /// What tracing cost.
    pub tracer: TracerCost,
}

/// The host, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostFacts {
    /// Its name.
    pub name: String,
    /// The release of its kernel.
    pub kernel: String,
    /// Its kind of CPU: `x86_64`.
    pub machine: String,
    /// The version of hoptrace.
    pub hoptrace: String,
}

/// The longest time-out: the kernel's table keeps 32 bits of nanoseconds per packet.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(4);

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The filter, as it was understood; empty: all packets of the port.
    pub filter: String,
    /// How long a packet may stay away before it counts as lost, in milliseconds.
    pub timeout_ms: u64,
    /// Packets that can be on their way at a time.
    pub inflight: u32,
    /// Whether other ports of the switch were left alone.
    pub path_only: bool,
    /// Further MAC addresses that were given.
    pub macs: Vec<MacAddr>,
    /// Whether packets were followed to the NIC's driver.
    pub wire: bool,
    /// Where XDP was hooked, too.
    pub xdp: Option<XdpMode>,
    /// Where the hooks were to be; `None`: where it is best on that kernel.
    pub mechanism: Option<Mechanism>,
    /// Which of a path's interfaces got hooks.
    #[serde(default)]
    pub hooks: HookChoice,
    /// Which packets were timed.
    #[serde(default = "Timing::exact")]
    pub timing: Timing,
    /// Whether the switch was asked about packets.
    pub explain: bool,
}

/// What was found about one port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortReport {
    /// The path, and whose it is, as it was at the start; where there may be several ports, without the ports beside it.
    pub path: Path,
    /// Changes of its interfaces while packets were admitted, in their order.
    pub changes: Vec<LinkChange>,
    /// What was wrong with it at the end; `None`: it has not ended, or was not looked at again.
    pub problems_at_end: Option<Vec<Problem>>,
    /// When its packets were admitted first, in nanoseconds since 1970.
    pub began_ns: u64,
    /// How long they were, in seconds.
    #[serde(rename = "duration_s", serialize_with = "seconds", deserialize_with = "from_seconds")]
    #[schemars(with = "f64", range(min = 0))]
    pub duration: Duration,
    /// Both directions.
    pub directions: Directions,
    /// Hops between hooks that are no neighbours on the path.
    pub off_path: Latencies,
    /// The guest's own times.
    pub guest: GuestTimes,
    /// Ports beside the path; none where several ports are traced, because what went there is not counted for each of them.
    pub neighbours: Vec<Neighbour>,
}

/// One port of a trace: what findings are made of.
#[derive(Debug, Clone, Copy)]
pub struct PortTrace<'a> {
    /// The trace.
    pub trace: &'a Report,
    /// The port.
    pub port: &'a PortReport,
}

/// What was collected of one port.
#[derive(Debug, Clone, PartialEq)]
pub struct PortFigures {
    /// Its path as it was at the start.
    pub path: Path,
    /// What was counted.
    pub snapshot: Snapshot,
    /// What the host's sources said of the path meanwhile.
    pub watched: HostReport,
}

/// What was collected of the host, whatever port it is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TraceFigures {
    /// What else is to know; a line each.
    pub notes: Vec<String>,
    /// What else went wrong.
    pub evidence: Vec<Evidence>,
    /// The host's packet filters, where packets died in one.
    pub firewall: Option<Firewall>,
    /// Who had answered at the start, and did not at the end.
    pub silent_at_end: Vec<SourceName>,
    /// Hooks that another program took away, which ended the trace.
    pub taken: Option<Taken>,
    /// What tracing cost.
    pub tracer: TracerCost,
}

impl Report {
    /// What was collected of one port, without any findings yet.
    #[must_use]
    pub fn new(
        path: Path,
        snapshot: Snapshot,
        watched: HostReport,
        host: HostFacts,
        settings: Settings,
    ) -> Self {
        let trace = TraceFigures {
            firewall: watched.firewall.clone(),
            silent_at_end: watched.silent_at_end.clone(),
            taken: snapshot.taken.clone(),
            tracer: snapshot.tracer,
            ..TraceFigures::default()
        };
        Self::of_ports(vec![PortFigures { path, snapshot, watched }], trace, host, settings)
    }

    /// What was collected of all ports of a trace, without any findings yet. What `trace` and the ports have of the same goes together.
    #[must_use]
    pub fn of_ports(
        ports: Vec<PortFigures>,
        trace: TraceFigures,
        host: HostFacts,
        settings: Settings,
    ) -> Self {
        let snapshots = || ports.iter().map(|port| &port.snapshot);
        let (began_ns, duration) = span(snapshots());
        let evidence = snapshots().flat_map(|snapshot| snapshot.evidence.clone());
        let mut notes = trace.notes;
        for note in snapshots().flat_map(|snapshot| &snapshot.notes) {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        Self {
            schema: TraceSchema::V2,
            findings: Vec::new(),
            host,
            settings,
            live: false,
            began_ns,
            duration,
            upcalls: upcalls(snapshots()),
            evidence: evidence.chain(trace.evidence).collect(),
            firewall: trace.firewall,
            silent_at_end: trace.silent_at_end,
            notes,
            drops_without_site: snapshots().map(|snapshot| snapshot.drops_without_site).sum(),
            taken: trace.taken,
            tracer: trace.tracer,
            ports: ports.into_iter().map(PortReport::from).collect(),
        }
    }

    /// Each port, with the trace it is part of.
    pub fn each_port(&self) -> impl Iterator<Item = PortTrace<'_>> {
        self.ports.iter().map(|port| PortTrace { trace: self, port })
    }
}

impl From<PortFigures> for PortReport {
    fn from(PortFigures { path, snapshot, watched }: PortFigures) -> Self {
        Self {
            path,
            changes: watched.changes,
            problems_at_end: watched.problems_at_end,
            began_ns: snapshot.began_ns,
            duration: snapshot.duration,
            directions: snapshot.directions,
            off_path: snapshot.off_path,
            guest: snapshot.guest,
            neighbours: snapshot.neighbours,
        }
    }
}

/// Those of all ports, as the one tells the switch's own that was traced for longest.
fn upcalls<'s>(ports: impl Iterator<Item = &'s Snapshot>) -> Option<Upcalls> {
    let mut told: Vec<_> =
        ports.filter_map(|snapshot| Some((snapshot.duration, snapshot.upcalls?))).collect();
    told.sort_by_key(|(duration, _)| std::cmp::Reverse(*duration));
    told.into_iter().map(|(_, upcalls)| upcalls).reduce(Upcalls::with)
}

/// From when on packets of any port were admitted, and for how long.
fn span<'s>(ports: impl Iterator<Item = &'s Snapshot> + Clone) -> (u64, Duration) {
    let opened = ports.filter(|snapshot| snapshot.began_ns > 0);
    let Some(began_ns) = opened.clone().map(|snapshot| snapshot.began_ns).min() else {
        return Default::default();
    };
    let after = |snapshot: &Snapshot| Duration::from_nanos(snapshot.began_ns - began_ns) + snapshot.duration;
    (began_ns, opened.map(after).max().unwrap_or_default())
}

impl Report {
    /// What each port is called in this trace, in their order: as its VM, and with its address where another one is called the same.
    /// From outside, not yet escaped.
    #[must_use]
    pub fn port_names(&self) -> Vec<String> {
        let titles: Vec<String> = self.ports.iter().map(|port| port.path.instance.title()).collect();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for title in &titles {
            *counts.entry(title).or_default() += 1;
        }
        let is_alone = |title: &str| counts.get(title).is_none_or(|count| *count < 2);
        let name = |(title, port): (&String, &PortReport)| {
            let InstanceId { mac, ips, .. } = &port.path.instance;
            match ips.first() {
                _ if is_alone(title) => title.clone(),
                Some(ip) => format!("{title} ({ip})"),
                None => format!("{title} ({mac})"),
            }
        };
        titles.iter().zip(&self.ports).map(name).collect()
    }

    /// The name of the port that a finding is about; `None` where it is about the trace, or there is one port only.
    #[must_use]
    pub fn whose(&self, finding: &Finding) -> Option<String> {
        let mac = finding.port.filter(|_| self.ports.len() > 1)?;
        let place = self.ports.iter().position(|port| port.path.instance.mac == mac)?;
        self.port_names().into_iter().nth(place)
    }

    /// Which part of the packets was timed, where that was not all of them: of those that passed two hooks.
    #[must_use]
    pub fn timed_part(&self) -> Option<f64> {
        if self.settings.timing == Timing::Nothing {
            return None;
        }
        let directions = self.ports.iter().flat_map(|port| Direction::ALL.map(|it| port.directions.get(it)));
        timed_part(directions.flat_map(|direction| &direction.segments))
    }

    /// The port at whose own interface a counter rose; `None`: at one that several share, or at none.
    #[must_use]
    pub fn port_of(&self, evidence: &Evidence) -> Option<PortTrace<'_>> {
        let is_own = |hop: &Hop| !hop.facts.shared;
        self.each_port().find(|port| port.path().hop_at(&evidence.at).is_some_and(is_own))
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    duration.as_secs_f64().serialize(serializer)
}

fn from_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
}

impl<'a> PortTrace<'a> {
    /// Its path.
    #[must_use]
    pub const fn path(&self) -> &'a Path {
        &self.port.path
    }

    /// The interfaces that packets come to behind the hook called `after`, on their way to the next one that has hooks; both are among them.
    #[must_use]
    pub fn passed(&self, direction: Direction, after: &str) -> Vec<&'a Hop> {
        let (path, hooks) = (self.path(), &self.port.directions.get(direction).hooks);
        let is_hooked = |hop: &Hop| hooks.iter().any(|hook| path.hop_of(&hook.hook) == Some(hop));
        let mut passed = Vec::from_iter(path.hop_of(after));
        while let Some(next) = passed.last().and_then(|hop| path.next(hop, direction)) {
            passed.push(next);
            if is_hooked(next) || hooks.is_empty() {
                break;
            }
        }
        passed
    }

    /// Whether a counter of the host can be about this port: the others' own interfaces are not.
    #[must_use]
    pub fn concerns(&self, evidence: &Evidence) -> bool {
        self.trace.ports.len() < 2
            || self.trace.port_of(evidence).is_none_or(|of| std::ptr::eq(of.port, self.port))
    }

    /// Whether frames for other addresses than the port's own passed to its guest.
    #[must_use]
    pub fn had_other_addresses(&self) -> bool {
        self.trace.evidence.iter().any(|evidence| evidence.is_of_other_address() && self.concerns(evidence))
    }

    /// Whether there were frames for groups on the way to its guest.
    #[must_use]
    pub fn had_group_frames(&self) -> bool {
        let hooks = &self.port.directions.ingress.hooks;
        hooks.iter().any(|hook| hook.groups > 0)
            || self.trace.evidence.iter().any(|evidence| evidence.is_of_group() && self.concerns(evidence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::trace_samples::{path, snapshot};

    fn of(began_ns: u64, seconds: u64, misses: u64) -> PortFigures {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let misses_per_s = misses as f64 / seconds as f64;
        let upcalls = Upcalls { misses, misses_per_s, traced: [1, 2], ..Upcalls::default() };
        let notes = vec!["alike".to_owned(), format!("at {began_ns}")];
        let snapshot = Snapshot {
            began_ns,
            duration: Duration::from_secs(seconds),
            upcalls: Some(upcalls),
            notes,
            drops_without_site: 2,
            ..snapshot(1)
        };
        PortFigures { path: path(), snapshot, watched: HostReport::default() }
    }

    #[test]
    fn a_trace_of_several_ports_is_as_long_as_they_are_together_and_says_everything_once() {
        let ports = vec![of(5_000_000_000, 2, 70), of(4_000_000_000, 1, 40)];
        let trace = TraceFigures { notes: vec!["first".to_owned()], ..TraceFigures::default() };
        let report = Report::of_ports(ports, trace, HostFacts::default(), Settings::default());
        assert_eq!((report.began_ns, report.duration), (4_000_000_000, Duration::from_secs(3)));
        let [one, other] = &report.ports[..] else { panic!("{:?}", report.ports) };
        assert_eq!((one.duration, other.began_ns), (Duration::from_secs(2), 4_000_000_000));
        let upcalls = report.upcalls.unwrap();
        assert_eq!((upcalls.misses, upcalls.traced), (70, [2, 4]), "the switch's own are those of all ports");
        assert!((upcalls.misses_per_s - 35.0).abs() < 1e-9, "and of one time: {upcalls:?}");
        assert_eq!(report.notes, ["first", "alike", "at 5000000000", "at 4000000000"]);
        assert_eq!(report.drops_without_site, 4);
    }
}
